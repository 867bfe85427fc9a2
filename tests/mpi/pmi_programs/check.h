/* Checks of the PMI library tests: the first that fails says where, and ends the program with status 1. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void fail(const char *file, int line, const char *what) {
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    _exit(1);
}

#define CHECK(what) ((what) ? (void)0 : fail(__FILE__, __LINE__, #what))

static inline void say_ok(const char *name, int rank, int size) {
    if (rank == 0) printf("%s: OK, %d ranks\n", name, size);
}
