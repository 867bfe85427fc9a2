/* What the parts of libpmi2.so.0 share. */
#ifndef LWKPM_SHIM_PMI2_CORE_H
#define LWKPM_SHIM_PMI2_CORE_H

#include "frame.h"
#include "pmi2.h"
#include "wire.h"

struct pmi2 {
    struct wire wire;
    bool ready;     /* between PMI2_Init and PMI2_Finalize */
    bool singleton; /* no launcher */
    int spawned, size, rank, appnum;
};

extern struct pmi2 pmi2;

/* Where a singleton keeps what others keep with the server. */
extern const char pmi2_keys[], pmi2_node[], pmi2_names[];

/* Sends `request` (ended and freed here) and takes the answer `<verb>-response`. PMI2_ERR_OTHER: no such answer came,
 * or one with rc not 0. The reply's texts hold until the next request. */
int pmi2_ask(struct text *request, const char *verb, struct reply *r);

/* Every call: PMI2_ERR_INIT unless initialized, else the lock is taken and pmi2_leave gives it back. */
int pmi2_enter(void);
int pmi2_leave(int code);

/* `from`, as much of it as fits: as every PMI-2 library does it. False: it was cut. */
bool pmi2_copy(char *to, int size, const char *from);

/* A key or a name within PMI-2's limits. */
int pmi2_check_key(const char *key);
int pmi2_check_value(const char *value);

#endif
