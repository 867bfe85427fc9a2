/* Reading a program's files ahead of its ranks. A file image is mounted anew for each launch, so nothing of it is in
 * the page cache and the first rank would wait for every page (5 ms of a 30 ms launch). Between the container's end
 * and the first rank's order conenter is idle: a child asks the image's own dynamic loader to list what the program
 * needs, which maps the program and its libraries without running a line of them. Nothing depends on its success. */
#define _GNU_SOURCE
#include "conenter.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD_BYTES = 4096, MOST_INTERPRETERS = 4 };

/* The program as exec would find it: its descriptor, its path in `full`. */
static int open_program(const char *program, const char *path, char *full, size_t size) {
    struct stat st;
    for (const char *dir = path; dir;) {
        const char *colon = strchrnul(dir, ':');
        bool named = strchr(program, '/') != NULL;
        int n = named ? snprintf(full, size, "%s", program)
                      : snprintf(full, size, "%.*s/%s", (int)(colon - dir), dir, program);
        int fd = n > 0 && (size_t)n < size ? open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) return fd;
        if (fd >= 0) close(fd);
        dir = *colon && !named ? colon + 1 : NULL;
    }
    return -1;
}

/* The PT_INTERP of an ELF file whose first bytes are `head`; false when it has none, or not there. */
static bool find_loader(const unsigned char *head, size_t have, char *loader, size_t size) {
    Elf64_Ehdr e;
    if (have < sizeof e) return false;
    memcpy(&e, head, sizeof e);
    if (memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 || e.e_ident[EI_CLASS] != ELFCLASS64) return false;
    for (size_t i = 0; i < e.e_phnum; i++) {
        Elf64_Phdr p;
        if (e.e_phoff > have || i >= (have - e.e_phoff) / sizeof p) return false;
        memcpy(&p, head + e.e_phoff + i * sizeof p, sizeof p);
        if (p.p_type != PT_INTERP) continue;
        if (p.p_offset > have || p.p_filesz > have - p.p_offset || p.p_filesz == 0 || p.p_filesz > size) return false;
        memcpy(loader, head + p.p_offset, p.p_filesz);
        return loader[p.p_filesz - 1] == 0 && loader[0] == '/';
    }
    return false;
}

/* A script's interpreter takes the program's place. */
static bool find_interpreter(char *head, size_t have, char *program, size_t size) {
    if (have < 3 || have >= HEAD_BYTES || memcmp(head, "#!", 2) != 0) return false;
    head[have] = 0;
    char *name = head + 2 + strspn(head + 2, " \t");
    name[strcspn(name, " \t\n")] = 0;
    return name[0] == '/' && snprintf(program, size, "%s", name) < (int)size;
}

static void list_libraries(const char *program, const char *path) {
    char full[4096], loader[256], next[4096], head[HEAD_BYTES];
    snprintf(next, sizeof next, "%s", program);
    for (int turn = 0; turn < MOST_INTERPRETERS; turn++) {
        int fd = open_program(next, path, full, sizeof full);
        ssize_t have = fd < 0 ? -1 : pread(fd, head, sizeof head - 1, 0);
        if (fd < 0) return;
        if (have > 0 && find_loader((unsigned char *)head, (size_t)have, loader, sizeof loader)) {
            char *const argv[] = {loader, (char[]){"--list"}, full, NULL}, *const envp[] = {NULL};
            (void)posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
            execve(loader, argv, envp);
            return;
        }
        bool script = have > 0 && find_interpreter(head, (size_t)have, next, sizeof next);
        close(fd);
        if (!script) return;
    }
}

static _Noreturn void be_reader(const char *program, const char *path, pid_t parent) {
    sigset_t none;
    int null = open("/dev/null", O_RDWR);
    sigemptyset(&none);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || null < 0) _exit(0);
    for (int fd = 0; fd < 3; fd++)
        if (dup2(null, fd) < 0) _exit(0);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    list_libraries(program, path);
    _exit(0);
}

/* Not in a pid namespace, whose first process is its init: when that ends, so does the namespace. */
void warm_up(const struct setup *s, const char *program, const char *path) {
    pid_t parent = getpid();
    if (!s->pid_ns && fork() == 0) be_reader(program, path, parent);
}
