/* PMI-1: spawning. Without arguments two commands of hard texts, for a server that only looks at the request, and what
 * came back is printed; with `real` two copies of this program, which read what was put for them. */
#include "check.h"
#include "pmi.h"

static int spawn_hard_texts(void) {
    int errors[3] = {9, 9, 9}, procs[] = {2, 1}, sizes[] = {1, 0};
    const char *cmds[] = {"/bin/first prog", "second"}, *first[] = {"a b", "c=d;e", NULL};
    const char **argvs[] = {first, NULL};
    PMI_keyval_t info = {(char *)"wdir", (char *)"/tmp/x y"}, preput = {(char *)"PARENT_PORT", (char *)"tag=1 x"};
    const PMI_keyval_t *infos[] = {&info, NULL};
    CHECK(PMI_Spawn_multiple(0, cmds, argvs, procs, sizes, infos, 0, NULL, errors) == PMI_ERR_INVALID_ARG);
    int code = PMI_Spawn_multiple(2, cmds, argvs, procs, sizes, infos, 1, &preput, errors);
    printf("code %d, errors %d %d %d\n", code, errors[0], errors[1], errors[2]);
    return PMI_Finalize();
}

static int spawn_copies(const char *self) {
    int errors[2] = {9, 9}, procs[] = {2}, sizes[] = {0};
    const char *cmds[] = {self}, *args[] = {"child", NULL}, **argvs[] = {args};
    PMI_keyval_t preput = {(char *)"PARENT_PORT", (char *)"tag=1;x"};
    const PMI_keyval_t *infos[] = {NULL};
    CHECK(PMI_Spawn_multiple(1, cmds, argvs, procs, sizes, infos, 1, &preput, errors) == PMI_SUCCESS);
    CHECK(errors[0] == 0 && errors[1] == 0);
    return PMI_Finalize();
}

static int be_child(int spawned) {
    int rank, size;
    char name[1024], value[64];
    CHECK(spawned == 1 && PMI_Get_rank(&rank) == PMI_SUCCESS && PMI_Get_size(&size) == PMI_SUCCESS && size == 2);
    CHECK(PMI_KVS_Get_my_name(name, sizeof name) == PMI_SUCCESS);
    CHECK(PMI_KVS_Get(name, "PARENT_PORT", value, sizeof value) == PMI_SUCCESS && strcmp(value, "tag=1;x") == 0);
    CHECK(PMI_Barrier() == PMI_SUCCESS && PMI_Finalize() == PMI_SUCCESS);
    say_ok("pmi1_spawn child", rank, size);
    return 0;
}

int main(int argc, char **argv) {
    int spawned;
    CHECK(PMI_Init(&spawned) == PMI_SUCCESS);
    if (argc > 1 && strcmp(argv[1], "child") == 0) return be_child(spawned);
    CHECK(!spawned);
    return argc > 1 ? spawn_copies(argv[0]) : spawn_hard_texts();
}
