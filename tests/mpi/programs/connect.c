/* connect accept|connect NAME: two worlds meet by a published name; each tells the sum over both. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TRIES = 100 };

static int find(const char *name, char *port) {
    int failed = 1;
    for (int turn = 0; turn < TRIES && failed; turn++) {
        failed = MPI_Lookup_name(name, MPI_INFO_NULL, port);
        if (failed) usleep(50000);
    }
    return failed;
}

int main(int argc, char **argv) {
    char port[MPI_MAX_PORT_NAME] = "";
    int rank, failed = 0, one = 1, sum = 0, accepts;
    MPI_Comm inter, all;
    MPI_Init(&argc, &argv);
    if (argc < 3) MPI_Abort(MPI_COMM_WORLD, 2);
    accepts = strcmp(argv[1], "accept") == 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (rank == 0 && accepts) {
        failed = MPI_Open_port(MPI_INFO_NULL, port);
        if (!failed) failed = MPI_Publish_name(argv[2], MPI_INFO_NULL, port);
    } else if (rank == 0) {
        failed = find(argv[2], port);
    }
    MPI_Bcast(&failed, 1, MPI_INT, 0, MPI_COMM_WORLD);
    if (failed) {
        if (rank == 0) printf("%s: no port\n", argv[1]);
        fflush(stdout);
        MPI_Finalize();
        return 3;
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
    if (accepts)
        MPI_Comm_accept(port, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &inter);
    else
        MPI_Comm_connect(port, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &inter);
    MPI_Intercomm_merge(inter, !accepts, &all);
    MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, all);
    if (rank == 0) printf("%s: sum %d\n", argv[1], sum);
    fflush(stdout);
    MPI_Comm_free(&all);
    MPI_Comm_disconnect(&inter);
    if (rank == 0 && accepts) {
        MPI_Unpublish_name(argv[2], MPI_INFO_NULL, port);
        MPI_Close_port(port);
    }
    MPI_Finalize();
    return 0;
}
