/* conenter: the one parent of a node's ranks. Makes the container (setup.c), forks ranks on order (rank.c), reaps
 * them, tells the agent. It ends when the agent's socket closes, and never before every process it caused is gone:
 * as child subreaper it inherits what ranks leave behind.
 *
 * Ranks are ptrace-seized for one event only, the exit stop (watch.c); nothing else changes for them, and the agent
 * releases a rank as soon as it has reached a PMI server, so that debuggers can attach. Where ptrace is forbidden
 * (Yama 3) ranks simply go unwatched. */
#define _GNU_SOURCE
#include "conenter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LAST_KILL_ROUNDS = 500 };

struct rank {
    int32_t id;
    pid_t pid; /* 0: ended */
    bool traced, releasing;
    char mpi[1024];
};

struct env_block {
    uint32_t id;
    unsigned char *text;
    size_t len, count;
};

struct conenter {
    int control_fd, signal_fd, error_read_fd, error_write_fd;
    struct inbox in;
    struct outbox out;
    struct setup setup;
    struct rank *ranks;
    size_t n_ranks, cap_ranks;
    struct env_block *envs;
    size_t n_envs;
    bool ready;
};

static struct rank *find_rank(struct conenter *c, pid_t pid) {
    for (size_t i = c->n_ranks; i-- > 0;)
        if (c->ranks[i].pid == pid) return &c->ranks[i];
    return NULL;
}

static struct rank *find_id(struct conenter *c, int32_t id) {
    for (size_t i = c->n_ranks; i-- > 0;)
        if (c->ranks[i].id == id && c->ranks[i].pid) return &c->ranks[i];
    return NULL;
}

/* --- frames from the agent ---------------------------------------------------------------------------------- */

static int handle_setup(struct conenter *c, struct cursor *body) {
    if (run_setup(&c->setup, body) < 0) {
        int32_t error = errno;
        (void)put_error(&c->out, FRAME_FAILED, &error, 1, c->setup.step, c->setup.object);
        return -1;
    }
    c->ready = true;
    return put_frame(&c->out, FRAME_READY, NULL, 0);
}

static int handle_env(struct conenter *c, struct cursor *body) {
    struct env_block block = {.id = take_u32(body)};
    struct env_block *grown = realloc(c->envs, (c->n_envs + 1) * sizeof *grown);
    if (!grown) return -1;
    c->envs = grown;
    block.len = (size_t)(body->end - body->at);
    block.text = malloc(block.len + 1);
    if (!block.text) return -1;
    memcpy(block.text, body->at, block.len);
    block.text[block.len] = 0;
    for (size_t i = 0; i < block.len; i++) block.count += block.text[i] == 0;
    c->envs[c->n_envs++] = block;
    return 0;
}

static const struct env_block *find_env_block(const struct conenter *c, uint32_t id) {
    for (size_t i = c->n_envs; i-- > 0;)
        if (c->envs[i].id == id) return &c->envs[i];
    return NULL;
}

static char **take_strings(struct cursor *body, size_t n, const struct env_block *base) {
    size_t shared = base ? base->count : 0, at = 0;
    char **list = calloc(shared + n + 1, sizeof *list);
    if (!list) return NULL;
    for (unsigned char *s = base ? base->text : NULL; at < shared; s += strlen((char *)s) + 1) list[at++] = (char *)s;
    for (size_t i = 0; i < n && !body->bad; i++) list[at++] = (char *)(uintptr_t)take_string(body);
    return list;
}

static struct rank *add_rank(struct conenter *c, int32_t id, pid_t pid) {
    if (c->n_ranks == c->cap_ranks) {
        size_t cap = c->cap_ranks ? c->cap_ranks * 2 : 64;
        struct rank *grown = realloc(c->ranks, cap * sizeof *grown);
        if (!grown) return NULL;
        c->ranks = grown;
        c->cap_ranks = cap;
    }
    c->ranks[c->n_ranks] = (struct rank){.id = id, .pid = pid};
    return &c->ranks[c->n_ranks++];
}

static int start_rank(struct conenter *c, const struct rank_start *start) {
    pid_t pid = fork_rank(start, &c->setup, c->error_write_fd);
    if (pid < 0) {
        int32_t ints[2] = {start->id, errno};
        return put_error(&c->out, FRAME_NOSTART, ints, 2, "fork", start->argv[0]);
    }
    struct rank *r = add_rank(c, start->id, pid);
    if (!r) {
        kill(pid, SIGKILL);
        return -1;
    }
    r->traced = ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL) == 0;
    int32_t ints[2] = {start->id, pid};
    return c->setup.pid_ns ? 0 : put_frame(&c->out, FRAME_STARTED, ints, sizeof ints);
}

static int handle_spawn(struct conenter *c, struct cursor *body) {
    int rc = -1;
    struct rank_start start = {.id = (int32_t)take_u32(body)};
    const struct env_block *base = find_env_block(c, take_u32(body));
    uint32_t argc = take_u32(body), envc = take_u32(body);
    start.cpu_bytes = take_u32(body);
    start.nfds = take_u32(body);
    start.cpus = take_bytes(body, start.cpu_bytes);
    start.cwd = take_string(body);
    size_t most = (size_t)(body->end - body->at); /* each string is at least its NUL */
    if (body->bad || !base || argc == 0 || argc > most || envc > most || start.nfds > MAX_RANK_FDS) {
        errno = EPROTO;
        return -1;
    }
    if (inbox_take_fds(&c->in, start.fds, start.nfds) < 0) return -1;
    start.argv = take_strings(body, argc, NULL);
    start.envp = take_strings(body, envc, base);
    errno = EPROTO;
    if (start.argv && start.envp && !body->bad) rc = start_rank(c, &start);
    for (size_t i = 0; i < start.nfds; i++) close(start.fds[i]);
    free(start.argv);
    free(start.envp);
    return rc;
}

/* The whole session's process group; a child that has not reached setsid yet is only a pid. */
static void signal_rank(const struct rank *r, int sig) {
    if (r->pid && kill(-r->pid, sig) < 0 && errno == ESRCH) (void)kill(r->pid, sig);
}

static int handle_kill(struct conenter *c, struct cursor *body) {
    int32_t id = (int32_t)take_u32(body);
    int sig = (int)take_u32(body);
    for (size_t i = 0; i < c->n_ranks && !body->bad; i++)
        if (id == -1 || c->ranks[i].id == id) signal_rank(&c->ranks[i], sig);
    return 0;
}

static int handle_release(struct conenter *c, struct cursor *body) {
    struct rank *r = find_id(c, (int32_t)take_u32(body));
    if (r && r->traced && !r->releasing) r->releasing = ptrace(PTRACE_INTERRUPT, r->pid, NULL, NULL) == 0;
    return 0;
}

static int handle_frame(struct conenter *c, const struct frame *f) {
    struct cursor body = {f->payload, f->payload + f->len, false};
    switch (f->type) {
    case FRAME_SETUP: return handle_setup(c, &body);
    case FRAME_ENV: return handle_env(c, &body);
    case FRAME_SPAWN: return handle_spawn(c, &body);
    case FRAME_KILL: return handle_kill(c, &body);
    case FRAME_RELEASE: return handle_release(c, &body);
    default: errno = EPROTO; return -1;
    }
}

static int read_agent(struct conenter *c) {
    struct frame f;
    int got = inbox_fill(&c->in), more;
    if (got <= 0) return got < 0 ? -1 : 1;
    while ((more = inbox_next(&c->in, &f)) > 0)
        if (handle_frame(c, &f) < 0) return -1;
    return more;
}

/* --- what becomes of ranks ---------------------------------------------------------------------------------- */

static int read_start_records(struct conenter *c) {
    struct start_record record;
    while (read(c->error_read_fd, &record, sizeof record) == (ssize_t)sizeof record) {
        int32_t started[2] = {record.id, record.host_pid}, failed[2] = {record.id, record.error};
        int rc = record.error ? put_error(&c->out, FRAME_NOSTART, failed, 2, record.step, record.object)
                              : put_frame(&c->out, FRAME_STARTED, started, sizeof started);
        if (rc < 0) return -1;
    }
    return 0;
}

static void resume(struct rank *r, int status) {
    int sig = WSTOPSIG(status), event = status >> 16;
    bool group_stop = event == PTRACE_EVENT_STOP && sig != SIGTRAP;
    if (event == PTRACE_EVENT_STOP || event == PTRACE_EVENT_EXIT) sig = 0;
    if (r->releasing) {
        if (ptrace(PTRACE_DETACH, r->pid, NULL, (void *)(intptr_t)sig) == 0) r->traced = false;
    } else {
        ptrace(group_stop ? PTRACE_LISTEN : PTRACE_CONT, r->pid, NULL, (void *)(intptr_t)sig);
    }
}

static void handle_stop(struct conenter *c, struct rank *r, int status) {
    if (status >> 16 == PTRACE_EVENT_EXIT) {
        if (!find_mpi_library(c->setup.proc_fd, r->pid, r->mpi, sizeof r->mpi)) r->mpi[0] = 0;
        r->releasing = true;
    }
    resume(r, status);
}

static int handle_exit(struct conenter *c, struct rank *r, int status) {
    unsigned char text[2 * sizeof(int32_t) + sizeof r->mpi];
    int32_t ints[2] = {r->id, status};
    size_t n = strlen(r->mpi) + 1;
    if (read_start_records(c) < 0) return -1; /* why it did not start goes before that it ended */
    r->pid = 0;
    memcpy(text, ints, sizeof ints);
    memcpy(text + sizeof ints, r->mpi, n);
    return put_frame(&c->out, FRAME_EXITED, text, sizeof ints + n);
}

static int reap(struct conenter *c) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct rank *r = find_rank(c, pid);
        if (!r) continue; /* an orphan that we inherited, or the FUSE helper */
        if (WIFSTOPPED(status))
            handle_stop(c, r, status);
        else if (handle_exit(c, r, status) < 0)
            return -1;
    }
    return 0;
}

static int read_signals(struct conenter *c) {
    struct signalfd_siginfo info;
    while (read(c->signal_fd, &info, sizeof info) > 0) continue;
    return reap(c);
}

/* --- the end ------------------------------------------------------------------------------------------------ */

static void kill_children(const struct conenter *c) {
    char name[64];
    int pid;
    snprintf(name, sizeof name, "self/task/%d/children", (int)getpid());
    int fd = openat(c->setup.proc_fd, name, O_RDONLY | O_CLOEXEC);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    if (!f) {
        if (fd >= 0) close(fd);
        return;
    }
    while (fscanf(f, "%d", &pid) == 1) (void)kill(pid, SIGKILL);
    fclose(f);
}

/* Ranks first, then whatever they left: each round kills the present children and inherits theirs. */
static void kill_everything(struct conenter *c) {
    struct timespec pause = {0, 2000000};
    for (size_t i = 0; i < c->n_ranks; i++) signal_rank(&c->ranks[i], SIGKILL);
    for (int round = 0; round < LAST_KILL_ROUNDS; round++) {
        pid_t pid;
        int status;
        kill_children(c);
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            if (WIFSTOPPED(status)) ptrace(PTRACE_DETACH, pid, NULL, NULL);
        if (pid < 0 && errno == ECHILD) return;
        nanosleep(&pause, NULL);
    }
}

static int serve(struct conenter *c) {
    struct pollfd p[3] = {{c->control_fd, POLLIN, 0}, {c->signal_fd, POLLIN, 0}, {c->error_read_fd, POLLIN, 0}};
    for (;;) {
        int rc = 0, ready = poll(p, 3, c->out.len > 0 ? 0 : -1);
        if (ready < 0 && errno != EINTR) return -1;
        if (ready == 0 && flush_frames(&c->out) < 0) return -1;
        if (ready <= 0) continue;
        if (p[2].revents) rc = read_start_records(c);
        if (rc == 0 && p[1].revents) rc = read_signals(c);
        if (rc == 0 && p[0].revents) rc = read_agent(c);
        if (rc) return rc > 0 ? 0 : -1;
    }
}

static int move_up(int fd) {
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_OWN_FD);
    if (moved >= 0) close(fd);
    return moved;
}

/* What we inherit as ignored (SIGPIPE from Python) our ranks would inherit too. Once, not 64 system calls per rank. */
static void default_signals(void) {
    for (int sig = 1; sig < NSIG; sig++) signal(sig, SIG_DFL);
}

static int open_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    /* The terminal's signals are the agent's business; conenter ends with its socket only. */
    for (const int *sig = (const int[]){SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGTSTP, SIGPIPE, SIGUSR1, SIGUSR2, 0}; *sig;
         sig++)
        sigaddset(&set, *sig);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) return -1;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -1 : move_up(fd);
}

/* Descriptor 3 becomes the ranks' PMI socket, so our own go above 9 and /dev/null keeps 3 from being handed out. */
static int start_up(struct conenter *c) {
    int pipe_fds[2];
    c->control_fd = move_up(CONTROL_FD);
    if (c->control_fd < 0 || open("/dev/null", O_RDWR | O_CLOEXEC) != CONTROL_FD) return -1;
    c->in.fd = c->out.fd = c->control_fd;
    default_signals();
    c->signal_fd = open_signals();
    if (c->signal_fd < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0) return -1;
    /* Only our end: a child's report must not be lost to a full pipe. */
    if (fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK) < 0) return -1;
    c->error_read_fd = move_up(pipe_fds[0]);
    c->error_write_fd = move_up(pipe_fds[1]);
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->error_read_fd < 0 || c->error_write_fd < 0 || proc < 0) return -1;
    c->setup = (struct setup){.proc_fd = move_up(proc), .root_fd = -1, .step = "", .object = ""};
    c->setup.host_proc_fd = c->setup.proc_fd;
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

int main(void) {
    static struct conenter c;
    int rc = 1;
    if (start_up(&c) < 0) {
        perror("conenter: start (it is run by lwkpm, with its control socket as descriptor 3)");
        goto out;
    }
    rc = serve(&c) < 0;
    int why = errno;
    (void)flush_frames(&c.out); /* a container that could not be made is news, too */
    errno = why;
    if (rc && c.ready && errno != EPIPE) perror("conenter: lost the agent's protocol");
    kill_everything(&c);
out:
    for (size_t i = 0; i < c.n_envs; i++) free(c.envs[i].text);
    free(c.envs);
    free(c.ranks);
    free(c.in.data);
    return rc;
}
