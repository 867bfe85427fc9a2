/* survive: rank 1 kills itself; the others notice, shrink the world (ULFM) and add themselves up. */
#include <mpi.h>
#include <mpi-ext.h>
#include <signal.h>
#include <stdio.h>

int main(int argc, char **argv) {
    int rank = 0, size = 0, error, class = 0, one = 1, sum = 0;
    MPI_Comm rest;
    MPI_Init(&argc, &argv);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 1) raise(SIGKILL);
    error = MPI_Recv(&sum, 1, MPI_INT, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Error_class(error, &class);
    MPIX_Comm_revoke(MPI_COMM_WORLD);
    MPIX_Comm_shrink(MPI_COMM_WORLD, &rest);
    MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, rest);
    printf("survive %d of %d: %s, %d left\n", rank, size,
           class == MPIX_ERR_PROC_FAILED || class == MPIX_ERR_REVOKED ? "noticed" : "no error", sum);
    MPI_Comm_free(&rest);
    MPI_Finalize();
    return 0;
}
