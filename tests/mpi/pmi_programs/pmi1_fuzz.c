/* PMI-1: every call, again and again, whatever the server answers; only crashing or hanging is wrong. */
#include "check.h"
#include "pmi.h"

static void ask_all(void) {
    int number, ranks[4], errors[3];
    char name[300], small[8], key[70], value[2000], port[1024];
    const char *cmds[] = {"a", "b"}, *argv[] = {"x", NULL}, **argvs[] = {argv, NULL};
    const int procs[] = {2, 1}, sizes[] = {1, 0};
    PMI_keyval_t info = {(char *)"k", (char *)"v"};
    const PMI_keyval_t *infos[] = {&info, NULL};
    PMI_Get_size(&number);
    PMI_Get_rank(&number);
    PMI_Get_universe_size(&number);
    PMI_Get_appnum(&number);
    PMI_Get_id(name, sizeof name);
    PMI_Get_clique_size(&number);
    PMI_Get_clique_ranks(ranks, 4);
    if (PMI_KVS_Get_my_name(name, sizeof name) != PMI_SUCCESS) strcpy(name, "x");
    PMI_KVS_Create(small, sizeof small);
    PMI_KVS_Put(name, "key", "value");
    PMI_KVS_Commit(name);
    PMI_Barrier();
    PMI_KVS_Get(name, "key", small, sizeof small);
    PMI_KVS_Get(name, "key", value, sizeof value);
    PMI_KVS_Get("other:1.2", "key", value, sizeof value);
    number = PMI_KVS_Iter_first(name, key, sizeof key, value, sizeof value);
    for (int i = 0; i < 5 && number == PMI_SUCCESS; i++)
        number = PMI_KVS_Iter_next(name, key, sizeof key, value, sizeof value);
    PMI_Publish_name("s", "p");
    PMI_Lookup_name("s", port);
    PMI_Unpublish_name("s");
    PMI_Spawn_multiple(2, cmds, argvs, procs, sizes, infos, 1, &info, errors);
}

int main(int argc, char **argv) {
    int spawned, sessions = argc > 1 ? atoi(argv[1]) : 1, joined = 0;
    for (int i = 0; i < sessions; i++) {
        joined += PMI_Init(&spawned) == PMI_SUCCESS;
        ask_all();
        PMI_Finalize();
    }
    printf("%d of %d sessions\n", joined, sessions);
    return 0;
}
