/*
 * publish [SERVICE]: rank 0 publishes a made-up port under SERVICE, the last rank looks it up and compares.
 * Rank 0 prints "publish: OK" when the last rank found the same text.
 */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

/* Looks like a real one; MPICH and Intel MPI end a port at the first blank, under any launcher. */
static const char PORT[] = "tag#0$description#made=up$port#40001$";

int main(int argc, char **argv) {
    int rank = 0, size = 0, same = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const char *service = argc > 1 ? argv[1] : "lwkpm-test";

    if (rank == 0) MPI_Publish_name(service, MPI_INFO_NULL, PORT);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == size - 1) {
        char found[MPI_MAX_PORT_NAME] = "";
        MPI_Lookup_name(service, MPI_INFO_NULL, found);
        same = strcmp(found, PORT) == 0;
        if (!same) fprintf(stderr, "publish: rank %d found '%s'\n", rank, found);
    }
    MPI_Bcast(&same, 1, MPI_INT, size - 1, MPI_COMM_WORLD);
    if (rank == 0) {
        MPI_Unpublish_name(service, MPI_INFO_NULL, PORT);
        if (same) puts("publish: OK");
    }
    MPI_Finalize();
    return !same;
}
