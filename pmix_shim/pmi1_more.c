/* PMI-1: published names, spawning, options. */
#define _GNU_SOURCE
#include "local.h"
#include "pmi1.h"

#include <limits.h>
#include <string.h>

static const char NAMES[] = "published names"; /* of a singleton; no key-value space can be called that */

/* --- names ----------------------------------------------------------------------------------------------------- */

/* ` port=` in a name would end it on the wire. */
static bool service_ok(const char *service) {
    return service && *service && !strpbrk(service, "\n\r") && !strstr(service, " port=");
}

static bool port_ok(const char *port) {
    return port && *port && strlen(port) < PORT_MAX && !strpbrk(port, " \n\r");
}

/* Old servers say it in info=, new ones in rc=, ours in both. */
static int check_info(char *line) {
    const char *info = pmi1_word(line, "info");
    return !info || strcmp(info, "ok") == 0 ? PMI_SUCCESS : PMI_FAIL;
}

static int name_request(const char *verb, const char *service, const char *port, const char *answer) {
    char *line;
    struct text request = {0};
    text_add(&request, verb);
    text_add(&request, service);
    if (port) {
        text_add(&request, " port=");
        text_add(&request, port);
    }
    text_add(&request, "\n");
    int code = pmi1_ask(&request, answer, &line);
    return code == PMI_SUCCESS ? check_info(line) : code;
}

int PMI_Publish_name(const char service_name[], const char port[]) {
    if (!service_ok(service_name) || !port_ok(port)) return PMI_ERR_INVALID_ARG;
    int code = pmi1_enter();
    if (code != PMI_SUCCESS) return code;
    if (pmi1.singleton)
        code = local_put(NAMES, service_name, port) ? PMI_SUCCESS : PMI_ERR_NOMEM;
    else
        code = name_request("cmd=publish_name service=", service_name, port, "publish_result");
    return pmi1_leave(code);
}

int PMI_Unpublish_name(const char service_name[]) {
    if (!service_ok(service_name)) return PMI_ERR_INVALID_ARG;
    int code = pmi1_enter();
    if (code != PMI_SUCCESS) return code;
    if (pmi1.singleton)
        code = local_drop(NAMES, service_name) ? PMI_SUCCESS : PMI_FAIL;
    else
        code = name_request("cmd=unpublish_name service=", service_name, NULL, "unpublish_result");
    return pmi1_leave(code);
}

static int lookup(const char *service, char *port) {
    char *line;
    struct text request = {0};
    text_add(&request, "cmd=lookup_name service=");
    text_add(&request, service);
    text_add(&request, "\n");
    int code = pmi1_ask(&request, "lookup_result", &line);
    if (code != PMI_SUCCESS) return code;
    bool refused = strstr(line, " info=not") != NULL;
    const char *found = pmi1_word(line, "port");
    return !refused && found && copy_text(port, PORT_MAX, found) ? PMI_SUCCESS : PMI_FAIL;
}

int PMI_Lookup_name(const char service_name[], char port[]) {
    if (!service_ok(service_name) || !port) return PMI_ERR_INVALID_ARG;
    int code = pmi1_enter();
    if (code != PMI_SUCCESS) return code;
    if (pmi1.singleton) {
        const char *found = local_get(NAMES, service_name);
        return pmi1_leave(found && copy_text(port, PORT_MAX, found) ? PMI_SUCCESS : PMI_FAIL);
    }
    return pmi1_leave(lookup(service_name, port));
}

/* --- spawning -------------------------------------------------------------------------------------------------- */

struct spawn {
    int count;
    const char **cmds;
    const char ***argvs;
    const int *maxprocs, *info_sizes;
    const PMI_keyval_t **infos;
    int preput_size;
    const PMI_keyval_t *preput;
};

/* `name=value`, or `name<number>=value` when number is not negative. False: no line can carry the value. */
static bool add_item(struct text *t, const char *name, int number, const char *value) {
    if (!value || strpbrk(value, "\n\r")) return false;
    text_add(t, name);
    if (number >= 0) text_add_int(t, number);
    text_add(t, "=");
    text_add(t, value);
    text_add(t, "\n");
    return true;
}

static void add_number(struct text *t, const char *name, int value) {
    text_add(t, name);
    text_add(t, "=");
    text_add_int(t, value);
    text_add(t, "\n");
}

static bool add_pairs(struct text *t, const char *count, const char *key, const char *val, const PMI_keyval_t *pairs,
                      int n) {
    add_number(t, count, n);
    for (int i = 0; i < n; i++)
        if (!add_item(t, key, i, pairs[i].key) || !add_item(t, val, i, pairs[i].val)) return false;
    return true;
}

/* One command. Arguments are counted from 1, and what is put beforehand is said once, in the first block. */
static bool add_block(struct text *t, const struct spawn *s, int i) {
    int argc = 0, infos = s->info_sizes && s->infos && s->infos[i] ? s->info_sizes[i] : 0;
    const char **argv = s->argvs ? s->argvs[i] : NULL;
    text_add(t, "mcmd=spawn\n");
    add_number(t, "nprocs", s->maxprocs[i]);
    if (!add_item(t, "execname", -1, s->cmds[i])) return false;
    add_number(t, "totspawns", s->count);
    add_number(t, "spawnssofar", i + 1);
    for (; argv && argv[argc]; argc++)
        if (!add_item(t, "arg", argc + 1, argv[argc])) return false;
    add_number(t, "argcnt", argc);
    if (i == 0 && !add_pairs(t, "preput_num", "preput_key_", "preput_val_", s->preput, s->preput_size)) return false;
    if (!add_pairs(t, "info_num", "info_key_", "info_val_", infos ? s->infos[i] : NULL, infos)) return false;
    text_add(t, "endcmd\n");
    return true;
}

static bool spawn_ok(const struct spawn *s, int *processes) {
    *processes = 0;
    if (s->count <= 0 || !s->cmds || !s->maxprocs || s->preput_size < 0 || (s->preput_size && !s->preput)) return false;
    for (int i = 0; i < s->count; i++) {
        bool info_ok = !s->info_sizes || s->info_sizes[i] >= 0;
        if (!s->cmds[i] || s->maxprocs[i] < 0 || s->maxprocs[i] > INT_MAX - *processes || !info_ok) return false;
        *processes += s->maxprocs[i];
    }
    return true;
}

/* Some servers say only that all went well. */
static int take_errors(char *line, int *errors, int processes) {
    const char *codes = pmi1_word(line, "errcodes");
    for (int i = 0; errors && i < processes; i++) errors[i] = 0;
    if (!codes || !errors) return PMI_SUCCESS;
    return parse_ints(codes, errors, processes) == processes ? PMI_SUCCESS : PMI_FAIL;
}

int PMI_Spawn_multiple(int count, const char *cmds[], const char **argvs[], const int maxprocs[],
                       const int info_keyval_sizesp[], const PMI_keyval_t *info_keyval_vectors[],
                       int preput_keyval_size, const PMI_keyval_t preput_keyval_vector[], int errors[]) {
    struct spawn s = {count,
                      cmds,
                      argvs,
                      maxprocs,
                      info_keyval_sizesp,
                      info_keyval_vectors,
                      preput_keyval_size,
                      preput_keyval_vector};
    struct text request = {0};
    char *line;
    int processes;
    bool good = spawn_ok(&s, &processes);
    for (int i = 0; i < count && good; i++) good = add_block(&request, &s, i);
    int code = good ? pmi1_enter() : PMI_ERR_INVALID_ARG;
    if (code != PMI_SUCCESS) {
        text_free(&request);
        return code;
    }
    if (pmi1.singleton) {
        text_free(&request);
        return pmi1_leave(PMI_FAIL); /* nobody is there who could start them */
    }
    code = pmi1_ask(&request, "spawn_result", &line);
    return pmi1_leave(code == PMI_SUCCESS ? take_errors(line, errors, processes) : code);
}

/* --- options: there are none ----------------------------------------------------------------------------------- */

int PMI_Parse_option(int num_args, char *args[], int *num_parsed, PMI_keyval_t **keyvalp, int *size) {
    if (num_args < 1) return PMI_ERR_INVALID_NUM_ARGS;
    if (!args) return PMI_ERR_INVALID_ARGS;
    if (!num_parsed) return PMI_ERR_INVALID_NUM_PARSED;
    if (!keyvalp) return PMI_ERR_INVALID_KEYVALP;
    if (!size) return PMI_ERR_INVALID_SIZE;
    *num_parsed = 0;
    *keyvalp = NULL;
    *size = 0;
    return PMI_SUCCESS;
}

int PMI_Args_to_keyval(int *argcp, char *((*argvp)[]), PMI_keyval_t **keyvalp, int *size) {
    if (!argcp || !argvp || !keyvalp || !size) return PMI_ERR_INVALID_ARG;
    *keyvalp = NULL;
    *size = 0;
    return PMI_SUCCESS;
}

int PMI_Free_keyvals(PMI_keyval_t keyvalp[], int size) {
    return size < 0 || (size > 0 && !keyvalp) ? PMI_ERR_INVALID_ARG : PMI_SUCCESS;
}

int PMI_Get_options(char *str, int *length) {
    if (!str || !length) return PMI_ERR_INVALID_ARG;
    if (*length < 1) return PMI_ERR_INVALID_LENGTH;
    *str = 0;
    *length = 0;
    return PMI_SUCCESS;
}
