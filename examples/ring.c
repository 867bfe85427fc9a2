/*
 * ring.c: a token round all ranks, then a sum over all ranks; both are checked.
 *
 * Rank 0 prints one line, "ring: N ranks, token N, sum OK, library NAME"; the other ranks print nothing unless
 * something is wrong. The exit status is 0 only when every value was right. A job that fell apart into N singletons
 * prints N lines that say "1 ranks", which is what the tests look for.
 */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

enum { TAG_TOKEN = 7 };

/* The first line of MPI_Get_library_version, runs of blanks made one, cut at the first comma. */
static void library_name(char *name, size_t size) {
    char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    MPI_Get_library_version(text, &length);

    size_t used = 0;
    for (const char *at = text; *at && !strchr(",\n", *at) && used + 1 < size; at++) {
        char c = *at == '\t' ? ' ' : *at;
        if (c != ' ' || (used > 0 && name[used - 1] != ' ')) name[used++] = c;
    }
    name[used] = '\0';
}

/* Every rank adds one to the token; back at rank 0 it is the number of ranks. */
static int pass_token(int rank, int size) {
    int token = 0, next = (rank + 1) % size, previous = (rank + size - 1) % size;
    if (size == 1) return 1;
    if (rank == 0) {
        token = 1;
        MPI_Send(&token, 1, MPI_INT, next, TAG_TOKEN, MPI_COMM_WORLD);
        MPI_Recv(&token, 1, MPI_INT, previous, TAG_TOKEN, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        return token;
    }
    MPI_Recv(&token, 1, MPI_INT, previous, TAG_TOKEN, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    token++;
    MPI_Send(&token, 1, MPI_INT, next, TAG_TOKEN, MPI_COMM_WORLD);
    return token;
}

int main(int argc, char **argv) {
    int rank = 0, size = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);

    int token = pass_token(rank, size);
    int token_wanted = rank == 0 ? size : rank + 1;

    long mine = rank + 1, sum = 0, sum_wanted = (long)size * (size + 1) / 2;
    MPI_Allreduce(&mine, &sum, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);

    int wrong = token != token_wanted || sum != sum_wanted;
    if (wrong)
        fprintf(stderr, "ring: rank %d of %d: token %d (want %d), sum %ld (want %ld)\n", rank, size, token,
                token_wanted, sum, sum_wanted);

    int wrong_ranks = 0;
    MPI_Allreduce(&wrong, &wrong_ranks, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    if (rank == 0 && wrong_ranks == 0) {
        char name[MPI_MAX_LIBRARY_VERSION_STRING];
        library_name(name, sizeof(name));
        printf("ring: %d ranks, token %d, sum OK, library %s\n", size, token, name);
    }
    MPI_Finalize();
    return wrong_ranks != 0;
}
