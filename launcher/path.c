/* Paths that stay inside a root. An image may hold `/home -> /etc` or `var -> ../../..`: resolving such a name
 * with plain mkdir or mount would follow it on the host. openat2(RESOLVE_IN_ROOT), Linux >= 5.6, cannot leave. */
#define _GNU_SOURCE
#include "conenter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int open_in_root(int root_fd, const char *path, int flags) {
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT};
    return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
}

/* The directory that holds PATH's last name (made if missing); *name points to that name inside `copy`. */
static int open_parent(int root_fd, char *copy, char **name) {
    char *end = copy + strlen(copy);
    while (end > copy + 1 && end[-1] == '/') *--end = 0;
    char *slash = strrchr(copy, '/');
    *name = slash ? slash + 1 : copy;
    if (!slash || slash == copy) return open_in_root(root_fd, "/", O_PATH | O_DIRECTORY);
    *slash = 0;
    return make_dirs_in_root(root_fd, copy);
}

static int make_in_root(int root_fd, const char *path, bool directory) {
    int found = open_in_root(root_fd, path, O_PATH | (directory ? O_DIRECTORY : 0));
    if (found >= 0 || errno != ENOENT) return found;
    int parent = -1, made = -1;
    char *name, *copy = strdup(path);
    if (!copy) return -1;
    parent = open_parent(root_fd, copy, &name);
    if (parent < 0) goto out;
    if (directory) {
        if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST) goto out;
    } else {
        int fd = openat(parent, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0) goto out;
        close(fd);
    }
    made = open_in_root(root_fd, path, O_PATH);
out:
    if (parent >= 0) close(parent);
    free(copy);
    return made;
}

int make_dirs_in_root(int root_fd, const char *path) {
    return make_in_root(root_fd, path, true);
}

int make_file_in_root(int root_fd, const char *path) {
    return make_in_root(root_fd, path, false);
}
