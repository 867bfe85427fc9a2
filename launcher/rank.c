/* One rank: fork, become the program. Everything that can fail in the child is reported as {step, object, errno}
 * on a shared close-on-exec pipe, so the parent never waits for a child's exec. */
#define _GNU_SOURCE
#include "conenter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static _Noreturn void give_up(int error_fd, int32_t id, const char *step, const char *object) {
    struct start_record record = {.id = id, .error = errno};
    snprintf(record.step, sizeof record.step, "%s", step);
    snprintf(record.object, sizeof record.object, "%s", object);
    ssize_t n = write(error_fd, &record, sizeof record);
    _exit(n == (ssize_t)sizeof record ? 127 : 125);
}

/* conenter has no handlers and ignores nothing, so that the mask is all there is to undo. */
static void unblock_signals(void) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static const char *find_env(char *const *envp, const char *name) {
    size_t n = strlen(name);
    for (; *envp; envp++)
        if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=') return *envp + n + 1;
    return NULL;
}

/* Like execvpe, but with the rank's own PATH, and EACCES remembered over later ENOENT as shells do. No fallback to
 * /bin/sh for files without `#!`: a launcher that runs a data file as a script hides the mistake. */
static void exec_by_path(char *const *argv, char *const *envp) {
    if (strchr(argv[0], '/')) {
        execve(argv[0], argv, envp);
        return;
    }
    const char *path = find_env(envp, "PATH");
    int kept = ENOENT;
    for (const char *dir = path ? path : "/usr/bin:/bin"; dir;) {
        char full[4096];
        const char *colon = strchrnul(dir, ':');
        int n = snprintf(full, sizeof full, "%.*s/%s", (int)(colon - dir), dir, argv[0]);
        if (n > 0 && (size_t)n < sizeof full) {
            execve(full, argv, envp);
            if (errno != ENOENT && errno != ENOTDIR) kept = errno;
            if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) break;
        }
        dir = *colon ? colon + 1 : NULL;
    }
    errno = kept;
}

static void place_fds(const struct rank_start *r, int error_fd) {
    for (size_t i = 0; i < r->nfds; i++)
        if (dup2(r->fds[i], (int)i) < 0) give_up(error_fd, r->id, "dup2", "a standard stream");
}

static void bind_cpus(const struct rank_start *r, int error_fd) {
    if (r->cpu_bytes == 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    memcpy(&set, r->cpus, r->cpu_bytes < sizeof set ? r->cpu_bytes : sizeof set);
    if (sched_setaffinity(0, sizeof set, &set) < 0) give_up(error_fd, r->id, "bind", "the rank's CPUs");
}

static void limit_files(const struct setup *s) {
    struct rlimit limit;
    if (s->nofile_soft == 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    limit.rlim_cur = s->nofile_soft < limit.rlim_max ? s->nofile_soft : limit.rlim_max;
    (void)!setrlimit(RLIMIT_NOFILE, &limit); /* lowering a soft limit cannot fail */
}

/* In a pid namespace of its own the parent only learns the inner pid; the host's /proc knows the outer one. */
static void tell_host_pid(const struct rank_start *r, const struct setup *s, int error_fd) {
    char text[32] = "";
    if (readlinkat(s->host_proc_fd, "self", text, sizeof text - 1) < 0) return;
    struct start_record record = {.id = r->id, .host_pid = atoi(text)};
    if (write(error_fd, &record, sizeof record) < 0) _exit(125);
}

static _Noreturn void become_program(const struct rank_start *r, const struct setup *s, int error_fd, pid_t parent) {
    /* A session per rank: with sched_autogroup one session is one CPU share (pmi-wire: three times slower). */
    if (setsid() < 0) give_up(error_fd, r->id, "setsid", "");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) give_up(error_fd, r->id, "prctl", "PR_SET_PDEATHSIG");
    if (getppid() != parent) _exit(125); /* the parent died before the line above */
    if (s->pid_ns) tell_host_pid(r, s, error_fd);
    unblock_signals();
    bind_cpus(r, error_fd);
    limit_files(s);
    place_fds(r, error_fd);
    if (chdir(r->cwd) < 0) give_up(error_fd, r->id, "chdir", r->cwd);
    exec_by_path(r->argv, r->envp);
    give_up(error_fd, r->id, "exec", r->argv[0]);
}

pid_t fork_rank(const struct rank_start *r, const struct setup *s, int error_fd) {
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) become_program(r, s, error_fd, parent);
    return pid;
}
