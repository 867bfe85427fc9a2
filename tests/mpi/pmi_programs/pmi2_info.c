/* PMI-2: attributes of nodes and of the job, published names. */
#include "check.h"
#include "pmi2.h"

static int rank, size;
static bool alone;

static void check_node(void) {
    char value[64] = "unchanged";
    int found = -1, numbers[3] = {-1, -1, -1}, count = -1;
    CHECK(PMI2_Info_GetNodeAttr("absent", value, sizeof value, &found, 0) == PMI2_SUCCESS && !found);
    if (rank == 0) CHECK(PMI2_Info_PutNodeAttr("at;tr", "3,-4,5") == PMI2_SUCCESS);
    CHECK(PMI2_Info_GetNodeAttr("at;tr", value, sizeof value, &found, 1) == PMI2_SUCCESS &&
          found); /* waits for rank 0 */
    CHECK(strcmp(value, "3,-4,5") == 0);
    CHECK(PMI2_Info_GetNodeAttrIntArray("at;tr", numbers, 3, &count, &found) == PMI2_SUCCESS && found && count == 3);
    CHECK(numbers[0] == 3 && numbers[1] == -4 && numbers[2] == 5);
    CHECK(PMI2_Info_GetNodeAttrIntArray("at;tr", numbers, 2, &count, &found) == PMI2_SUCCESS && count == 2);
    CHECK(PMI2_Info_GetNodeAttrIntArray("absent", numbers, 3, &count, &found) == PMI2_SUCCESS && !found);
    CHECK(PMI2_Info_GetNodeAttr(NULL, value, sizeof value, &found, 0) == PMI2_ERR_INVALID_KEY);
    CHECK(PMI2_Info_PutNodeAttr("k", NULL) == PMI2_ERR_INVALID_VAL);
    if (alone) CHECK(PMI2_Info_GetNodeAttr("absent", value, sizeof value, &found, 1) == PMI2_ERR_OTHER);
}

static void check_local_ranks(void) {
    int found, count, one, *ranks = calloc((size_t)size, sizeof *ranks);
    CHECK(PMI2_Info_GetNodeAttrIntArray("localRanksCount", &one, 1, &count, &found) == PMI2_SUCCESS && found);
    CHECK(count == 1 && one == size);
    CHECK(PMI2_Info_GetNodeAttrIntArray("localRanks", ranks, size, &count, &found) == PMI2_SUCCESS && found);
    CHECK(count == size && ranks[rank] == rank);
    free(ranks);
}

static void check_job(void) {
    char value[PMI2_MAX_ATTRVALUE];
    int found = -1, number = -1, count = -1;
    CHECK(PMI2_Info_GetJobAttr("absent", value, sizeof value, &found) == PMI2_SUCCESS && !found);
    CHECK(PMI2_Info_GetJobAttr("PMI_process_mapping", value, sizeof value, &found) == PMI2_SUCCESS && found == !alone);
    CHECK(alone || strncmp(value, "(vector,", 8) == 0);
    CHECK(PMI2_Info_GetJobAttrIntArray("universeSize", &number, 1, &count, &found) == PMI2_SUCCESS && found == !alone);
    CHECK(alone || (count == 1 && number >= size));
    CHECK(alone || PMI2_Info_GetJobAttrIntArray("PMI_process_mapping", &number, 1, &count, &found) == PMI2_ERR_OTHER);
    CHECK(PMI2_Info_GetJobAttr("k", NULL, 1, &found) == PMI2_ERR_INVALID_ARG);
}

static void check_names(void) {
    char port[64];
    static const char service[] = "a service;with marks";
    if (rank == 0) CHECK(PMI2_Nameserv_publish(service, NULL, "port;of=it") == PMI2_SUCCESS);
    CHECK(PMI2_KVS_Fence() == PMI2_SUCCESS);
    CHECK(PMI2_Nameserv_lookup(service, NULL, port, sizeof port) == PMI2_SUCCESS && strcmp(port, "port;of=it") == 0);
    CHECK(PMI2_Nameserv_lookup(service, NULL, port, 3) == PMI2_ERR_INVALID_LENGTH);
    CHECK(PMI2_KVS_Fence() == PMI2_SUCCESS);
    if (rank == 0) CHECK(PMI2_Nameserv_unpublish(service, NULL) == PMI2_SUCCESS);
    CHECK(PMI2_KVS_Fence() == PMI2_SUCCESS);
    CHECK(PMI2_Nameserv_lookup(service, NULL, port, sizeof port) == PMI2_ERR_OTHER);
    CHECK(PMI2_Nameserv_publish("", NULL, "p") == PMI2_ERR_INVALID_ARG);
}

int main(void) {
    int spawned, appnum;
    alone = !getenv("PMI_RANK") && !getenv("PMI_ID");
    CHECK(PMI2_Init(&spawned, &size, &rank, &appnum) == PMI2_SUCCESS);
    check_node();
    check_local_ranks();
    check_job();
    check_names();
    CHECK(PMI2_Finalize() == PMI2_SUCCESS);
    say_ok("pmi2_info", rank, size);
    return 0;
}
