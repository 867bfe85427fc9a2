/* segv: rank 1 dies of SIGSEGV after a barrier; the others wait in a second one. */
#include <mpi.h>
#include <signal.h>

int main(int argc, char **argv) {
    int rank = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 1) {
        /* Open MPI catches SIGSEGV to print a backtrace; the launcher shall see the signal itself. */
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
    return 0;
}
