#include "mapping.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static const char HEAD[] = "(vector";

struct block {
    int first, nodes, each;
};

static bool take_number(const char **at, int *number) {
    const char *start = *at;
    long long value = 0;
    for (; **at >= '0' && **at <= '9' && value <= INT_MAX; ++*at) value = value * 10 + (**at - '0');
    *number = (int)value;
    return *at != start && value <= INT_MAX;
}

static bool take_char(const char **at, char c) {
    if (**at != c) return false;
    ++*at;
    return true;
}

/* `,(X,Y,Z)`. A block of no ranks would make walking endless. */
static bool take_block(const char **at, struct block *b) {
    return take_char(at, ',') && take_char(at, '(') && take_number(at, &b->first) && take_char(at, ',') &&
           take_number(at, &b->nodes) && take_char(at, ',') && take_number(at, &b->each) && take_char(at, ')') &&
           b->nodes > 0 && b->each > 0;
}

static bool well_formed(const char *mapping) {
    struct block b;
    if (strncmp(mapping, HEAD, sizeof HEAD - 1) != 0) return false;
    const char *at = mapping + sizeof HEAD - 1;
    bool any = false;
    while (*at == ',') {
        if (!take_block(&at, &b)) return false;
        any = true;
    }
    return any && at[0] == ')' && at[1] == 0;
}

struct walk {
    const char *mapping, *at;
    struct block b;
    int node, left; /* nodes done of the block, ranks left on the present node */
};

/* The node of the next rank. A vector shorter than the job starts again. */
static long long next_node(struct walk *w) {
    if (w->left == 0 && ++w->node >= w->b.nodes) {
        if (*w->at != ',') w->at = w->mapping + sizeof HEAD - 1;
        (void)take_block(&w->at, &w->b);
        w->node = 0;
    }
    if (w->left == 0) w->left = w->b.each;
    w->left--;
    return (long long)w->b.first + w->node;
}

int ranks_of_node(const char *mapping, int rank, int size, int *ranks, int room) {
    long long own = -1;
    int count = 0;
    if (!well_formed(mapping) || rank < 0 || rank >= size) return -1;
    struct walk start = {mapping, mapping + sizeof HEAD - 1, {0, 0, 0}, 0, 0}, w = start;
    for (int i = 0; i <= rank; i++) own = next_node(&w);
    w = start;
    for (int i = 0; i < size; i++) {
        if (next_node(&w) != own) continue;
        if (count < room) ranks[count] = i;
        count++;
    }
    return count;
}
