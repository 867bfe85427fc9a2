/* Frames on the control socket. Descriptors queue up in arrival order: the kernel hands them over no later than
 * the first byte of the frame they were sent with, so the frame that needs n takes the oldest n. */
#define _GNU_SOURCE
#include "conenter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int make_room(struct inbox *in, size_t want) {
    if (in->used > 0) {
        memmove(in->data, in->data + in->used, in->len - in->used);
        in->len -= in->used;
        in->used = 0;
    }
    if (in->cap - in->len >= want) return 0;
    size_t cap = (in->len + want) * 2;
    unsigned char *grown = realloc(in->data, cap);
    if (!grown) return -1;
    in->data = grown;
    in->cap = cap;
    return 0;
}

static int keep_fds(struct inbox *in, struct msghdr *m) {
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
        size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        const int *got = (const int *)(const void *)CMSG_DATA(h);
        for (size_t i = 0; i < n; i++) {
            if (in->nfds == sizeof in->fds / sizeof *in->fds) {
                errno = EMFILE;
                return -1;
            }
            memcpy(&in->fds[in->nfds++], got + i, sizeof(int));
        }
    }
    if (!(m->msg_flags & MSG_CTRUNC)) return 0;
    errno = EMFILE; /* the descriptor table is full */
    return -1;
}

int inbox_fill(struct inbox *in) {
    if (make_room(in, 65536) < 0) return -1;
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * MAX_RANK_FDS)];
    } control;
    struct iovec v = {in->data + in->len, in->cap - in->len};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n;
    do {
        n = recvmsg(in->fd, &m, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return errno == ECONNRESET ? 0 : -1;
    if (keep_fds(in, &m) < 0) return -1;
    in->len += (size_t)n;
    return n > 0;
}

int inbox_next(struct inbox *in, struct frame *f) {
    uint32_t head[2];
    size_t have = in->len - in->used;
    if (have < sizeof head) return 0;
    memcpy(head, in->data + in->used, sizeof head);
    if (head[0] > MAX_FRAME_BYTES) {
        errno = EPROTO;
        return -1;
    }
    if (have - sizeof head < head[0]) return 0;
    *f = (struct frame){.type = head[1], .payload = in->data + in->used + sizeof head, .len = head[0]};
    in->used += sizeof head + head[0];
    return 1;
}

int inbox_take_fds(struct inbox *in, int *fds, size_t n) {
    if (n > in->nfds) {
        errno = EPROTO;
        return -1;
    }
    memcpy(fds, in->fds, n * sizeof *fds);
    in->nfds -= n;
    memmove(in->fds, in->fds + n, in->nfds * sizeof *fds);
    return 0;
}

const unsigned char *take_bytes(struct cursor *c, size_t n) {
    if (c->bad || (size_t)(c->end - c->at) < n) {
        c->bad = true;
        return NULL;
    }
    const unsigned char *p = c->at;
    c->at += n;
    return p;
}

uint32_t take_u32(struct cursor *c) {
    uint32_t value = 0;
    const unsigned char *p = take_bytes(c, sizeof value);
    if (p) memcpy(&value, p, sizeof value);
    return value;
}

const char *take_string(struct cursor *c) {
    const unsigned char *nul = c->bad ? NULL : memchr(c->at, 0, (size_t)(c->end - c->at));
    if (!nul) {
        c->bad = true;
        return "";
    }
    const char *s = (const char *)c->at;
    c->at = nul + 1;
    return s;
}

int flush_frames(struct outbox *out) {
    size_t done = 0;
    while (done < out->len) {
        ssize_t n = send(out->fd, out->data + done, out->len - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) return -1;
        if (n > 0) done += (size_t)n;
    }
    out->len = 0;
    return 0;
}

int put_frame(struct outbox *out, uint32_t type, const void *payload, size_t len) {
    uint32_t head[2] = {(uint32_t)len, type};
    if (out->len + sizeof head + len > sizeof out->data && flush_frames(out) < 0) return -1;
    memcpy(out->data + out->len, head, sizeof head);
    if (len > 0) memcpy(out->data + out->len + sizeof head, payload, len);
    out->len += sizeof head + len;
    return 0;
}

int put_error(struct outbox *out, uint32_t type, const int32_t *ints, size_t n_ints, const char *step,
              const char *object) {
    unsigned char text[MAX_NEWS_BYTES];
    size_t at = n_ints * sizeof *ints;
    memcpy(text, ints, at);
    const char *strings[2] = {step, object};
    for (int i = 0; i < 2; i++) {
        size_t n = strnlen(strings[i], 400);
        memcpy(text + at, strings[i], n);
        text[at + n] = 0;
        at += n + 1;
    }
    return put_frame(out, type, text, at);
}
