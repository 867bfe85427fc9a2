/* PMI-1: published names, and options, of which there are none. */
#include "check.h"
#include "pmi.h"

static void check_names(int rank) {
    char port[1024];
    static const char service[] = "lwkpm service one";
    if (rank == 0) CHECK(PMI_Publish_name(service, "tag=7;host:1234") == PMI_SUCCESS);
    CHECK(PMI_Barrier() == PMI_SUCCESS);
    CHECK(PMI_Lookup_name(service, port) == PMI_SUCCESS && strcmp(port, "tag=7;host:1234") == 0);
    CHECK(PMI_Lookup_name("nobody published this", port) == PMI_FAIL);
    CHECK(PMI_Barrier() == PMI_SUCCESS);
    if (rank == 0) CHECK(PMI_Unpublish_name(service) == PMI_SUCCESS && PMI_Unpublish_name(service) == PMI_FAIL);
    CHECK(PMI_Barrier() == PMI_SUCCESS);
    CHECK(PMI_Lookup_name(service, port) == PMI_FAIL);
    CHECK(PMI_Publish_name("", "p") == PMI_ERR_INVALID_ARG && PMI_Publish_name("s", "a b") == PMI_ERR_INVALID_ARG);
    CHECK(PMI_Publish_name("a port=b", "p") == PMI_ERR_INVALID_ARG &&
          PMI_Lookup_name(NULL, port) == PMI_ERR_INVALID_ARG);
}

static void check_options(void) {
    char first[] = "-n", *args[] = {first, NULL}, text[16] = "x";
    int parsed = -1, count = -1, argc = 1, length = sizeof text;
    PMI_keyval_t *pairs = NULL;
    CHECK(PMI_Parse_option(1, args, &parsed, &pairs, &count) == PMI_SUCCESS && parsed == 0 && count == 0);
    CHECK(PMI_Parse_option(0, args, &parsed, &pairs, &count) == PMI_ERR_INVALID_NUM_ARGS);
    CHECK(PMI_Parse_option(1, NULL, &parsed, &pairs, &count) == PMI_ERR_INVALID_ARGS);
    CHECK(PMI_Parse_option(1, args, NULL, &pairs, &count) == PMI_ERR_INVALID_NUM_PARSED);
    CHECK(PMI_Parse_option(1, args, &parsed, NULL, &count) == PMI_ERR_INVALID_KEYVALP);
    CHECK(PMI_Parse_option(1, args, &parsed, &pairs, NULL) == PMI_ERR_INVALID_SIZE);
    CHECK(PMI_Args_to_keyval(&argc, (char *((*)[])) & args, &pairs, &count) == PMI_SUCCESS && argc == 1 && count == 0);
    CHECK(PMI_Args_to_keyval(NULL, NULL, &pairs, &count) == PMI_ERR_INVALID_ARG);
    CHECK(PMI_Free_keyvals(pairs, count) == PMI_SUCCESS && PMI_Free_keyvals(NULL, 1) == PMI_ERR_INVALID_ARG);
    CHECK(PMI_Get_options(text, &length) == PMI_SUCCESS && length == 0 && !*text);
    CHECK(PMI_Get_options(NULL, &length) == PMI_ERR_INVALID_ARG);
}

int main(void) {
    int spawned, rank, size;
    check_options();
    CHECK(PMI_Init(&spawned) == PMI_SUCCESS && PMI_Get_rank(&rank) == PMI_SUCCESS &&
          PMI_Get_size(&size) == PMI_SUCCESS);
    check_names(rank);
    CHECK(PMI_Finalize() == PMI_SUCCESS);
    say_ok("pmi1_names", rank, size);
    return 0;
}
