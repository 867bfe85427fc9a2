/* The operations that make a container, in the order the agent decided. Each takes its strings from the frame and
 * returns 0, or -1 with errno; `step` and `object` then say what failed. Mounts live in a mount namespace of our
 * own: they vanish with the last process in it, however that ends. */
#define _GNU_SOURCE
#include "conenter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/loop.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WORDS = 64, LOOP_TRIES = 64, LOOP_BLOCK_BYTES = 4096, FUSE_WAIT_MS = 10000 };

struct operation {
    const char *name;
    int min_words; /* after the name */
    int (*run)(struct setup *s, const char *const *w, int n);
};

static bool has_word(const char *list, const char *word) {
    size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += n)
        if ((at == list || at[-1] == ',') && (at[n] == 0 || at[n] == ',')) return true;
    return false;
}

static const char *fd_path(int fd, char *text, size_t size) {
    snprintf(text, size, "/proc/self/fd/%d", fd);
    return text;
}

static int write_proc(const struct setup *s, const char *name, const char *text) {
    int fd = openat(s->host_proc_fd, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t n = write(fd, text, strlen(text));
    int kept = errno;
    close(fd);
    errno = kept;
    return n < 0 ? -1 : 0;
}

/* The caller inside is the caller outside: PMIx's native security compares ids, a root-mapped rank hangs. */
static int map_ids(struct setup *s, uid_t uid, gid_t gid) {
    char text[64];
    if (write_proc(s, "self/setgroups", "deny") < 0) return -1;
    snprintf(text, sizeof text, "%u %u 1", uid, uid);
    if (write_proc(s, "self/uid_map", text) < 0) return -1;
    snprintf(text, sizeof text, "%u %u 1", gid, gid);
    return write_proc(s, "self/gid_map", text);
}

/* The first process of a new pid namespace does the work; this one only waits for it and ends as it did. */
static int enter_pid_namespace(struct setup *s) {
    pid_t pid = fork();
    if (pid < 0) return -1;
    if (pid > 0) {
        int status = 0;
        close_range(3, ~0U, 0); /* above all the control socket: the agent must see it close with the worker */
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
    s->pid_ns = true;
    return prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static int op_unshare(struct setup *s, const char *const *w, int n) {
    static const struct {
        const char *name;
        int flag;
    } kinds[] = {{"user", CLONE_NEWUSER}, {"mnt", CLONE_NEWNS}, {"ipc", CLONE_NEWIPC}, {"pid", CLONE_NEWPID}};
    uid_t uid = geteuid();
    gid_t gid = getegid();
    int flags = 0;
    (void)n;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (has_word(w[0], kinds[i].name)) flags |= kinds[i].flag;
    if (unshare(flags) < 0) return -1;
    s->user_ns = flags & CLONE_NEWUSER;
    if (s->user_ns && (map_ids(s, uid, gid) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)) return -1;
    /* Slave, not private: what the host unmounts later goes away here too; nothing of ours gets out. */
    if ((flags & CLONE_NEWNS) && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) return -1;
    return flags & CLONE_NEWPID ? enter_pid_namespace(s) : 0;
}

static int op_scratch(struct setup *s, const char *const *w, int n) {
    (void)n;
    snprintf(s->scratch, sizeof s->scratch, "%s", w[0]);
    return mount("lwkpm", w[0], "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
}

static int op_root(struct setup *s, const char *const *w, int n) {
    (void)n;
    int fd = open(w[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -1;
    s->root_fd = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_OWN_FD);
    close(fd);
    return s->root_fd < 0 ? -1 : 0;
}

/* DST as a descriptor: inside the root once there is one, a plain host path before. */
static int open_target(struct setup *s, const char *path, bool directory) {
    if (s->root_fd >= 0) return directory ? make_dirs_in_root(s->root_fd, path) : make_file_in_root(s->root_fd, path);
    if (directory && mkdir(path, 0755) < 0 && errno != EEXIST) return -1;
    return open(path, O_PATH | O_CLOEXEC);
}

static int op_mkdir(struct setup *s, const char *const *w, int n) {
    (void)n;
    int fd = open_target(s, w[0], true);
    if (fd < 0) return -1;
    close(fd);
    return 0;
}

/* Remounting must repeat the flags the mount already has: in a user namespace they are locked (EPERM). */
static int make_read_only(const char *path) {
    static const struct {
        unsigned long stat, mount;
    } kept[] = {{ST_NOSUID, MS_NOSUID},   {ST_NODEV, MS_NODEV},           {ST_NOEXEC, MS_NOEXEC},
                {ST_NOATIME, MS_NOATIME}, {ST_NODIRATIME, MS_NODIRATIME}, {ST_RELATIME, MS_RELATIME}};
    struct statvfs v;
    unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY;
    if (statvfs(path, &v) < 0) return -1;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (v.f_flag & kept[i].stat) flags |= kept[i].mount;
    return mount(NULL, path, NULL, flags, NULL);
}

static int bind_at(struct setup *s, const char *source, const char *target, const char *flags, bool directory) {
    char at[64];
    int fd = open_target(s, target, directory), rc;
    if (fd < 0) return -1;
    rc = mount(source, fd_path(fd, at, sizeof at), NULL, MS_BIND | (has_word(flags, "rec") ? MS_REC : 0), NULL);
    close(fd);
    if (rc < 0) return -1;
    if (!has_word(flags, "ro") && !has_word(flags, "rprivate")) return 0;
    /* The name again: the descriptor still shows what lies under the new mount. */
    fd = s->root_fd >= 0 ? open_in_root(s->root_fd, target, O_PATH) : open(target, O_PATH | O_CLOEXEC);
    if (fd < 0) return -1;
    fd_path(fd, at, sizeof at);
    rc = has_word(flags, "ro") ? make_read_only(at) : 0;
    if (rc == 0 && has_word(flags, "rprivate")) rc = mount(NULL, at, NULL, MS_REC | MS_PRIVATE, NULL);
    close(fd);
    return rc;
}

static int op_bind(struct setup *s, const char *const *w, int n) {
    struct stat st;
    int rc = stat(w[0], &st);
    (void)n;
    if (rc == 0) rc = bind_at(s, w[0], w[1], w[2], S_ISDIR(st.st_mode));
    return rc < 0 && has_word(w[2], "nofail") ? 0 : rc;
}

/* squashfs keeps the ends of what it read, which its neighbours begin with, only where a device block is a page
 * (squashfs_bio_read in fs/squashfs/block.c): half as many trips through the loop device for a container's start. Not
 * for images that end within a block, whose end could not be read, nor for ext3, which may have smaller blocks. */
static uint32_t choose_block_size(const char *type, int file_fd, uint64_t offset, uint64_t size) {
    struct stat st;
    if (strcmp(type, "squashfs") != 0 || fstat(file_fd, &st) < 0) return 0;
    uint64_t end = size ? size : (uint64_t)st.st_size - offset;
    return end % LOOP_BLOCK_BYTES == 0 && sysconf(_SC_PAGESIZE) == LOOP_BLOCK_BYTES ? LOOP_BLOCK_BYTES : 0;
}

static int configure_loop(int loop_fd, int file_fd, uint64_t offset, uint64_t size, uint32_t block_size) {
    struct loop_config c = {.fd = (uint32_t)file_fd, .block_size = block_size};
    c.info.lo_offset = offset;
    c.info.lo_sizelimit = size;
    c.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR; /* freed by the kernel with its last mount */
    return ioctl(loop_fd, LOOP_CONFIGURE, &c);
}

/* A free loop device set up over the file: another process may take the same number first (EBUSY), so try again. */
static int open_loop(int control_fd, int file_fd, const char *const *w, char *name, size_t name_size) {
    uint64_t offset = strtoull(w[1], NULL, 10), size = strtoull(w[2], NULL, 10);
    uint32_t block_size = choose_block_size(w[3], file_fd, offset, size);
    for (int i = 0; i < LOOP_TRIES; i++) {
        int number = ioctl(control_fd, LOOP_CTL_GET_FREE);
        if (number < 0) return -1;
        snprintf(name, name_size, "/dev/loop%d", number);
        int fd = open(name, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return -1;
        if (configure_loop(fd, file_fd, offset, size, block_size) == 0) return fd;
        int kept = errno;
        close(fd);
        errno = kept;
        if (kept != EBUSY) return -1;
    }
    return -1;
}

static int op_loop(struct setup *s, const char *const *w, int n) {
    char name[32], at[64];
    int rc = -1, control = -1, loop = -1, target = -1, file = open(w[0], O_RDONLY | O_CLOEXEC);
    (void)n;
    if (file < 0) goto out;
    s->object = "/dev/loop-control";
    control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) goto out;
    loop = open_loop(control, file, w, name, sizeof name);
    if (loop < 0) goto out;
    s->object = w[0];
    target = open_target(s, w[4], true);
    if (target < 0) goto out;
    rc = mount(name, fd_path(target, at, sizeof at), w[3], MS_RDONLY | MS_NOSUID | MS_NODEV,
               strcmp(w[3], "ext3") == 0 ? "noload" : NULL);
out:;
    int kept = errno;
    if (target >= 0) close(target);
    if (loop >= 0) close(loop);
    if (control >= 0) close(control);
    if (file >= 0) close(file);
    errno = kept;
    return rc;
}

/* Ready when the mount point is on another device than it was; an ended helper or the time limit is an error. */
static int wait_for_fuse(const char *target, dev_t before, pid_t helper) {
    struct timespec pause = {0, 1000000};
    for (int ms = 0; ms < FUSE_WAIT_MS; ms++) {
        struct stat st;
        int status;
        if (stat(target, &st) == 0 && st.st_dev != before) return 0;
        if (waitpid(helper, &status, WNOHANG) == helper) {
            errno = EIO;
            return -1;
        }
        nanosleep(&pause, NULL);
    }
    errno = ETIMEDOUT;
    return -1;
}

/* Mounting takes CAP_SYS_ADMIN in our user namespace, which exec takes from a uid other than 0; ambient it survives.
 * Otherwise the helper would fall back to the set-uid fusermount, which has no power in here. */
static int keep_mount_right(void) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &head, data) < 0) return -1;
    data[0].inheritable |= 1U << CAP_SYS_ADMIN;
    if (syscall(SYS_capset, &head, data) < 0) return -1;
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0);
}

static int op_fuse(struct setup *s, const char *const *w, int n) {
    struct stat before;
    const char *argv[MAX_WORDS + 1] = {0};
    memcpy(argv, w + 1, (size_t)(n - 1) * sizeof *argv);
    if (mkdir(w[0], 0755) < 0 && errno != EEXIST) return -1;
    if (stat(w[0], &before) < 0) return -1;
    pid_t helper = fork();
    if (helper < 0) return -1;
    if (helper == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        setsid();
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || (s->user_ns && keep_mount_right() < 0)) _exit(126);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    return wait_for_fuse(w[0], before.st_dev, helper);
}

static int op_overlay(struct setup *s, const char *const *w, int n) {
    char options[4096];
    (void)n;
    for (int i = 1; i < 4; i++)
        if (mkdir(w[i], 0755) < 0 && errno != EEXIST) return -1;
    int len = snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s%s", w[0], w[1], w[2],
                       s->user_ns ? ",userxattr" : "");
    if (len < 0 || (size_t)len >= sizeof options) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return mount("lwkpm", w[3], "overlay", MS_NOSUID | MS_NODEV, options);
}

static int op_proc(struct setup *s, const char *const *w, int n) {
    char at[64];
    (void)n;
    int fd = open_target(s, w[0], true);
    if (fd < 0) return -1;
    int rc = mount("proc", fd_path(fd, at, sizeof at), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    close(fd);
    if (rc < 0) return -1;
    fd = open_in_root(s->root_fd, w[0], O_RDONLY | O_DIRECTORY);
    s->proc_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FIRST_OWN_FD);
    if (fd >= 0) close(fd);
    return s->proc_fd < 0 ? -1 : 0;
}

/* Copies `from` and says whether a line begins with PREFIX. */
static int copy_lines(FILE *from, FILE *to, const char *prefix, bool *found) {
    char *line = NULL;
    size_t room = 0;
    int rc = 0;
    *found = false;
    while (rc == 0 && getline(&line, &room, from) > 0) {
        if (strncmp(line, prefix, strlen(prefix)) == 0) *found = true;
        size_t n = strlen(line);
        if (fputs(line, to) < 0 || (n > 0 && line[n - 1] != '\n' && fputc('\n', to) < 0)) rc = -1;
    }
    free(line);
    return rc;
}

/* A copy with the line, bound over the original: an unprivileged user cannot write to the image's file, not even in
 * the overlay, because its owner has no number in the user namespace. */
static int op_addline(struct setup *s, const char *const *w, int n) {
    char at[64], copy[512];
    bool found;
    int rc = -1, target = open_target(s, w[0], false);
    FILE *from = NULL, *to = NULL;
    (void)n;
    snprintf(copy, sizeof copy, "%s/lines.%u", s->scratch, s->n_copies++);
    if (target < 0) return -1;
    from = fopen(fd_path(target, at, sizeof at), "re");
    to = from ? fopen(copy, "we") : NULL;
    if (!to || copy_lines(from, to, w[1], &found) < 0) goto out;
    if (found || (fprintf(to, "%s\n", w[2]) >= 0 && fflush(to) == 0)) rc = 0;
    if (!found && rc == 0) rc = mount(copy, fd_path(target, at, sizeof at), NULL, MS_BIND, NULL);
out:
    if (to) fclose(to);
    if (from) fclose(from);
    close(target);
    return rc;
}

/* Where an overlay will be mounted, make what PATH needs in its upper layer, beforehand: an unprivileged user may not
 * create names in the image's directories. Links in the image are resolved within it, so that a bind below
 * `/lib64 -> usr/lib64` does not hide the link behind a new directory. */
static int op_target(struct setup *s, const char *const *w, int n) {
    char prefix[4096], real[4096], at[64];
    struct stat source;
    int rc = -1, found = -1, upper = -1, lower = open(w[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
    (void)s, (void)n;
    if (stat(w[3], &source) < 0) source.st_mode = S_IFDIR;
    if (lower < 0 || (size_t)snprintf(prefix, sizeof prefix, "%s", w[2]) >= sizeof prefix) goto out;
    size_t cut = strlen(prefix);
    while ((found = open_in_root(lower, prefix[0] ? prefix : "/", O_PATH)) < 0) {
        while (cut > 0 && prefix[--cut] != '/') continue;
        prefix[cut] = 0;
        if (cut == 0 && (errno != ENOENT && errno != ENOTDIR && errno != ELOOP && errno != EACCES)) goto out;
    }
    rc = 0;
    if (cut == strlen(w[2])) goto out; /* the image has it */
    ssize_t len = readlink(fd_path(found, at, sizeof at), real, sizeof real - 1);
    if (len < 0) goto fail;
    real[len] = 0;
    size_t base = strlen(w[0]);
    if (strncmp(real, w[0], base) != 0 || strlen(real) + strlen(w[2] + cut) >= sizeof real) goto fail;
    strcat(real, w[2] + cut);
    if (mkdir(w[1], 0755) < 0 && errno != EEXIST) goto fail;
    upper = open(w[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (upper < 0) goto fail;
    int made = S_ISDIR(source.st_mode) ? make_dirs_in_root(upper, real + base) : make_file_in_root(upper, real + base);
    if (made < 0) goto fail;
    close(made);
    goto out;
fail:
    rc = -1;
out:;
    int kept = errno;
    if (upper >= 0) close(upper);
    if (found >= 0) close(found);
    if (lower >= 0) close(lower);
    errno = kept;
    return rc;
}

static int op_pivot(struct setup *s, const char *const *w, int n) {
    (void)w, (void)n;
    if (fchdir(s->root_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) return -1;
    if (umount2(".", MNT_DETACH) < 0) return -1;
    return chdir("/");
}

static int op_nofile(struct setup *s, const char *const *w, int n) {
    (void)n;
    s->nofile_soft = strtoull(w[0], NULL, 10);
    return 0;
}

static int op_warm(struct setup *s, const char *const *w, int n) {
    (void)n;
    warm_up(s, w[0], w[1]);
    return 0;
}

static const struct operation operations[] = {
    {"unshare", 1, op_unshare}, {"scratch", 1, op_scratch}, {"root", 1, op_root},   {"mkdir", 1, op_mkdir},
    {"bind", 3, op_bind},       {"loop", 5, op_loop},       {"fuse", 2, op_fuse},   {"overlay", 4, op_overlay},
    {"proc", 1, op_proc},       {"addline", 3, op_addline}, {"pivot", 0, op_pivot}, {"nofile", 1, op_nofile},
    {"target", 4, op_target},   {"warm", 2, op_warm},
};

static int run_operation(struct setup *s, const char *const *words, int n) {
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        const struct operation *op = &operations[i];
        if (strcmp(op->name, words[0]) != 0) continue;
        if (n - 1 < op->min_words) break;
        return op->run(s, words + 1, n - 1);
    }
    errno = EINVAL;
    return -1;
}

int run_setup(struct setup *s, struct cursor *c) {
    while (c->at < c->end) {
        const char *words[MAX_WORDS];
        uint32_t n = take_u32(c);
        if (c->bad || n == 0 || n > MAX_WORDS) break;
        for (uint32_t i = 0; i < n; i++) words[i] = take_string(c);
        if (c->bad) break;
        s->step = words[0];
        s->object = n > 2 && strcmp(words[0], "overlay") != 0 ? words[1] : (n > 1 ? words[n - 1] : "");
        if (run_operation(s, words, (int)n) < 0) return -1;
    }
    if (c->at == c->end && !c->bad) return 0;
    s->step = "setup";
    s->object = "a malformed operation";
    errno = EPROTO;
    return -1;
}
