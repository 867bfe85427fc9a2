#define _GNU_SOURCE
#include "wire.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { CONNECT_SECONDS = 30 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void wire_lock(void) {
    pthread_mutex_lock(&mutex);
}

void wire_unlock(void) {
    pthread_mutex_unlock(&mutex);
}

/* PMI_DEBUG=1 (any PMI-1 client) and PMI2_DEBUG=1 (libpmi2) show the traffic. */
static void trace(const char *way, const char *data, size_t n) {
    const char *one = getenv("PMI_DEBUG"), *two = getenv("PMI2_DEBUG");
    if ((one && *one && *one != '0') || (two && *two && *two != '0'))
        fprintf(stderr, "lwkpm pmi %s %.*s%s", way, (int)n, data, n && data[n - 1] == '\n' ? "" : "\n");
}

/* --- connecting ------------------------------------------------------------------------------------------------ */

static int try_address(const struct addrinfo *a) {
    struct timeval limit = {.tv_sec = CONNECT_SECONDS}, none = {0};
    int one = 1, fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0) return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit); /* connect obeys it too */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
        close(fd);
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none);
    return fd;
}

/* The last colon divides, so that ::1:4000 and [::1]:4000 are understood. */
static int connect_to(const char *place) {
    char host[256];
    int number, fd = -1;
    const char *colon = strrchr(place, ':'), *begin = place;
    if (!colon || !parse_int(colon + 1, &number) || number < 1 || number > 65535) return -1;
    size_t n = (size_t)(colon - place);
    if (n >= 2 && place[0] == '[' && place[n - 1] == ']') begin++, n -= 2;
    if (n == 0 || n >= sizeof host) return -1;
    memcpy(host, begin, n);
    host[n] = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    if (getaddrinfo(host, colon + 1, &hints, &list) != 0) return -1;
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) fd = try_address(a);
    freeaddrinfo(list);
    return fd;
}

enum found wire_open(struct wire *w) {
    const char *number = getenv("PMI_FD"), *place = getenv("PMI_PORT");
    w->have = w->used = 0;
    w->fd = -1;
    w->inherited = number != NULL;
    if (number) {
        if (!parse_int(number, &w->fd) || w->fd < 0 || fcntl(w->fd, F_GETFD) < 0) w->fd = -1;
        return w->fd < 0 ? WIRE_BROKEN : WIRE_FD;
    }
    if (!place) return WIRE_NONE;
    w->fd = connect_to(place);
    return w->fd < 0 ? WIRE_BROKEN : WIRE_PORT;
}

void wire_close(struct wire *w) {
    if (w->fd >= 0 && !w->inherited) close(w->fd);
    w->fd = -1;
    w->have = w->used = 0;
}

/* --- sending and receiving ------------------------------------------------------------------------------------- */

static bool give_up(struct wire *w) {
    wire_close(w);
    return false;
}

/* Whether to try again after a failed call: at once after a signal, when ready where someone made it non-blocking. */
static bool again(int fd, short events) {
    struct pollfd p = {.fd = fd, .events = events};
    if (errno == EINTR) return true;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
    return poll(&p, 1, -1) >= 0 || errno == EINTR;
}

bool wire_send(struct wire *w, const char *data, size_t n) {
    trace(">", data, n);
    while (n > 0 && w->fd >= 0) {
        ssize_t done = send(w->fd, data, n, MSG_NOSIGNAL); /* a server that is gone must not kill us by SIGPIPE */
        if (done < 0 && errno == ENOTSOCK) done = write(w->fd, data, n);
        if (done < 0 && !again(w->fd, POLLOUT)) return give_up(w);
        if (done > 0) data += done, n -= (size_t)done;
    }
    return w->fd >= 0;
}

/* One read more. What was given out is dropped first, so pointers into `in` end here. */
static bool fill(struct wire *w) {
    if (w->used) {
        memmove(w->in, w->in + w->used, w->have - w->used);
        w->have -= w->used;
        w->used = 0;
    }
    while (w->fd >= 0 && w->have < ANSWER_MAX) {
        ssize_t got = read(w->fd, w->in + w->have, ANSWER_MAX - w->have);
        if (got > 0) {
            w->have += (size_t)got;
            return true;
        }
        if (got == 0 || !again(w->fd, POLLIN)) break;
    }
    return give_up(w);
}

/* Compares as much of the beginning as is there: nonsense is told before a line end that may never come. */
static bool begins_as_answer(const struct wire *w) {
    static const char start[] = "cmd=";
    size_t n = w->have - w->used;
    return memcmp(w->in + w->used, start, n < sizeof start - 1 ? n : sizeof start - 1) == 0;
}

char *wire_line(struct wire *w) {
    for (;;) {
        char *begin = w->in + w->used, *end = memchr(begin, '\n', w->have - w->used);
        if (!begins_as_answer(w) || (end && memchr(begin, 0, (size_t)(end - begin)))) break;
        if (end) {
            trace("<", begin, (size_t)(end + 1 - begin));
            *end = 0;
            w->used = (size_t)(end + 1 - w->in);
            return begin;
        }
        if (!fill(w)) return NULL;
    }
    give_up(w);
    return NULL;
}

/* The length stands left (Slurm) or right (MPICH) in six characters. -1: neither. */
static int frame_length(const char *header) {
    int n = 0, digits = 0;
    for (int i = 0; i < FRAME_HEADER; i++) {
        bool digit = header[i] >= '0' && header[i] <= '9';
        bool behind = digits > 0 && header[i - 1] == ' ';
        if ((!digit && header[i] != ' ') || (digit && behind)) return -1;
        if (digit) n = n * 10 + (header[i] - '0'), digits++;
    }
    return digits && n <= FRAME_MAX ? n : -1;
}

/* A read moves what is in the buffer, so the length is taken from there again after each. */
char *wire_frame(struct wire *w, size_t *n) {
    for (;;) {
        char *begin = w->in + w->used;
        size_t have = w->have - w->used;
        int length = have < FRAME_HEADER ? 0 : frame_length(begin);
        if (length < 0 || (have && *begin != ' ' && (*begin < '0' || *begin > '9'))) break;
        if (have >= FRAME_HEADER + (size_t)length && have >= FRAME_HEADER) {
            trace("<", begin, FRAME_HEADER + (size_t)length);
            *n = (size_t)length;
            memmove(begin, begin + FRAME_HEADER, *n); /* so that the NUL overwrites nothing of the next message */
            begin[*n] = 0;
            w->used += FRAME_HEADER + *n;
            if (memchr(begin, 0, *n)) break;
            return begin;
        }
        if (!fill(w)) return NULL;
    }
    give_up(w);
    return NULL;
}
