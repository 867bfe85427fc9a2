/* conenter: makes a container's namespaces and forks a job's ranks into them. See README.md for the wire. */
#ifndef LWKPM_CONENTER_H
#define LWKPM_CONENTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum frame_type {
    FRAME_SETUP = 1,
    FRAME_ENV = 2,
    FRAME_SPAWN = 3,
    FRAME_KILL = 4,
    FRAME_RELEASE = 5,
    FRAME_READY = 101,
    FRAME_FAILED = 102,
    FRAME_STARTED = 103,
    FRAME_NOSTART = 104,
    FRAME_EXITED = 105,
};

enum {
    CONTROL_FD = 3,
    PMI_FD = 3,
    MAX_FRAME_BYTES = 64 << 20,
    MAX_NEWS_BYTES = 2048,
    MAX_RANK_FDS = 4,
    FIRST_OWN_FD = 10
};

/* --- wire.c: frames on the control socket ------------------------------------------------------------------- */

struct inbox {
    int fd;
    unsigned char *data;
    size_t len, cap, used; /* `used` bytes at the front were handed out and go at the next fill */
    int fds[64];
    size_t nfds;
};

/* News for the agent. They are sent when conenter would wait otherwise: each wakes the agent, which would take a
 * processor from a rank or from conenter itself. */
struct outbox {
    int fd;
    size_t len;
    unsigned char data[16384];
};

struct frame {
    uint32_t type;
    const unsigned char *payload;
    size_t len;
};

/* A reader over a payload: every take_* sets `bad` instead of reading past the end. */
struct cursor {
    const unsigned char *at, *end;
    bool bad;
};

int inbox_fill(struct inbox *in);                         /* >0 data, 0 the agent is gone, -1 errno */
int inbox_next(struct inbox *in, struct frame *f);        /* 1 frame, 0 incomplete, -1 nonsense */
int inbox_take_fds(struct inbox *in, int *fds, size_t n); /* the oldest n descriptors */
uint32_t take_u32(struct cursor *c);
const char *take_string(struct cursor *c);
const unsigned char *take_bytes(struct cursor *c, size_t n);
int put_frame(struct outbox *out, uint32_t type, const void *payload, size_t len); /* len: at most MAX_NEWS_BYTES */
int put_error(struct outbox *out, uint32_t type, const int32_t *ints, size_t n_ints, const char *step,
              const char *object);
int flush_frames(struct outbox *out);

/* --- setup.c: the operations that make a container ---------------------------------------------------------- */

struct setup {
    const char *step;   /* what was being done, for FAILED */
    const char *object; /* to what */
    int proc_fd;        /* /proc in which our own children's pids are valid */
    int host_proc_fd;   /* the host's /proc */
    int root_fd;        /* from `root`, -1 before */
    bool user_ns, pid_ns;
    char scratch[256]; /* from `scratch`: a tmpfs of our own */
    unsigned n_copies;
    uint64_t nofile_soft; /* 0 = leave */
};

int run_setup(struct setup *s, struct cursor *c); /* 0 or -1 with errno, step and object set */

/* --- path.c: paths that stay inside a root ------------------------------------------------------------------ */

int open_in_root(int root_fd, const char *path, int flags);
int make_dirs_in_root(int root_fd, const char *path); /* mkdir -p; returns an O_PATH descriptor */
int make_file_in_root(int root_fd, const char *path); /* an empty file unless there is one; O_PATH descriptor */

/* --- watch.c: which MPI library a rank had loaded when it ended --------------------------------------------- */

bool find_mpi_library(int proc_fd, pid_t pid, char *path, size_t size);

/* --- warm.c: a program's files read ahead of its ranks ------------------------------------------------------- */

void warm_up(const struct setup *s, const char *program, const char *path);

/* --- rank.c: one rank --------------------------------------------------------------------------------------- */

struct rank_start {
    int32_t id;
    const char *cwd;
    char **argv, **envp;
    const unsigned char *cpus;
    size_t cpu_bytes;
    int fds[MAX_RANK_FDS];
    size_t nfds;
};

/* What a child that could not become its program leaves on the error pipe (written whole: < PIPE_BUF). */
struct start_record {
    int32_t id;
    int32_t error; /* 0: not an error, `host_pid` of a rank in a new pid namespace */
    int32_t host_pid;
    char step[32];
    char object[256];
};

pid_t fork_rank(const struct rank_start *r, const struct setup *s, int error_fd);

#endif
