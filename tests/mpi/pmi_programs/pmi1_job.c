/* PMI-1: init, who is there, finalize, and init again. */
#include "check.h"
#include "pmi.h"

static void check_before_init(void) {
    int number;
    char text[64];
    PMI_BOOL there = PMI_TRUE;
    CHECK(PMI_Initialized(&there) == PMI_SUCCESS && !there);
    CHECK(PMI_Get_rank(&number) == PMI_ERR_INIT);
    CHECK(PMI_Get_universe_size(&number) == PMI_ERR_INIT);
    CHECK(PMI_KVS_Get_my_name(text, sizeof text) == PMI_ERR_INIT);
    CHECK(PMI_Barrier() == PMI_ERR_INIT && PMI_Finalize() == PMI_ERR_INIT);
    CHECK(PMI_Init(NULL) == PMI_ERR_INVALID_ARG && PMI_Initialized(NULL) == PMI_ERR_INVALID_ARG);
}

static void check_names(void) {
    int length;
    char name[1024], id[1024], domain[1024];
    CHECK(PMI_Get_id_length_max(&length) == PMI_SUCCESS && length > 1 && length <= (int)sizeof name);
    CHECK(PMI_KVS_Get_my_name(name, length) == PMI_SUCCESS && *name);
    CHECK(PMI_Get_id(id, length) == PMI_SUCCESS && strcmp(name, id) == 0);
    CHECK(PMI_Get_kvs_domain_id(domain, length) == PMI_SUCCESS && *domain);
    CHECK(PMI_Get_id(id, 2) == PMI_ERR_INVALID_LENGTH && PMI_Get_id(NULL, length) == PMI_ERR_INVALID_ARG);
}

int main(int argc, char **argv) {
    int spawned = -1, size, rank, universe, appnum, want = argc > 1 ? atoi(argv[1]) : 1;
    PMI_BOOL there = PMI_FALSE;
    check_before_init();
    for (int round = 0; round < 2; round++) {
        CHECK(PMI_Init(&spawned) == PMI_SUCCESS && spawned == 0);
        CHECK(PMI_Init(&spawned) == PMI_SUCCESS); /* once more changes nothing */
        CHECK(PMI_Initialized(&there) == PMI_SUCCESS && there);
        CHECK(PMI_Get_size(&size) == PMI_SUCCESS && size == want);
        CHECK(PMI_Get_rank(&rank) == PMI_SUCCESS && rank >= 0 && rank < size);
        CHECK(PMI_Get_universe_size(&universe) == PMI_SUCCESS && universe >= size);
        CHECK(PMI_Get_appnum(&appnum) == PMI_SUCCESS && appnum == (getenv("PMI_RANK") ? 0 : -1));
        CHECK(!getenv("PMI_RANK") || rank == atoi(getenv("PMI_RANK")));
        CHECK(PMI_Get_size(NULL) == PMI_ERR_INVALID_ARG && PMI_Get_appnum(NULL) == PMI_ERR_INVALID_ARG);
        check_names();
        CHECK(PMI_Barrier() == PMI_SUCCESS);
        CHECK(PMI_Finalize() == PMI_SUCCESS && PMI_Get_size(&size) == PMI_ERR_INIT);
    }
    say_ok("pmi1_job", rank, want);
    return 0;
}
