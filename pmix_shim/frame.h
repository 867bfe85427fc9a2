/* PMI-2's messages: `cmd=<verb>;key=value;...;`, any `;` within a value doubled. */
#ifndef LWKPM_SHIM_FRAME_H
#define LWKPM_SHIM_FRAME_H

#include "text.h"

enum { REPLY_PAIRS_MAX = 64 };

struct reply {
    int count;
    struct {
        char *key, *value;
    } pairs[REPLY_PAIRS_MAX];
};

/* Space for the header is left in front of the first item, which is `cmd`. */
void frame_begin(struct text *t, const char *verb);
void frame_add(struct text *t, const char *key, const char *value);
void frame_add_int(struct text *t, const char *key, int value);
/* `key` and a number without anything between, as of arrays. */
void frame_add_numbered(struct text *t, const char *key, int number, const char *value);
/* Writes the header; false: the message is longer than any server takes. */
bool frame_end(struct text *t);

/* Splits a payload where it stands; false: it is no PMI-2 message. More pairs than REPLY_PAIRS_MAX are dropped. */
bool frame_parse(char *payload, struct reply *r);
/* The value of the first such key, NULL without one. */
const char *reply_value(const struct reply *r, const char *key);
bool reply_int(const struct reply *r, const char *key, int *number);

#endif
