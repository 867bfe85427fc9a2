/* PMI-2: keys and values, and the ring. */
#include "check.h"
#include "pmi2.h"

static int rank, size;
/* Texts that the wire's marks could break. */
static const char *const HARD[] = {"", ";", ";;", "a;b;;c=d", "rc=-1;", "line\nend", "\xff\x01 "};

static void put_all(void) {
    char key[PMI2_MAX_KEYLEN + 1], value[PMI2_MAX_VALLEN + 2];
    for (int i = 0; i < (int)(sizeof HARD / sizeof *HARD); i++) {
        snprintf(key, sizeof key, "hard;%d=%d", rank, i);
        CHECK(PMI2_KVS_Put(key, HARD[i]) == PMI2_SUCCESS);
    }
    memset(value, 'a' + rank % 26, sizeof value);
    value[PMI2_MAX_VALLEN + 1] = 0;
    CHECK(PMI2_KVS_Put("k", value) == PMI2_ERR_INVALID_VAL_LENGTH);
    value[PMI2_MAX_VALLEN] = 0;
    snprintf(key, sizeof key, "long-%d", rank);
    CHECK(PMI2_KVS_Put(key, value) == PMI2_SUCCESS && PMI2_KVS_Put(value, "v") == PMI2_ERR_INVALID_KEY_LENGTH);
    CHECK(PMI2_KVS_Put("", "v") == PMI2_ERR_INVALID_KEY && PMI2_KVS_Put("k", NULL) == PMI2_ERR_INVALID_VAL);
}

static void get_all(const char *job, int from) {
    char key[PMI2_MAX_KEYLEN + 1], value[PMI2_MAX_VALLEN + 1];
    int length = 99;
    for (int i = 0; i < (int)(sizeof HARD / sizeof *HARD); i++) {
        snprintf(key, sizeof key, "hard;%d=%d", from, i);
        CHECK(PMI2_KVS_Get(job, from, key, value, sizeof value, &length) == PMI2_SUCCESS);
        CHECK(strcmp(value, HARD[i]) == 0 && length == (int)strlen(HARD[i]));
    }
    snprintf(key, sizeof key, "long-%d", from);
    CHECK(PMI2_KVS_Get(job, PMI2_ID_NULL, key, value, sizeof value, &length) == PMI2_SUCCESS);
    CHECK(length == PMI2_MAX_VALLEN && value[PMI2_MAX_VALLEN - 1] == 'a' + from % 26);
    CHECK(PMI2_KVS_Get(job, from, key, value, 10, &length) == PMI2_SUCCESS);
    CHECK(length == -PMI2_MAX_VALLEN && strlen(value) == 9);
    CHECK(PMI2_KVS_Get(job, from, "nobody-put-this", value, sizeof value, &length) == PMI2_ERR_OTHER);
    CHECK(PMI2_KVS_Get(job, from, key, NULL, 10, &length) == PMI2_ERR_INVALID_ARG);
}

static void check_ring(void) {
    char mine[32], left[32], right[32], want[32];
    int place = -1, count = -1;
    snprintf(mine, sizeof mine, "end;of %d", rank);
    CHECK(PMIX_Ring(mine, &place, &count, left, right, sizeof left) == PMI2_SUCCESS);
    CHECK(place == rank && count == size);
    snprintf(want, sizeof want, "end;of %d", (rank + size - 1) % size);
    CHECK(strcmp(left, want) == 0);
    snprintf(want, sizeof want, "end;of %d", (rank + 1) % size);
    CHECK(strcmp(right, want) == 0);
    CHECK(PMIX_Ring(NULL, &place, &count, left, right, sizeof left) == PMI2_ERR_INVALID_ARG);
}

int main(void) {
    int spawned, appnum;
    char id[256];
    CHECK(PMI2_Init(&spawned, &size, &rank, &appnum) == PMI2_SUCCESS);
    CHECK(PMI2_Job_GetId(id, sizeof id) == PMI2_SUCCESS);
    put_all();
    CHECK(PMI2_KVS_Fence() == PMI2_SUCCESS);
    for (int from = 0; from < size; from++) {
        get_all(NULL, from);
        get_all(id, from);
    }
    check_ring();
    CHECK(PMI2_Finalize() == PMI2_SUCCESS);
    say_ok("pmi2_kvs", rank, size);
    return 0;
}
