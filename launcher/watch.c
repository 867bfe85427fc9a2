/* Which MPI library a process has mapped. Read at the ptrace exit stop: the process is past its last instruction
 * but still has its memory map, so a library that was loaded late (`python -c 'from mpi4py import MPI'`) is seen
 * however short the program's life was. */
#define _GNU_SOURCE
#include "conenter.h"

#include <fcntl.h>
#include <stdio.h>
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

/* The whole map at once: /proc gives a page of whole lines per read, and a line is at most PATH_MAX and a little. */
bool find_mpi_library(int proc_fd, pid_t pid, char *path, size_t size) {
    char name[64], text[16384];
    bool found = false;
    size_t have = 0;
    ssize_t got;
    snprintf(name, sizeof name, "%d/maps", (int)pid);
    int fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    while (!found && (got = read(fd, text + have, sizeof text - have - 1)) > 0) {
        char *line = text, *end;
        have += (size_t)got;
        text[have] = 0;
        for (; !found && (end = strchr(line, '\n')); line = end + 1) {
            *end = 0;
            const char *at = strchr(line, '/');
            found = at && strlen(at) < size && is_mpi_library(at);
            if (found) strcpy(path, at);
        }
        have = found ? 0 : (size_t)(text + have - line);
        memmove(text, line, have);
        if (have == sizeof text - 1) have = 0; /* no path is so long */
    }
    close(fd);
    return found;
}
