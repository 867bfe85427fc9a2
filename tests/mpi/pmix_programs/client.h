/* What the PMIx clients of the tests share: start, end, and directives in one line each. */
#ifndef LWKPM_TEST_CLIENT_H
#define LWKPM_TEST_CLIENT_H
#include <pmix.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pmix_proc_t me;

static inline void start(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    pmix_status_t status = PMIx_Init(&me, NULL, 0);
    if (status != PMIX_SUCCESS) {
        printf("init %d\n", status);
        exit(1);
    }
}

static inline int finish(void) { return PMIx_Finalize(NULL, 0) == PMIX_SUCCESS ? 0 : 1; }

/* Everybody of a namespace. */
static inline pmix_proc_t all_of(const char *nspace) {
    pmix_proc_t all;
    PMIX_LOAD_PROCID(&all, nspace, PMIX_RANK_WILDCARD);
    return all;
}

static inline pmix_status_t barrier(void) {
    pmix_proc_t all = all_of(me.nspace);
    return PMIx_Fence(&all, 1, NULL, 0);
}

static inline uint32_t number_of(const pmix_proc_t *proc, const char *key) {
    pmix_value_t *value = NULL;
    uint32_t number = 9999;
    if (PMIx_Get(proc, key, NULL, 0, &value) == PMIX_SUCCESS) {
        number = value->data.uint32;
        PMIX_VALUE_RELEASE(value);
    }
    return number;
}

/* Start `count` processes of this program with one argument; the status. */
static inline pmix_status_t spawn_self(char *program, char *mode, int count, char *nspace) {
    pmix_app_t app;
    char *argv[] = {program, mode, NULL};
    PMIX_APP_CONSTRUCT(&app);
    app.cmd = program;
    app.argv = argv;
    app.maxprocs = count;
    return PMIx_Spawn(NULL, 0, &app, 1, nspace);
}
#endif
