#define _GNU_SOURCE
#include "local.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    struct entry *next;
    char *space, *key, *value;
};

static struct entry *entries;

static void free_entry(struct entry *e) {
    free(e->space);
    free(e->key);
    free(e->value);
    free(e);
}

/* The link that leads to an entry, or the last one. */
static struct entry **find(const char *space, const char *key) {
    struct entry **link = &entries;
    while (*link && (strcmp((*link)->key, key) != 0 || strcmp((*link)->space, space) != 0)) link = &(*link)->next;
    return link;
}

bool local_put(const char *space, const char *key, const char *value) {
    struct entry **link = find(space, key), *e = calloc(1, sizeof *e);
    if (!e) return false;
    e->space = strdup(space);
    e->key = strdup(key);
    e->value = strdup(value);
    if (!e->space || !e->key || !e->value) {
        free_entry(e);
        return false;
    }
    struct entry *old = *link;
    e->next = old ? old->next : NULL;
    *link = e;
    if (old) free_entry(old);
    return true;
}

const char *local_get(const char *space, const char *key) {
    struct entry *e = *find(space, key);
    return e ? e->value : NULL;
}

bool local_drop(const char *space, const char *key) {
    struct entry **link = find(space, key), *e = *link;
    if (!e) return false;
    *link = e->next;
    free_entry(e);
    return true;
}

bool local_at(const char *space, int i, const char **key, const char **value) {
    for (struct entry *e = entries; e; e = e->next) {
        if (strcmp(e->space, space) != 0 || i-- > 0) continue;
        *key = e->key;
        *value = e->value;
        return true;
    }
    return false;
}
