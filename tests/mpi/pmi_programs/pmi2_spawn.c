/* PMI-2: spawning. Without arguments two commands of hard texts, for a server that only looks at the request, and what
 * came back is printed; with `real` two copies of this program, which read what was put for them. */
#include "check.h"
#include "pmi2.h"

static int spawn_hard_texts(void) {
    int errors[3] = {9, 9, 9}, procs[] = {2, 1}, argcs[] = {2, 0}, sizes[] = {1, 0};
    const char *cmds[] = {"A", "B"}, *first[] = {"x y", "z;=", NULL};
    const char **argvs[] = {first, NULL};
    char job[64] = "";
    MPID_Info info = {.key = (char *)"wdir", .value = (char *)"/tmp"},
              put = {.key = (char *)"PORT", .value = (char *)"p;q"};
    const MPID_Info *infos[] = {&info, NULL}, *preput[] = {&put};
    CHECK(PMI2_Job_Spawn(0, cmds, argcs, argvs, procs, sizes, infos, 0, NULL, job, 9, errors) == PMI2_ERR_INVALID_ARG);
    int code = PMI2_Job_Spawn(2, cmds, argcs, argvs, procs, sizes, infos, 1, preput, job, sizeof job, errors);
    printf("code %d, job %s, errors %d %d %d\n", code, job, errors[0], errors[1], errors[2]);
    return PMI2_Finalize();
}

static int spawn_copies(const char *self) {
    int errors[2] = {9, 9}, procs[] = {2}, argcs[] = {1};
    const char *cmds[] = {self}, *args[] = {"child"}, **argvs[] = {args};
    char job[256] = "", own[256] = "";
    MPID_Info put = {.key = (char *)"PARENT_PORT", .value = (char *)"tag=1;x"};
    const MPID_Info *preput[] = {&put};
    CHECK(PMI2_Job_GetId(own, sizeof own) == PMI2_SUCCESS);
    CHECK(PMI2_Job_Spawn(1, cmds, argcs, argvs, procs, NULL, NULL, 1, preput, job, sizeof job, errors) == PMI2_SUCCESS);
    CHECK(*job && strcmp(job, own) != 0 && errors[0] == 0 && errors[1] == 0);
    return PMI2_Finalize();
}

/* The child's appended key is in its job's space or among its job's attributes, as the server likes. */
static int be_child(int spawned, int rank, int size) {
    int length, found = 0;
    char value[PMI2_MAX_VALLEN + 1];
    CHECK(spawned && size == 2);
    if (PMI2_KVS_Get(NULL, PMI2_ID_NULL, "PARENT_PORT", value, sizeof value, &length) != PMI2_SUCCESS)
        CHECK(PMI2_Info_GetJobAttr("PARENT_PORT", value, sizeof value, &found) == PMI2_SUCCESS && found);
    CHECK(strcmp(value, "tag=1;x") == 0);
    CHECK(PMI2_KVS_Fence() == PMI2_SUCCESS && PMI2_Finalize() == PMI2_SUCCESS);
    say_ok("pmi2_spawn child", rank, size);
    return 0;
}

int main(int argc, char **argv) {
    int spawned, size, rank, appnum;
    CHECK(PMI2_Init(&spawned, &size, &rank, &appnum) == PMI2_SUCCESS);
    if (argc > 1 && strcmp(argv[1], "child") == 0) return be_child(spawned, rank, size);
    CHECK(!spawned);
    return argc > 1 ? spawn_copies(argv[0]) : spawn_hard_texts();
}
