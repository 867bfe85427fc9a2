"""Serving ranks: key-value space, PMI-1, PMI-2 and PMIx."""
