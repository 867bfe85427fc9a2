/* PMI-1: key-value spaces and cliques. */
#include "check.h"
#include "pmi.h"

enum { LONG = 1000 };

static char own[1024];
static int rank, size, keylen, vallen;

static void check_bad_arguments(void) {
    char value[64], *longest = malloc((size_t)vallen + 1);
    memset(longest, 'x', (size_t)vallen);
    longest[vallen] = 0;
    CHECK(PMI_KVS_Put(own, "k", longest) == PMI_ERR_INVALID_VAL_LENGTH);
    CHECK(PMI_KVS_Put(own, longest, "v") == PMI_ERR_INVALID_KEY_LENGTH);
    CHECK(PMI_KVS_Put(own, "a b", "v") == PMI_ERR_INVALID_KEY && PMI_KVS_Put(own, "", "v") == PMI_ERR_INVALID_KEY);
    CHECK(PMI_KVS_Put(own, "k", "a\nb") == PMI_ERR_INVALID_VAL && PMI_KVS_Put(own, "k", NULL) == PMI_ERR_INVALID_VAL);
    CHECK(PMI_KVS_Put("no such space", "k", "v") == PMI_ERR_INVALID_KVS);
    CHECK(PMI_KVS_Put("other", "k", "v") == PMI_ERR_INVALID_KVS);
    CHECK(PMI_KVS_Get(own, "nobody-put-this", value, sizeof value) == PMI_FAIL);
    CHECK(PMI_KVS_Get(own, "nobody-put-this", NULL, 0) == PMI_ERR_INVALID_VAL);
    CHECK(PMI_KVS_Commit(NULL) == PMI_ERR_INVALID_KVS);
    free(longest);
}

/* Texts that a line could swallow parts of. */
static const char *const HARD[] = {"", " ", "ends in a blank ", "  two  ", "value=x rc=-1", "cmd=a;b;;c", "\xff\x01\t"};

static void put_all(void) {
    char key[64], value[LONG + 1];
    for (int i = 0; i < (int)(sizeof HARD / sizeof *HARD); i++) {
        snprintf(key, sizeof key, "hard/%d-%d", rank, i);
        CHECK(PMI_KVS_Put(own, key, HARD[i]) == PMI_SUCCESS);
    }
    memset(value, 'a' + rank % 26, LONG);
    value[LONG] = 0;
    snprintf(key, sizeof key, "long-%d", rank);
    CHECK(PMI_KVS_Put(own, key, value) == PMI_SUCCESS && PMI_KVS_Commit(own) == PMI_SUCCESS);
}

static void get_all(int from) {
    char key[64], value[LONG + 1];
    for (int i = 0; i < (int)(sizeof HARD / sizeof *HARD); i++) {
        snprintf(key, sizeof key, "hard/%d-%d", from, i);
        CHECK(PMI_KVS_Get(own, key, value, sizeof value) == PMI_SUCCESS && strcmp(value, HARD[i]) == 0);
    }
    snprintf(key, sizeof key, "long-%d", from);
    CHECK(PMI_KVS_Get(own, key, value, sizeof value) == PMI_SUCCESS && strlen(value) == LONG);
    CHECK(value[0] == 'a' + from % 26 && value[LONG - 1] == value[0]);
    CHECK(PMI_KVS_Get(own, key, value, LONG) == PMI_ERR_INVALID_LENGTH);
}

/* Rank 0 makes two spaces and tells their names; each has its own `k`. */
static void check_spaces(void) {
    char name[1024], other[1024], value[64];
    if (rank == 0) {
        CHECK(PMI_KVS_Create(name, 3) == PMI_ERR_INVALID_LENGTH);
        CHECK(PMI_KVS_Create(name, sizeof name) == PMI_SUCCESS && PMI_KVS_Create(other, sizeof other) == PMI_SUCCESS);
        CHECK(strcmp(name, other) != 0 && PMI_KVS_Put(own, "space", name) == PMI_SUCCESS);
        CHECK(PMI_KVS_Put(name, "k", "of the space") == PMI_SUCCESS && PMI_KVS_Put(other, "k", "o") == PMI_SUCCESS);
        CHECK(PMI_KVS_Commit(name) == PMI_SUCCESS);
    }
    CHECK(PMI_Barrier() == PMI_SUCCESS);
    CHECK(PMI_KVS_Get(own, "space", name, sizeof name) == PMI_SUCCESS);
    CHECK(PMI_KVS_Get(name, "k", value, sizeof value) == PMI_SUCCESS && strcmp(value, "of the space") == 0);
    CHECK(PMI_KVS_Get(own, "k", value, sizeof value) == PMI_FAIL);
    CHECK(PMI_Barrier() == PMI_SUCCESS);
    if (rank == 0) CHECK(PMI_KVS_Destroy(name) == PMI_SUCCESS && PMI_KVS_Destroy(own) == PMI_ERR_INVALID_ARG);
}

/* A singleton sees all its keys; with a server those of the other ranks come with them. */
static void check_iteration(void) {
    char key[64], value[8192];
    int all = (int)(sizeof HARD / sizeof *HARD) + 2;
    int count = 0, code = PMI_KVS_Iter_first(own, key, sizeof key, value, sizeof value);
    bool alone = !getenv("PMI_RANK") && !getenv("PMI_ID");
    for (; code == PMI_SUCCESS && *key; count++) code = PMI_KVS_Iter_next(own, key, sizeof key, value, sizeof value);
    CHECK(code == PMI_SUCCESS && (alone ? count == all : count >= all));
    CHECK(PMI_KVS_Iter_first(own, key, 2, value, sizeof value) == PMI_ERR_INVALID_KEY_LENGTH);
}

static void check_clique(void) {
    int count, *ranks = calloc((size_t)size, sizeof *ranks);
    CHECK(PMI_Get_clique_size(&count) == PMI_SUCCESS && count == size); /* one node */
    CHECK(PMI_Get_clique_ranks(ranks, size) == PMI_SUCCESS && PMI_Get_clique_ranks(NULL, 1) == PMI_ERR_INVALID_ARG);
    for (int i = 0; i < size; i++) CHECK(ranks[i] == i);
    CHECK(PMI_Get_clique_ranks(ranks, size - 1) == PMI_ERR_INVALID_LENGTH);
    free(ranks);
}

int main(void) {
    int spawned, length;
    CHECK(PMI_Init(&spawned) == PMI_SUCCESS && PMI_Get_rank(&rank) == PMI_SUCCESS &&
          PMI_Get_size(&size) == PMI_SUCCESS);
    CHECK(PMI_KVS_Get_name_length_max(&length) == PMI_SUCCESS && length <= (int)sizeof own);
    CHECK(PMI_KVS_Get_key_length_max(&keylen) == PMI_SUCCESS && keylen >= 64);
    CHECK(PMI_KVS_Get_value_length_max(&vallen) == PMI_SUCCESS && vallen > LONG);
    CHECK(PMI_KVS_Get_my_name(own, length) == PMI_SUCCESS);
    check_bad_arguments();
    put_all();
    CHECK(PMI_Barrier() == PMI_SUCCESS);
    for (int from = 0; from < size; from++) get_all(from);
    check_spaces();
    check_iteration();
    check_clique();
    CHECK(PMI_Finalize() == PMI_SUCCESS);
    say_ok("pmi1_kvs", rank, size);
    return 0;
}
