/* What the parts of libpmi.so.0 share. */
#ifndef LWKPM_SHIM_PMI1_H
#define LWKPM_SHIM_PMI1_H

#include "pmi.h"
#include "text.h"
#include "wire.h"

enum { KVSNAME_MAX = 256, PORT_MAX = 1024, SIZE_MAX_RANKS = 1 << 24 };

struct pmi1 {
    struct wire wire;
    bool ready;     /* between PMI_Init and PMI_Finalize */
    bool singleton; /* no launcher */
    int size, rank;
    int kvsname_max, keylen_max, vallen_max;
    int spaces; /* made by PMI_KVS_Create */
    char kvsname[KVSNAME_MAX];
};

extern struct pmi1 pmi1;

/* Sends `request` (freed here) and takes the answer `cmd=<answer>`. PMI_FAIL: no such answer came, or one with rc
 * not 0. `line` is NUL-terminated and holds until the next request. */
int pmi1_ask(struct text *request, const char *answer, char **line);
/* The same for a request of fixed text. */
int pmi1_ask_plain(const char *request, const char *answer, char **line);

/* The value of a word `key=value` of an answer, ended by a NUL written over its blank; NULL: no such word. */
char *pmi1_word(char *line, const char *key);
bool pmi1_number(const char *line, const char *key, int *number);
/* All behind ` key=` to the line's end, which is cut off from the words before it. */
char *pmi1_rest(char *line, const char *key);

/* A key's value from the server, in an answer's buffer. */
int pmi1_fetch(const char *kvsname, const char *key, char **value);

/* Every call: PMI_ERR_INIT unless initialized, else the lock is taken and pmi1_leave gives it back. */
int pmi1_enter(void);
int pmi1_leave(int code);

#endif
