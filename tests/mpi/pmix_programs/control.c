/* control: rank 0 acts on itself and on what it spawns; every line is a request and its status.
   argv: a file that it asks to have deleted at its end. */
#include "client.h"

#include <signal.h>

static pmix_status_t request(const pmix_proc_t *target, const char *key, const void *value, pmix_data_type_t type) {
    pmix_info_t directive, *found = NULL;
    size_t count = 0;
    PMIX_INFO_LOAD(&directive, key, value, type);
    return PMIx_Job_control(target, target ? 1 : 0, &directive, 1, &found, &count);
}

int main(int argc, char **argv) {
    char nspace[PMIX_MAX_NSLEN + 1] = "";
    int number = SIGUSR1, nonsense = 99;
    pmix_proc_t target;
    start();
    if (argc > 2) {  /* a child: wait for what comes; the second one acts on its parent's job, which it must not */
        pmix_value_t *parent = NULL;
        PMIx_Get(&me, PMIX_PARENT_ID, NULL, 0, &parent);
        if (me.rank == 1) printf("parent %d\n", request(parent->data.proc, PMIX_JOB_CTRL_KILL, NULL, PMIX_BOOL));
        sleep(60);
        return 0;
    }
    signal(SIGUSR1, SIG_IGN);
    pmix_app_t app;
    char *child[] = {argv[0], argv[1], "child", NULL};
    PMIX_APP_CONSTRUCT(&app);
    app.cmd = argv[0];
    app.argv = child;
    app.maxprocs = 2;
    printf("spawn %d\n", PMIx_Spawn(NULL, 0, &app, 1, nspace));
    printf("cleanup %d\n", request(NULL, PMIX_REGISTER_CLEANUP, argv[1], PMIX_STRING));
    printf("signal %d\n", request(&me, PMIX_JOB_CTRL_SIGNAL, &number, PMIX_INT));
    printf("nonsense %d\n", request(&me, PMIX_JOB_CTRL_SIGNAL, &nonsense, PMIX_INT));
    printf("checkpoint %d\n", request(&me, PMIX_JOB_CTRL_CHECKPOINT, "x", PMIX_STRING));
    printf("unknown %d\n", request(&me, "lwkpm.unknown", "x", PMIX_STRING));
    printf("pset %d\n", request(NULL, "pmix.jctrl.defpset", "app://mine", PMIX_STRING));
    PMIX_LOAD_PROCID(&target, "no-such-job", 0);
    printf("stranger %d\n", request(&target, PMIX_JOB_CTRL_KILL, NULL, PMIX_BOOL));
    PMIX_LOAD_PROCID(&target, nspace, 7);
    printf("rank %d\n", request(&target, PMIX_JOB_CTRL_KILL, NULL, PMIX_BOOL));
    sleep(1);
    target = all_of(nspace);
    printf("kill %d\n", request(&target, PMIX_JOB_CTRL_KILL, NULL, PMIX_BOOL));
    return finish();
}
