/* accept: two ranks meet twice by MPI_Comm_accept and MPI_Comm_connect. */
#include <mpi.h>
#include <stdio.h>

int main(int argc, char **argv) {
    int rank = 0, remote = 0;
    MPI_Comm other;
    char port[MPI_MAX_PORT_NAME] = "";
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    for (int meeting = 1; meeting <= 2; meeting++) {
        if (rank == 0) MPI_Open_port(MPI_INFO_NULL, port);
        MPI_Bcast(port, MPI_MAX_PORT_NAME, MPI_CHAR, 0, MPI_COMM_WORLD);
        if (rank == 0) {
            MPI_Comm_accept(port, MPI_INFO_NULL, 0, MPI_COMM_SELF, &other);
        } else {
            MPI_Comm_connect(port, MPI_INFO_NULL, 0, MPI_COMM_SELF, &other);
        }
        MPI_Comm_remote_size(other, &remote);
        printf("meeting %d: %d\n", meeting, remote);
        MPI_Comm_disconnect(&other);
    }
    MPI_Finalize();
    return 0;
}
