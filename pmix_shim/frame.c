#include "frame.h"
#include "wire.h"

#include <string.h>

static const char NO_HEADER[] = "      ";

void frame_begin(struct text *t, const char *verb) {
    text_add(t, NO_HEADER);
    frame_add(t, "cmd", verb);
}

void frame_add(struct text *t, const char *key, const char *value) {
    text_add(t, key);
    text_add(t, "=");
    for (const char *end; (end = strchr(value, ';')); value = end + 1) {
        text_add_n(t, value, (size_t)(end - value));
        text_add(t, ";;");
    }
    text_add(t, value);
    text_add(t, ";");
}

void frame_add_int(struct text *t, const char *key, int value) {
    text_add(t, key);
    text_add(t, "=");
    text_add_int(t, value);
    text_add(t, ";");
}

void frame_add_numbered(struct text *t, const char *key, int number, const char *value) {
    text_add(t, key);
    text_add_int(t, number);
    frame_add(t, "", value);
}

/* Left-justified, which tells our server, too, that `;` is doubled here. */
bool frame_end(struct text *t) {
    struct text length = {0};
    bool fits = !t->failed && t->len - FRAME_HEADER < FRAME_MAX;
    if (fits) text_add_int(&length, (int)(t->len - FRAME_HEADER));
    fits = fits && !length.failed;
    if (fits) memcpy(t->at, length.at, length.len);
    text_free(&length);
    return fits;
}

/* The value at `at`, halved where doubled; what is behind its `;`, NULL without one. */
static char *cut_value(char *at) {
    char *to = at;
    for (; *at; *to++ = *at++) {
        if (*at != ';') continue;
        if (at[1] != ';') {
            *to = 0;
            return at + 1;
        }
        at++;
    }
    return NULL;
}

bool frame_parse(char *payload, struct reply *r) {
    r->count = 0;
    for (char *at = payload; *at;) {
        char *key = at, *equals = strpbrk(at, "=;");
        if (!equals || *equals == ';') return false;
        *equals = 0;
        at = cut_value(equals + 1);
        if (!at) return false;
        if (r->count == REPLY_PAIRS_MAX) continue;
        r->pairs[r->count].key = key;
        r->pairs[r->count++].value = equals + 1;
    }
    return r->count > 0 && strcmp(r->pairs[0].key, "cmd") == 0;
}

const char *reply_value(const struct reply *r, const char *key) {
    for (int i = 0; i < r->count; i++)
        if (strcmp(r->pairs[i].key, key) == 0) return r->pairs[i].value;
    return NULL;
}

bool reply_int(const struct reply *r, const char *key, int *number) {
    const char *value = reply_value(r, key);
    return value && parse_int(value, number);
}
