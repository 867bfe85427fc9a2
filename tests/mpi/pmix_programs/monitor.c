/* monitor: asks to be watched for heartbeats and a file (argv[1]) to be watched for growth; prints the alerts. */
#include "client.h"

static void on_event(size_t id, pmix_status_t status, const pmix_proc_t *source, pmix_info_t info[], size_t ninfo,
                     pmix_info_t results[], size_t nresults, pmix_event_notification_cbfunc_fn_t done, void *data) {
    printf("alert %d of %s %u\n", status, source->nspace, source->rank);
    (void)id, (void)info, (void)ninfo, (void)results, (void)nresults;
    if (done) done(PMIX_EVENT_ACTION_COMPLETE, NULL, 0, NULL, NULL, data);
}

static pmix_status_t watch(const char *key, const void *value, pmix_data_type_t type, pmix_status_t alert,
                           pmix_info_t *directives, size_t count) {
    pmix_info_t monitor, *found = NULL;
    size_t answers = 0;
    PMIX_INFO_LOAD(&monitor, key, value, type);
    return PMIx_Process_monitor(&monitor, alert, directives, count, &found, &answers);
}

int main(int argc, char **argv) {
    pmix_status_t codes[] = {PMIX_MONITOR_HEARTBEAT_ALERT, PMIX_MONITOR_FILE_ALERT};
    pmix_info_t beat[2], file[3];
    uint32_t seconds = 1, drops = 1;
    char *path = argc > 1 ? argv[1] : "/dev/null";
    start();
    PMIx_Register_event_handler(codes, 2, NULL, 0, on_event, NULL, NULL);
    barrier();
    if (me.rank == 0) {
        PMIX_INFO_LOAD(&beat[0], PMIX_MONITOR_HEARTBEAT_TIME, &seconds, PMIX_UINT32);
        PMIX_INFO_LOAD(&beat[1], PMIX_MONITOR_HEARTBEAT_DROPS, &drops, PMIX_UINT32);
        PMIX_INFO_LOAD(&file[0], PMIX_MONITOR_FILE_SIZE, NULL, PMIX_BOOL);
        PMIX_INFO_LOAD(&file[1], PMIX_MONITOR_FILE_CHECK_TIME, &seconds, PMIX_UINT32);
        PMIX_INFO_LOAD(&file[2], PMIX_MONITOR_FILE_DROPS, &drops, PMIX_UINT32);
        printf("file %d\n", watch(PMIX_MONITOR_FILE, path, PMIX_STRING, PMIX_MONITOR_FILE_ALERT, file, 3));
        printf("beat %d\n", watch(PMIX_MONITOR_HEARTBEAT, NULL, PMIX_BOOL, PMIX_MONITOR_HEARTBEAT_ALERT, beat, 2));
        PMIx_Heartbeat();
    }
    sleep(6);
    return finish();
}
