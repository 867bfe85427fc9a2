/* nonsense: rank 1 asks for what makes no sense, each line a request and its status; rank 0 then still can work. */
#include "client.h"

static pmix_status_t spawn(char *program, int processes) {
    char nspace[PMIX_MAX_NSLEN + 1], *argv[] = {program, NULL};
    pmix_app_t app;
    PMIX_APP_CONSTRUCT(&app);
    app.cmd = program;
    app.argv = argv;
    app.maxprocs = processes;
    return PMIx_Spawn(NULL, 0, &app, 1, nspace);
}

static pmix_status_t publish(const char *key, const void *value, pmix_data_type_t type) {
    pmix_info_t info;
    PMIX_INFO_LOAD(&info, key, value, type);
    return PMIx_Publish(&info, 1);
}

static pmix_status_t lookup(const char *key, const char *directive, const void *value, pmix_data_type_t type) {
    pmix_pdata_t data;
    pmix_info_t info;
    PMIX_PDATA_CONSTRUCT(&data);
    PMIX_LOAD_KEY(data.key, key);
    PMIX_INFO_LOAD(&info, directive, value, type);
    return PMIx_Lookup(&data, 1, &info, 1);
}

static pmix_status_t control(const char *key, const void *value, pmix_data_type_t type) {
    pmix_info_t info, *found = NULL;
    size_t count = 0;
    PMIX_INFO_LOAD(&info, key, value, type);
    return PMIx_Job_control(NULL, 0, &info, 1, &found, &count);
}

static pmix_status_t connect_with(const char *nspace, pmix_rank_t rank) {
    pmix_proc_t both[2];
    PMIX_LOAD_PROCID(&both[0], me.nspace, me.rank);
    PMIX_LOAD_PROCID(&both[1], nspace, rank);
    return PMIx_Connect(both, 2, NULL, 0);
}

static pmix_status_t credential(void) {
    pmix_byte_object_t data;
    return PMIx_Get_credential(NULL, 0, &data);
}

static pmix_status_t allocate(void) {
    pmix_info_t *found = NULL;
    size_t count = 0;
    return PMIx_Allocation_request(PMIX_ALLOC_NEW, NULL, 0, &found, &count);
}

static void ask_nonsense(void) {
    char *huge = calloc(1, (2 << 20) + 1), *none[] = {"absent", NULL};
    double number = 0.5;
    int negative = -5, one = 1;
    memset(huge, 'x', 2 << 20);
    printf("spawn none %d\n", spawn("/bin/true", 0));
    printf("spawn less %d\n", spawn("/bin/true", -3));
    printf("spawn missing %d\n", spawn("/no/such/program", 1));
    printf("publish huge %d\n", publish("huge", huge, PMIX_STRING));
    printf("publish empty %d\n", publish("empty", "", PMIX_STRING));
    printf("lookup text %d\n", lookup("absent", PMIX_TIMEOUT, "soon", PMIX_STRING));
    printf("lookup past %d\n", lookup("absent", PMIX_TIMEOUT, &negative, PMIX_INT));
    printf("lookup never %d\n", lookup("absent", PMIX_TIMEOUT, &one, PMIX_INT));
    printf("unpublish %d\n", PMIx_Unpublish(none, NULL, 0));
    printf("signal half %d\n", control(PMIX_JOB_CTRL_SIGNAL, &number, PMIX_DOUBLE));
    printf("pset nameless %d\n", control("pmix.jctrl.defpset", "", PMIX_STRING));
    printf("nothing known %d\n", control("", "", PMIX_STRING));
    printf("connect rank %d\n", connect_with(me.nspace, 77));
    printf("connect job %d\n", connect_with("no-such-job", 0));
    printf("log nothing %d\n", PMIx_Log(NULL, 0, NULL, 0));
    printf("credential %d\n", credential());
    printf("allocate %d\n", allocate());
}

int main(void) {
    start();
    if (me.rank == 1) ask_nonsense();
    barrier();
    if (me.rank == 0) printf("publish %d\n", publish("sense", "yes", PMIX_STRING));
    barrier();
    return finish();
}
