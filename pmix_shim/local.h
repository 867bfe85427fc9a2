/* The keys of a singleton: without a launcher a process is its own server. */
#ifndef LWKPM_SHIM_LOCAL_H
#define LWKPM_SHIM_LOCAL_H

#include <stdbool.h>

/* Replaces what was put before; false: out of memory. Spaces are told apart by name. */
bool local_put(const char *space, const char *key, const char *value);
/* NULL: nobody put it. Valid until the next put. */
const char *local_get(const char *space, const char *key);
bool local_drop(const char *space, const char *key);
/* The key and value at place `i` of a space, in the order they were put; false: no more. */
bool local_at(const char *space, int i, const char **key, const char **value);

#endif
