/* The connection of a rank to its PMI server: bytes out, whole PMI-1 lines and PMI-2 frames in. */
#ifndef LWKPM_SHIM_WIRE_H
#define LWKPM_SHIM_WIRE_H

#include <stdbool.h>
#include <stddef.h>

/* One answer: the server's longest value (61440 bytes), every `;` of it doubled, and what stands around it. */
enum { ANSWER_MAX = 128 << 10 };
enum { FRAME_HEADER = 6, FRAME_MAX = 65536 };

struct wire {
    int fd;            /* -1: none, or given up after nonsense */
    bool inherited;    /* PMI_FD: the launcher's descriptor, which stays open for a later init */
    size_t have, used; /* bytes in `in`, and how many of them belong to answers already given out */
    char in[ANSWER_MAX + 1];
};

enum found { WIRE_BROKEN = -1, WIRE_NONE = 0, WIRE_FD, WIRE_PORT };

/* Connects as the environment says: PMI_FD, else PMI_PORT=host:port. WIRE_NONE: no launcher, a world of one. */
enum found wire_open(struct wire *w);

/* Both end the connection when they fail: after half a message nothing on it can be trusted. */
bool wire_send(struct wire *w, const char *data, size_t n);
/* The next line, its end replaced by NUL. Valid until the next call; NULL: failed. */
char *wire_line(struct wire *w);
/* The payload of the next frame with a NUL behind it; `n` bytes, of which none is NUL. */
char *wire_frame(struct wire *w, size_t *n);

/* Forgets the connection; an inherited descriptor is left open. */
void wire_close(struct wire *w);

/* All calls into one library happen one after the other, whatever thread they come from. */
void wire_lock(void);
void wire_unlock(void);

#endif
