/* connect: two ranks spawn two, connect with them, read each other's job data and data put, disconnect.
   With "limit" they give a time limit; with "die" one child ends instead of connecting; with "stranger" they connect with a job that is not. */
#include "client.h"

static const char *mode = "";

/* Rank 0 tells the children who their parent is through what they were spawned with. */
static void parent_of(pmix_proc_t *parent) {
    pmix_value_t *value = NULL;
    pmix_status_t status = PMIx_Get(&me, PMIX_PARENT_ID, NULL, 0, &value);
    if (status != PMIX_SUCCESS) {
        printf("no parent: %d\n", status);
        exit(1);
    }
    *parent = *value->data.proc;
    printf("parent %s %u\n", parent->nspace, parent->rank);
    PMIX_VALUE_RELEASE(value);
}

static void put_number(void) {
    pmix_value_t value;
    value.type = PMIX_UINT32;
    value.data.uint32 = 100 + me.rank;
    PMIx_Put(PMIX_GLOBAL, "lwkpm.number", &value);
    PMIx_Commit();
}

static int meet(const char *other) {
    pmix_proc_t both[2] = {all_of(me.nspace), all_of(other)}, second;
    pmix_info_t limit;
    uint32_t seconds = 20;
    PMIX_INFO_LOAD(&limit, PMIX_TIMEOUT, &seconds, PMIX_UINT32);
    if (strcmp(me.nspace, other) > 0) both[0] = all_of(other), both[1] = all_of(me.nspace);
    pmix_status_t status = PMIx_Connect(both, 2, &limit, !strcmp(mode, "limit"));
    printf("connect %d\n", status);
    if (status != PMIX_SUCCESS) return finish();
    second = all_of(other);
    printf("size %u\n", number_of(&second, PMIX_JOB_SIZE));
    second.rank = 1;
    printf("number %u\n", number_of(&second, "lwkpm.number"));
    printf("disconnect %d\n", PMIx_Disconnect(both, 2, NULL, 0));
    return finish();
}

static int child(void) {
    pmix_proc_t parent;
    put_number();
    parent_of(&parent);
    if (!strcmp(mode, "die") && me.rank == 1) _exit(0);
    return meet(parent.nspace);
}

int main(int argc, char **argv) {
    char nspace[PMIX_MAX_NSLEN + 1] = "";
    pmix_value_t value, *given = NULL;
    pmix_proc_t root;
    start();
    if (argc > 2) {
        mode = argv[2];
    } else if (argc > 1) {
        mode = argv[1];
    }
    value.type = PMIX_BOOL;
    if (PMIx_Get(&me, PMIX_SPAWNED, NULL, 0, &given) == PMIX_SUCCESS) return child();
    put_number();
    if (!strcmp(mode, "stranger")) return meet("no-such-job");
    if (me.rank == 0) {
        pmix_status_t status = spawn_self(argv[0], (char *)mode, 2, nspace);
        if (status != PMIX_SUCCESS) printf("spawn %d\n", status);
        value.type = PMIX_STRING;
        value.data.string = nspace;
        PMIx_Put(PMIX_GLOBAL, "lwkpm.children", &value);
        PMIx_Commit();
    }
    barrier();
    PMIX_LOAD_PROCID(&root, me.nspace, 0);
    if (PMIx_Get(&root, "lwkpm.children", NULL, 0, &given) != PMIX_SUCCESS) return 1;
    return meet(given->data.string);
}
