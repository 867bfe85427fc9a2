"""What an image is: its format, its programs and the MPI it carries, found without running it."""
