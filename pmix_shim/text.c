#include "text.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

void text_add_n(struct text *t, const char *more, size_t n) {
    if (t->failed) return;
    if (t->len + n + 1 > t->cap) {
        size_t cap = (t->len + n + 1) * 2;
        char *grown = realloc(t->at, cap);
        if (!grown) {
            t->failed = true;
            return;
        }
        t->at = grown;
        t->cap = cap;
    }
    memcpy(t->at + t->len, more, n);
    t->len += n;
    t->at[t->len] = 0;
}

void text_add(struct text *t, const char *more) {
    text_add_n(t, more, strlen(more));
}

void text_add_int(struct text *t, int number) {
    char digits[16], *at = digits + sizeof digits;
    unsigned rest = number < 0 ? 0u - (unsigned)number : (unsigned)number;
    *--at = 0;
    do {
        *--at = (char)('0' + rest % 10);
    } while (rest /= 10);
    if (number < 0) *--at = '-';
    text_add(t, at);
}

void text_free(struct text *t) {
    free(t->at);
    *t = (struct text){0};
}

/* One number; where it ends, NULL when there is none or it is no int. */
static const char *take_int(const char *from, int *number) {
    long long value = 0;
    bool minus = *from == '-';
    const char *at = from + minus;
    for (; *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (*at - '0');
        if (value > (long long)INT_MAX + minus) return NULL;
    }
    if (at == from + minus) return NULL;
    *number = (int)(minus ? -value : value);
    return at;
}

bool parse_int(const char *from, int *number) {
    int value;
    const char *end = take_int(from, &value);
    if (!end || *end) return false;
    *number = value;
    return true;
}

bool copy_text(char *to, int size, const char *from) {
    size_t n = strlen(from);
    if (size <= 0 || n >= (size_t)size) return false;
    memcpy(to, from, n + 1);
    return true;
}

int parse_ints(const char *from, int *numbers, int max) {
    int count = 0;
    while (count < max) {
        from = take_int(from, &numbers[count]);
        if (!from || (*from && *from != ',')) return -1;
        count++;
        if (!*from++) return count;
    }
    return count;
}
