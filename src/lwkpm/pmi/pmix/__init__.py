"""The PMIx server: libpmix by dlopen, driven from the agent's loop."""
