/* Which MPI library a process has mapped. Read at the ptrace exit stop: the process is past its last instruction
 * but still has its memory map, so a library that was loaded late (`python -c 'from mpi4py import MPI'`) is seen
 * however short the program's life was. */
#define _GNU_SOURCE
#include "conenter.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* MPICH, Open MPI and Intel: libmpi.so; the standard ABI: libmpi_abi.so; Debian's and older MPICH: libmpich.so;
 * Cray: libmpi_gnu_123.so and friends. libmpifort or libmpi_cxx never come alone. */
static const char *const mpi_names[] = {"libmpi.so",   "libmpi_abi.so", "libmpich.so", "libmpich-",
                                        "libmpi_gnu_", "libmpi_intel_", "libmpi_cray", "libmpi_amd_"};

static bool is_mpi_library(const char *path) {
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof mpi_names / sizeof *mpi_names; i++)
        if (strncmp(base, mpi_names[i], strlen(mpi_names[i])) == 0) return true;
    return false;
}

bool find_mpi_library(int proc_fd, pid_t pid, char *path, size_t size) {
    char name[64], *line = NULL;
    size_t room = 0;
    bool found = false;
    snprintf(name, sizeof name, "%d/maps", (int)pid);
    int fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    FILE *maps = fdopen(fd, "r");
    if (!maps) {
        close(fd);
        return false;
    }
    while (!found && getline(&line, &room, maps) > 0) {
        char *at = strchr(line, '/');
        if (!at || strlen(at) >= size) continue;
        at[strcspn(at, "\n")] = 0;
        found = is_mpi_library(at);
        if (found) strcpy(path, at);
    }
    free(line);
    fclose(maps);
    return found;
}
