/* PMI-2: attributes, published names, the ring. */
#define _GNU_SOURCE
#include "local.h"
#include "mapping.h"
#include "pmi2_core.h"

#include <string.h>

/* --- attributes ------------------------------------------------------------------------------------------------ */

/* *text is the value or NULL; it holds until the next request. */
static int ask_attribute(const char *verb, const char *name, const char *wait, const char **text) {
    static struct reply r;
    struct text request = {0};
    *text = NULL;
    if (pmi2.singleton) {
        *text = local_get(pmi2_node, name);
        return *text || !wait || strcmp(wait, "TRUE") != 0 ? PMI2_SUCCESS : PMI2_ERR_OTHER; /* nobody will put it */
    }
    frame_begin(&request, verb);
    frame_add(&request, "key", name);
    if (wait) frame_add(&request, "wait", wait);
    int code = pmi2_ask(&request, verb, &r);
    if (code != PMI2_SUCCESS) return code;
    const char *found = reply_value(&r, "found");
    if (!found) return PMI2_ERR_OTHER;
    if (strcmp(found, "TRUE") != 0) return strcmp(found, "FALSE") == 0 ? PMI2_SUCCESS : PMI2_ERR_OTHER;
    *text = reply_value(&r, "value");
    return *text ? PMI2_SUCCESS : PMI2_ERR_OTHER;
}

static int get_text(const char *verb, const char *name, const char *wait, char *value, int valuelen, int *found) {
    const char *text;
    int code = pmi2_check_key(name);
    if (code == PMI2_SUCCESS) code = value && found && valuelen > 0 ? pmi2_enter() : PMI2_ERR_INVALID_ARG;
    if (code != PMI2_SUCCESS) return code;
    *found = 0;
    code = ask_attribute(verb, name, wait, &text);
    if (code == PMI2_SUCCESS && text) {
        (void)pmi2_copy(value, valuelen, text);
        *found = 1;
    }
    return pmi2_leave(code);
}

int PMI2_Info_GetNodeAttr(const char name[], char value[], int valuelen, int *found, int waitfor) {
    return get_text("info-getnodeattr", name, waitfor ? "TRUE" : "FALSE", value, valuelen, found);
}

int PMI2_Info_GetJobAttr(const char name[], char value[], int valuelen, int *found) {
    return get_text("info-getjobattr", name, NULL, value, valuelen, found);
}

int PMI2_Info_PutNodeAttr(const char name[], const char value[]) {
    struct reply r;
    struct text request = {0};
    int code = pmi2_check_key(name);
    if (code == PMI2_SUCCESS) code = pmi2_check_value(value);
    if (code == PMI2_SUCCESS) code = pmi2_enter();
    if (code != PMI2_SUCCESS) return code;
    if (pmi2.singleton) return pmi2_leave(local_put(pmi2_node, name, value) ? PMI2_SUCCESS : PMI2_ERR_NOMEM);
    frame_begin(&request, "info-putnodeattr");
    frame_add(&request, "key", name);
    frame_add(&request, "value", value);
    return pmi2_leave(pmi2_ask(&request, "info-putnodeattr", &r));
}

/* --- attributes that are numbers ------------------------------------------------------------------------------- */

struct array {
    int *numbers;
    int room, *count, *found;
};

static int get_array(const char *verb, const char *name, const char *wait, struct array *a) {
    const char *text;
    int code = ask_attribute(verb, name, wait, &text);
    *a->found = 0;
    if (code != PMI2_SUCCESS || !text) return code;
    int count = parse_ints(text, a->numbers, a->room);
    if (count < 0) return PMI2_ERR_OTHER;
    *a->count = count;
    *a->found = 1;
    return PMI2_SUCCESS;
}

/* Which ranks are on this node can be told from the mapping, where the server has no such attribute. */
static int get_local_ranks(bool only_count, struct array *a) {
    const char *mapping = NULL;
    int code = pmi2.singleton ? PMI2_SUCCESS : ask_attribute("info-getjobattr", "PMI_process_mapping", NULL, &mapping);
    int count = -1, room = only_count ? 0 : a->room;
    if (code != PMI2_SUCCESS || (!mapping && !pmi2.singleton)) return code;
    count = mapping ? ranks_of_node(mapping, pmi2.rank, pmi2.size, a->numbers, room) : 1;
    if (count < 0) return PMI2_ERR_OTHER;
    if (!mapping || only_count) a->numbers[0] = only_count ? count : 0;
    *a->count = only_count || count < 1 ? 1 : count < a->room ? count : a->room;
    *a->found = 1;
    return PMI2_SUCCESS;
}

static int check_array(const char *name, const struct array *a) {
    int code = pmi2_check_key(name);
    if (code != PMI2_SUCCESS) return code;
    return a->numbers && a->room > 0 && a->count && a->found ? pmi2_enter() : PMI2_ERR_INVALID_ARG;
}

int PMI2_Info_GetNodeAttrIntArray(const char name[], int array[], int arraylen, int *outlen, int *found) {
    struct array a = {array, arraylen, outlen, found};
    int code = check_array(name, &a);
    if (code != PMI2_SUCCESS) return code;
    code = get_array("info-getnodeattr", name, "FALSE", &a);
    bool count = strcmp(name, "localRanksCount") == 0, ranks = strcmp(name, "localRanks") == 0;
    if (code == PMI2_SUCCESS && !*found && (count || ranks)) code = get_local_ranks(count, &a);
    return pmi2_leave(code);
}

int PMI2_Info_GetJobAttrIntArray(const char name[], int array[], int arraylen, int *outlen, int *found) {
    struct array a = {array, arraylen, outlen, found};
    int code = check_array(name, &a);
    if (code != PMI2_SUCCESS) return code;
    return pmi2_leave(get_array("info-getjobattr", name, NULL, &a));
}

/* --- names ----------------------------------------------------------------------------------------------------- */

static int name_request(const char *verb, const char *name, const char *port, struct reply *r) {
    struct text request = {0};
    frame_begin(&request, verb);
    frame_add(&request, "name", name);
    if (port) frame_add(&request, "port", port);
    frame_add(&request, "infokeycount", "0");
    return pmi2_ask(&request, verb, r);
}

static int check_name(const char *name) {
    return name && *name ? pmi2_enter() : PMI2_ERR_INVALID_ARG;
}

int PMI2_Nameserv_publish(const char service_name[], const struct MPID_Info *info_ptr, const char port[]) {
    struct reply r;
    (void)info_ptr;
    int code = port ? check_name(service_name) : PMI2_ERR_INVALID_ARG;
    if (code != PMI2_SUCCESS) return code;
    if (pmi2.singleton) return pmi2_leave(local_put(pmi2_names, service_name, port) ? PMI2_SUCCESS : PMI2_ERR_NOMEM);
    return pmi2_leave(name_request("name-publish", service_name, port, &r));
}

int PMI2_Nameserv_unpublish(const char service_name[], const struct MPID_Info *info_ptr) {
    struct reply r;
    (void)info_ptr;
    int code = check_name(service_name);
    if (code != PMI2_SUCCESS) return code;
    if (pmi2.singleton) return pmi2_leave(local_drop(pmi2_names, service_name) ? PMI2_SUCCESS : PMI2_ERR_OTHER);
    return pmi2_leave(name_request("name-unpublish", service_name, NULL, &r));
}

/* Slurm's server gives the port as value, MPICH's as port, ours as both. */
int PMI2_Nameserv_lookup(const char service_name[], const struct MPID_Info *info_ptr, char port[], int portLen) {
    struct reply r;
    const char *found;
    (void)info_ptr;
    int code = port && portLen > 0 ? check_name(service_name) : PMI2_ERR_INVALID_ARG;
    if (code != PMI2_SUCCESS) return code;
    if (pmi2.singleton) {
        found = local_get(pmi2_names, service_name);
    } else {
        code = name_request("name-lookup", service_name, NULL, &r);
        found = code == PMI2_SUCCESS ? reply_value(&r, "value") : NULL;
        if (code == PMI2_SUCCESS && !found) found = reply_value(&r, "port");
    }
    if (!found) return pmi2_leave(PMI2_ERR_OTHER);
    return pmi2_leave(copy_text(port, portLen, found) ? PMI2_SUCCESS : PMI2_ERR_INVALID_LENGTH);
}

/* --- the ring -------------------------------------------------------------------------------------------------- */

static int ring(const char *value, int *rank, char *left, char *right, int maxvalue) {
    struct reply r;
    struct text request = {0};
    frame_begin(&request, "ring");
    frame_add_int(&request, "ring-count", 1);
    frame_add(&request, "ring-left", value);
    frame_add(&request, "ring-right", value);
    int code = pmi2_ask(&request, "ring", &r);
    if (code != PMI2_SUCCESS) return code;
    const char *l = reply_value(&r, "ring-left"), *g = reply_value(&r, "ring-right");
    if (!l || !g || !reply_int(&r, "ring-count", rank)) return PMI2_ERR_OTHER;
    return copy_text(left, maxvalue, l) && copy_text(right, maxvalue, g) ? PMI2_SUCCESS : PMI2_ERR_INVALID_LENGTH;
}

int PMIX_Ring(const char value[], int *rank, int *ranks, char left[], char right[], int maxvalue) {
    int code = value && rank && ranks && left && right ? pmi2_check_value(value) : PMI2_ERR_INVALID_ARG;
    if (code == PMI2_SUCCESS) code = pmi2_enter();
    if (code != PMI2_SUCCESS) return code;
    *ranks = pmi2.size;
    *rank = 0;
    if (!pmi2.singleton) return pmi2_leave(ring(value, rank, left, right, maxvalue));
    bool fits = copy_text(left, maxvalue, value) && copy_text(right, maxvalue, value);
    return pmi2_leave(fits ? PMI2_SUCCESS : PMI2_ERR_INVALID_LENGTH);
}
