/* PMI-2: init, who is there, finalize, and init again. */
#include "check.h"

#include "pmi2.h"

static void check_before_init(void) {
    int number;
    char text[64];
    CHECK(PMI2_Initialized() == 0 && PMI2_Finalize() == PMI2_ERR_INIT && PMI2_KVS_Fence() == PMI2_ERR_INIT);
    CHECK(PMI2_Job_GetId(text, sizeof text) == PMI2_ERR_INIT && PMI2_Job_GetRank(&number) == PMI2_ERR_INIT);
    CHECK(PMI2_Init(NULL, &number, &number, &number) == PMI2_ERR_INVALID_ARG);
}

int main(int argc, char **argv) {
    int spawned = -1, size, rank, appnum, number, want = argc > 1 ? atoi(argv[1]) : 1;
    bool alone = !getenv("PMI_RANK") && !getenv("PMI_ID");
    char id[256];
    PMI2_Connect_comm_t comm = {NULL, NULL, NULL, -1};
    check_before_init();
    for (int round = 0; round < 2; round++) {
        CHECK(PMI2_Init(&spawned, &size, &rank, &appnum) == PMI2_SUCCESS && PMI2_Initialized());
        CHECK(spawned == 0 && size == want && rank >= 0 && rank < size && appnum == (alone ? -1 : 0));
        CHECK(!getenv("PMI_RANK") || rank == atoi(getenv("PMI_RANK")));
        CHECK(PMI2_Job_GetRank(&number) == PMI2_SUCCESS && number == rank);
        CHECK(PMI2_Info_GetSize(&number) == PMI2_SUCCESS && number == size);
        CHECK(PMI2_Job_GetRank(NULL) == PMI2_ERR_INVALID_ARG);
        CHECK(PMI2_Job_GetId(id, sizeof id) == PMI2_SUCCESS && *id);
        CHECK(PMI2_Job_GetId(id, 2) == PMI2_ERR_INVALID_LENGTH && PMI2_Job_GetId(NULL, 2) == PMI2_ERR_INVALID_ARG);
        CHECK(PMI2_Job_Connect("no such job", &comm) == PMI2_ERR_OTHER);
        CHECK(PMI2_Job_Disconnect("no such job") == PMI2_ERR_OTHER &&
              PMI2_Job_Disconnect(NULL) == PMI2_ERR_INVALID_ARG);
        CHECK(PMI2_KVS_Fence() == PMI2_SUCCESS && PMI2_Finalize() == PMI2_SUCCESS && !PMI2_Initialized());
    }
    say_ok("pmi2_job", rank, want);
    return 0;
}
