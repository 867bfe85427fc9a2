/* spawn: each process of the world spawns with the others `argv[1]` (twice), meets the children, and says what it saw.
   Children (they have a parent) add themselves up with it and part. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

static void meet(MPI_Comm other, int high) {
    MPI_Comm all;
    int size = 0, rank = 0, sum = 0;
    MPI_Intercomm_merge(other, high, &all);
    MPI_Comm_size(all, &size);
    MPI_Comm_rank(all, &rank);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, all);
    printf("%s: %d of %d sum %d\n", high ? "child" : "parent", rank, size, sum);
    MPI_Comm_free(&all);
    MPI_Comm_disconnect(&other);
}

int main(int argc, char **argv) {
    MPI_Comm parent, children;
    MPI_Init(&argc, &argv);
    MPI_Comm_get_parent(&parent);
    if (parent != MPI_COMM_NULL) {
        meet(parent, 1);
    } else {
        MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
        for (int times = 0; times < 2; times++) {
            int error = MPI_Comm_spawn(argc > 1 ? argv[1] : argv[0], MPI_ARGV_NULL, 2, MPI_INFO_NULL, 0, MPI_COMM_WORLD,
                                       &children, MPI_ERRCODES_IGNORE);
            if (error != MPI_SUCCESS) {
                puts("refused");
                continue;
            }
            meet(children, 0);
        }
    }
    MPI_Finalize();
    return 0;
}
