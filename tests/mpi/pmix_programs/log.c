/* log: one request for each channel, with its status; the last one names a channel that is and one that is not. */
#include "client.h"

static pmix_status_t request(const char **keys, size_t count) {
    pmix_info_t data[2];
    for (size_t n = 0; n < count; n++) PMIX_INFO_LOAD(&data[n], keys[n], "said", PMIX_STRING);
    return PMIx_Log(data, count, NULL, 0);
}

int main(void) {
    const char *keys[] = {PMIX_LOG_STDOUT, PMIX_LOG_STDERR, PMIX_LOG_SYSLOG, PMIX_LOG_JOB_RECORD, "lwkpm.unknown"};
    const char *both[] = {PMIX_LOG_STDOUT, "lwkpm.unknown"};
    start();
    for (int n = 0; n < 5; n++) printf("%s %d\n", keys[n], request(&keys[n], 1));
    printf("both %d\n", request(both, 2));
    return finish();
}
