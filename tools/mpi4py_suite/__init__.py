"""mpi4py's own test suite under lwkpm-run, beside the same suite under each MPI's own launcher."""
