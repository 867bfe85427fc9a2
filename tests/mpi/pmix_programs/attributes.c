/*
 * attributes: an allreduce over all ranks, then each rank prints
 *   rank R of N: sum S node K appnum A universe U
 * with K the ranks that share its memory (MPI_COMM_TYPE_SHARED); -1 for an attribute that is not set.
 */
#include <mpi.h>
#include <stdio.h>

static int attribute(int key) {
    int *value = NULL, found = 0;
    MPI_Comm_get_attr(MPI_COMM_WORLD, key, &value, &found);
    return found ? *value : -1;
}

int main(int argc, char **argv) {
    int rank = 0, size = 0, sum = 0, peers = 0;
    MPI_Comm node;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_size(node, &peers);
    printf("rank %d of %d: sum %d node %d appnum %d universe %d\n", rank, size, sum, peers, attribute(MPI_APPNUM),
           attribute(MPI_UNIVERSE_SIZE));
    MPI_Comm_free(&node);
    MPI_Finalize();
    return 0;
}
