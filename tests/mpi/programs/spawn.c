/* spawn WHAT [COUNT]: MPI_Comm_spawn as libraries do it; children are this program again.
 *   one COUNT       COUNT children, merged with the parents, one sum over all
 *   multiple        two commands at once, with arguments and a working directory each
 *   info KEY VALUE  one child with this info key; it tells its directory, SPAWN_MARK and root directory's /etc/mark
 *   program NAME    one child that is NAME; tells whether that failed
 *   abort, exit     a child that aborts with 9, or exits with 7 after MPI_Finalize
 *   twice           two spawns one after the other */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int sum_over(MPI_Comm inter, int high) {
    MPI_Comm all;
    int one = 1, sum = 0;
    MPI_Intercomm_merge(inter, high, &all);
    MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, all);
    MPI_Comm_free(&all);
    return sum;
}

static void tell_place(void) {
    char directory[4096] = "?", mark[64] = "";
    FILE *file = fopen("/etc/mark", "r");
    if (file) {
        if (!fgets(mark, sizeof mark, file)) mark[0] = 0;
        fclose(file);
    }
    mark[strcspn(mark, "\n")] = 0;
    if (!getcwd(directory, sizeof directory)) return;
    printf("child in %s, SPAWN_MARK %s, image mark %s\n", directory, getenv("SPAWN_MARK"), mark);
}

static void be_child(MPI_Comm parent, int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "child";
    int rank, size, *appnum = NULL, flag;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_APPNUM, &appnum, &flag);
    if (strcmp(what, "abort") == 0) MPI_Abort(MPI_COMM_WORLD, 9);
    if (strcmp(what, "info") == 0) tell_place();
    int sum = sum_over(parent, 1);
    printf("child %d of %d, app %d, arguments %d '%s', sum %d\n", rank, size, flag ? *appnum : -1, argc - 1,
           argc > 2 ? argv[2] : "", sum);
    fflush(stdout);
    MPI_Comm_disconnect(&parent);
    MPI_Finalize();
    exit(strcmp(what, "exit") == 0 ? 7 : 0);
}

static int spawn(const char *program, char **arguments, int count, MPI_Info info, MPI_Comm *inter) {
    int codes[256];
    return MPI_Comm_spawn(program, arguments, count, info, 0, MPI_COMM_WORLD, inter, codes);
}

static int spawn_multiple(const char *self, MPI_Comm *inter) {
    int counts[2] = {1, 2}, codes[3];
    char program[4096], *programs[2] = {program, program};
    char *first[] = {"first", "two words", NULL}, *second[] = {"second", "a=b;c", NULL},
         **arguments[2] = {first, second};
    MPI_Info infos[2] = {MPI_INFO_NULL, MPI_INFO_NULL};
    snprintf(program, sizeof program, "%s", self);
    MPI_Info_create(&infos[1]);
    MPI_Info_set(infos[1], "wdir", "/tmp");
    return MPI_Comm_spawn_multiple(2, programs, arguments, counts, infos, 0, MPI_COMM_WORLD, inter, codes);
}

static void be_parent(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "one";
    int rank, size, *universe = NULL, flag, failed = 0, times = strcmp(what, "twice") == 0 ? 2 : 1;
    char *arguments[] = {(char *)what, "two words", NULL};
    const char *program = strcmp(what, "program") == 0 ? argv[2] : argv[0];
    MPI_Comm inter = MPI_COMM_NULL;
    MPI_Info info = MPI_INFO_NULL;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_UNIVERSE_SIZE, &universe, &flag);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (strcmp(what, "info") == 0) {
        MPI_Info_create(&info);
        MPI_Info_set(info, argv[2], argv[3]);
    }
    for (int turn = 0; turn < times && !failed; turn++) {
        int count = strcmp(what, "one") == 0 && argc > 2 ? atoi(argv[2]) : 1;
        failed = strcmp(what, "multiple") == 0 ? spawn_multiple(argv[0], &inter)
                                               : spawn(program, arguments, count, info, &inter);
        if (failed) break;
        int sum = sum_over(inter, 0);
        if (rank == 0) printf("parents %d, universe %d, sum %d\n", size, flag ? *universe : -1, sum);
        fflush(stdout);
        MPI_Comm_disconnect(&inter);
    }
    if (failed && rank == 0) printf("the spawn failed\n");
    fflush(stdout);
    MPI_Finalize();
}

int main(int argc, char **argv) {
    MPI_Comm parent;
    MPI_Init(&argc, &argv);
    MPI_Comm_get_parent(&parent);
    if (parent == MPI_COMM_NULL)
        be_parent(argc, argv);
    else
        be_child(parent, argc, argv);
    return 0;
}
