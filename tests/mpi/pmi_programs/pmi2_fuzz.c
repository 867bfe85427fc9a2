/* PMI-2: every call, again and again, whatever the server answers; only crashing or hanging is wrong. */
#include "check.h"
#include "pmi2.h"

static void ask_all(void) {
    int number, count, found, array[4], argcs[] = {1, 0}, errors[3];
    char id[16], value[1025], small[8];
    const char *cmds[] = {"a", "b"}, *argv[] = {"x", NULL}, **argvs[] = {argv, NULL};
    const int procs[] = {2, 1}, sizes[] = {1, 0};
    MPID_Info info = {.key = (char *)"k", .value = (char *)"v;"};
    const MPID_Info *infos[] = {&info, NULL}, *preput[] = {&info};
    PMI2_Connect_comm_t comm = {NULL, NULL, NULL, -1};
    PMI2_Job_GetId(id, sizeof id);
    PMI2_Job_GetRank(&number);
    PMI2_KVS_Put("key", "va;lue");
    PMI2_KVS_Fence();
    PMI2_KVS_Get(NULL, 0, "key", small, sizeof small, &number);
    PMI2_KVS_Get("job", PMI2_ID_NULL, "key", value, sizeof value, &number);
    PMI2_Info_PutNodeAttr("key", "1,2");
    PMI2_Info_GetNodeAttr("key", small, sizeof small, &found, 1);
    PMI2_Info_GetNodeAttrIntArray("key", array, 4, &count, &found);
    PMI2_Info_GetNodeAttrIntArray("localRanks", array, 4, &count, &found);
    PMI2_Info_GetNodeAttrIntArray("localRanksCount", array, 1, &count, &found);
    PMI2_Info_GetJobAttr("key", value, sizeof value, &found);
    PMI2_Info_GetJobAttrIntArray("key", array, 4, &count, &found);
    PMI2_Nameserv_publish("s", NULL, "p");
    PMI2_Nameserv_lookup("s", NULL, small, sizeof small);
    PMI2_Nameserv_unpublish("s", NULL);
    PMIX_Ring("v", &number, &count, small, id, sizeof small);
    PMI2_Job_Connect("job", &comm);
    PMI2_Job_Disconnect("job");
    PMI2_Job_Spawn(2, cmds, argcs, argvs, procs, sizes, infos, 1, preput, id, sizeof id, errors);
}

int main(int argc, char **argv) {
    int spawned, size, rank, appnum, sessions = argc > 1 ? atoi(argv[1]) : 1, joined = 0;
    for (int i = 0; i < sessions; i++) {
        joined += PMI2_Init(&spawned, &size, &rank, &appnum) == PMI2_SUCCESS;
        ask_all();
        PMI2_Finalize();
    }
    printf("%d of %d sessions\n", joined, sessions);
    return 0;
}
