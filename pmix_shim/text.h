/* Text that grows, and plain numbers. */
#ifndef LWKPM_SHIM_TEXT_H
#define LWKPM_SHIM_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *at;
    size_t len, cap;
    bool failed; /* out of memory: everything added later is dropped */
};

void text_add_n(struct text *t, const char *more, size_t n);
void text_add(struct text *t, const char *more);
void text_add_int(struct text *t, int number);
void text_free(struct text *t);

/* A decimal number and nothing else. Ours because strtol and sscanf of a new glibc are its own newest versions. */
bool parse_int(const char *from, int *number);

/* Copies `from` if it fits with its NUL into `size` bytes. */
bool copy_text(char *to, int size, const char *from);

/* Numbers divided by commas, at most `max` of them; how many, -1 for anything else. */
int parse_ints(const char *from, int *numbers, int max);

#endif
