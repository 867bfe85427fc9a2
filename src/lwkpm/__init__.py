"""lwkpm: a PMIx-aware MPI launcher for HPC containers and lightweight kernels."""

__version__ = "0.1.0"
