/* watch: spawns one process for each way to end, one after the other, and prints the events that tell of it. */
#include "client.h"

#include <signal.h>

static void on_event(size_t id, pmix_status_t status, const pmix_proc_t *source, pmix_info_t info[], size_t ninfo,
                     pmix_info_t results[], size_t nresults, pmix_event_notification_cbfunc_fn_t done, void *data) {
    const char *whose = "?";
    int rank = -1, code = -1;
    for (size_t n = 0; n < ninfo; n++) {
        if (PMIX_CHECK_KEY(&info[n], PMIX_EVENT_AFFECTED_PROC)) {
            whose = info[n].value.data.proc->nspace;
            rank = (int)info[n].value.data.proc->rank;
        } else if (PMIX_CHECK_KEY(&info[n], PMIX_EXIT_CODE)) {
            code = info[n].value.data.integer;
        }
    }
    printf("event %d %s %d code %d\n", status, whose, rank, code);
    (void)id, (void)source, (void)results, (void)nresults;
    if (done) done(PMIX_EVENT_ACTION_COMPLETE, NULL, 0, NULL, NULL, data);
}

static int child(const char *mode) {
    if (!strcmp(mode, "fine")) return finish();
    if (!strcmp(mode, "seven")) return finish() + 7;
    if (!strcmp(mode, "unfinished")) _exit(3);
    if (!strcmp(mode, "killed")) raise(SIGKILL);
    PMIx_Abort(9, "as told", NULL, 0);
    _exit(9);
}

int main(int argc, char **argv) {
    char *modes[] = {"fine", "seven", "unfinished", "killed", "aborted"}, nspace[PMIX_MAX_NSLEN + 1];
    pmix_status_t codes[] = {PMIX_ERR_PROC_ABORTED,          PMIX_ERR_PROC_TERM_WO_SYNC, PMIX_EVENT_PROC_TERMINATED,
                             PMIX_ERR_PROC_ABORTED_BY_SIG, PMIX_EVENT_JOB_END};
    start();
    if (argc > 1) return child(argv[1]);
    printf("registered %d\n", PMIx_Register_event_handler(codes, 5, NULL, 0, on_event, NULL, NULL) >= 0);
    for (int n = 0; n < 5; n++) {
        printf("%s %d\n", modes[n], spawn_self(argv[0], modes[n], 1, nspace));
        sleep(1);
    }
    return finish();
}
