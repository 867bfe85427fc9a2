/* groups: all construct a group with a context id, ask for groups, destruct it; then rank 0 invites the others. */
#include "client.h"

static volatile int invited = 0, complete = 0;
static char group_name[64] = "";
static pmix_proc_t leader;

static void on_event(size_t id, pmix_status_t status, const pmix_proc_t *source, pmix_info_t info[], size_t ninfo,
                     pmix_info_t results[], size_t nresults, pmix_event_notification_cbfunc_fn_t done, void *data) {
    for (size_t n = 0; n < ninfo; n++) {
        if (PMIX_CHECK_KEY(&info[n], PMIX_GROUP_ID)) {
            snprintf(group_name, sizeof group_name, "%s", info[n].value.data.string);
        }
    }
    leader = *source;
    if (status == PMIX_GROUP_INVITED) invited = 1;
    if (status == PMIX_GROUP_CONSTRUCT_COMPLETE) complete = 1;
    (void)id, (void)results, (void)nresults;
    if (done) done(PMIX_EVENT_ACTION_COMPLETE, NULL, 0, NULL, NULL, data);
}

static void ask(const char *key) {
    pmix_query_t *query;
    pmix_info_t *found = NULL;
    size_t count = 0;
    pmix_status_t status;
    PMIX_QUERY_CREATE(query, 1);
    PMIX_ARGV_APPEND(status, query->keys, key);
    status = PMIx_Query_info(query, 1, &found, &count);
    printf("%s %d %zu\n", key, status, status == PMIX_SUCCESS ? found[0].value.data.size : 999);
}

static void construct(void) {
    pmix_info_t directive, *found = NULL;
    pmix_proc_t all = all_of(me.nspace);
    size_t count = 0, context = 0;
    pmix_status_t status;
    PMIX_INFO_LOAD(&directive, PMIX_GROUP_ASSIGN_CONTEXT_ID, NULL, PMIX_BOOL);
    status = PMIx_Group_construct("circle", &all, 1, &directive, 1, &found, &count);
    for (size_t n = 0; n < count; n++) {
        if (PMIX_CHECK_KEY(&found[n], PMIX_GROUP_CONTEXT_ID)) context = found[n].value.data.size;
    }
    printf("construct %d context %d\n", status, context > 0);
    ask(PMIX_QUERY_NUM_GROUPS);
    barrier();
    printf("destruct %d\n", PMIx_Group_destruct("circle", NULL, 0));
    barrier();
    ask(PMIX_QUERY_NUM_GROUPS);
}

static void invite(uint32_t size) {
    pmix_status_t codes[] = {PMIX_GROUP_INVITED, PMIX_GROUP_CONSTRUCT_COMPLETE};
    pmix_info_t *found = NULL;
    size_t count = 0;
    PMIx_Register_event_handler(codes, 2, NULL, 0, on_event, NULL, NULL);
    barrier();
    if (me.rank == 0) {
        pmix_proc_t guests[8];
        uint32_t number = 0;
        /* 5.0 counts the one who invites among the guests, 4.2 waits for an answer of each guest. */
        for (uint32_t rank = strncmp(PMIx_Get_version(), "OpenPMIx 4", 10) == 0; rank < size; rank++) {
            PMIX_LOAD_PROCID(&guests[number], me.nspace, rank);
            number++;
        }
        printf("invite %d\n", PMIx_Group_invite("guests", guests, number, NULL, 0, &found, &count));
    } else {
        for (int n = 0; n < 200 && !invited; n++) usleep(10000);
        printf("invited %d to %s\n", invited, group_name);
        printf("join %d\n", PMIx_Group_join(group_name, &leader, PMIX_GROUP_ACCEPT, NULL, 0, &found, &count));
    }
    barrier();
}

int main(int argc, char **argv) {
    pmix_proc_t all;
    start();
    all = all_of(me.nspace);
    construct();
    if (argc > 1 && !strcmp(argv[1], "invite")) invite(number_of(&all, PMIX_JOB_SIZE));
    return finish();
}
