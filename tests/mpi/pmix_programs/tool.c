/* tool: a tool that connects to the server at argv[1], then does argv[2]: look (tables and output), feed JOB (input) or act (spawn, feed,
   end). */
#include "client.h"

#include <pmix_tool.h>

static void on_output(size_t id, pmix_iof_channel_t channel, pmix_proc_t *source, pmix_byte_object_t *data,
                      pmix_info_t info[], size_t ninfo) {
    if (data && data->bytes && data->size > 0) {
        printf("output %d of %u: %.*s", channel, source->rank, (int)data->size, data->bytes);
    } else {
        printf("output %d of %u ends\n", channel, source->rank);
    }
    (void)id, (void)info, (void)ninfo;
}

static void on_event(size_t id, pmix_status_t status, const pmix_proc_t *source, pmix_info_t info[], size_t ninfo,
                     pmix_info_t results[], size_t nresults, pmix_event_notification_cbfunc_fn_t done, void *data) {
    printf("event %d of %s\n", status, source->nspace);
    (void)id, (void)info, (void)ninfo, (void)results, (void)nresults;
    if (done) done(PMIX_EVENT_ACTION_COMPLETE, NULL, 0, NULL, NULL, data);
}

static void on_push(pmix_status_t status, void *data) { *(volatile pmix_status_t *)data = status; }

/* The blocking form of 4.2 waits on memory that its own answer frees. */
static pmix_status_t push(const pmix_proc_t *target, const char *text) {
    static volatile pmix_status_t status;
    pmix_byte_object_t data = {(char *)text, strlen(text)};
    status = 1;
    PMIx_IOF_push(target, 1, &data, NULL, 0, on_push, (void *)&status);
    for (int n = 0; n < 100 && status == 1; n++) usleep(10000);
    return status;
}

static void look(const char *job) {
    pmix_proc_t all = all_of(job);
    pmix_query_t *query;
    pmix_info_t *found = NULL;
    size_t count = 0;
    pmix_status_t status;
    printf("pull %d\n", PMIx_IOF_pull(&all, 1, NULL, 0, PMIX_FWD_STDOUT_CHANNEL, on_output, NULL, NULL) >= 0);
    PMIX_QUERY_CREATE(query, 1);
    PMIX_ARGV_APPEND(status, query->keys, PMIX_QUERY_PROC_TABLE);
    PMIX_INFO_CREATE(query->qualifiers, 1);
    query->nqual = 1;
    PMIX_INFO_LOAD(query->qualifiers, PMIX_NSPACE, job, PMIX_STRING);
    status = PMIx_Query_info(query, 1, &found, &count);
    printf("table %d of %zu\n", status, status == PMIX_SUCCESS ? found[0].value.data.darray->size : 0);
    sleep(3);
}

static void act(const char *job) {
    char nspace[PMIX_MAX_NSLEN + 1] = "", *argv[] = {"cat", NULL};
    pmix_status_t code = PMIX_EVENT_JOB_END;
    pmix_info_t directive, *found = NULL;
    pmix_proc_t all;
    pmix_app_t app;
    size_t count = 0;
    PMIx_Register_event_handler(&code, 1, NULL, 0, on_event, NULL, NULL);
    PMIX_APP_CONSTRUCT(&app);
    app.cmd = "cat";
    app.argv = argv;
    app.maxprocs = 1;
    printf("spawn %d\n", PMIx_Spawn(NULL, 0, &app, 1, nspace));
    all = all_of(nspace);
    printf("push %d\n", push(&all, "fed by the tool\n"));
    sleep(1);
    PMIX_INFO_LOAD(&directive, PMIX_JOB_CTRL_TERMINATE, NULL, PMIX_BOOL);
    printf("end child %d\n", PMIx_Job_control(&all, 1, &directive, 1, &found, &count));
    all = all_of(job);
    printf("end job %d\n", PMIx_Job_control(&all, 1, &directive, 1, &found, &count));
    sleep(1);
}

int main(int argc, char **argv) {
    pmix_info_t address;
    setvbuf(stdout, NULL, _IOLBF, 0);
    PMIX_INFO_LOAD(&address, PMIX_SERVER_URI, argv[1], PMIX_STRING);
    pmix_status_t status = PMIx_tool_init(&me, &address, 1);
    printf("tool %d\n", status);
    if (status != PMIX_SUCCESS || argc < 3) return 1;
    if (!strcmp(argv[2], "look")) look("lwkpm-test");
    if (!strcmp(argv[2], "act")) act("lwkpm-test");
    if (!strcmp(argv[2], "feed") && argc > 3) {
        pmix_proc_t all = all_of(argv[3]);
        printf("push %d\n", push(&all, "fed by the tool\n"));
    }
    return PMIx_tool_finalize() == PMIX_SUCCESS ? 0 : 1;
}
