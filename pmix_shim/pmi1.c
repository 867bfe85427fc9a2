/* PMI-1: joining and leaving the job, who is in it, barrier and abort. */
#define _GNU_SOURCE
#include "pmi1.h"
#include "mapping.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pmi1 pmi1;

/* --- requests and answers -------------------------------------------------------------------------------------- */

/* Where the value of a word begins. Words are divided by blanks; `value=` is the last, and takes in all that follows.
 */
static const char *find_word(const char *line, const char *key) {
    size_t n = strlen(key);
    for (const char *at = line; at; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (strncmp(at, key, n) == 0 && at[n] == '=') return at + n + 1;
        if (strncmp(at, "value=", 6) == 0) return NULL;
    }
    return NULL;
}

char *pmi1_word(char *line, const char *key) {
    char *value = (char *)(size_t)find_word(line, key);
    if (value) value[strcspn(value, " ")] = 0;
    return value;
}

bool pmi1_number(const char *line, const char *key, int *number) {
    char digits[16];
    const char *value = find_word(line, key);
    size_t n = value ? strcspn(value, " ") : 0;
    if (n == 0 || n >= sizeof digits) return false;
    memcpy(digits, value, n);
    digits[n] = 0;
    return parse_int(digits, number);
}

char *pmi1_rest(char *line, const char *key) {
    char *value = (char *)(size_t)find_word(line, key);
    if (value) value[-(ptrdiff_t)strlen(key) - 2] = 0;
    return value;
}

static bool is_answer(const char *line, const char *answer) {
    size_t n = strlen(answer);
    return strncmp(line + 4, answer, n) == 0 && (line[4 + n] == ' ' || !line[4 + n]);
}

/* `cmd=<verb>_result rc=-1`, with the verb of any request: this server does not know it. */
static bool is_refusal(const char *line) {
    static const char end[] = "_result";
    size_t n = strcspn(line, " ");
    int rc;
    return n >= sizeof end && strncmp(line + n - (sizeof end - 1), end, sizeof end - 1) == 0 &&
           pmi1_number(line, "rc", &rc) && rc != 0;
}

/* rc= stands before value= in every answer that has one; servers leave it out where nothing can fail. */
static int check_answer(const char *line, const char *answer) {
    int rc = 0;
    if (!is_answer(line, answer)) {
        if (!is_refusal(line)) wire_close(&pmi1.wire); /* the answer to something else: out of step for good */
        return PMI_FAIL;
    }
    if (find_word(line, "rc") && !pmi1_number(line, "rc", &rc)) return PMI_FAIL;
    return rc == 0 ? PMI_SUCCESS : PMI_FAIL;
}

int pmi1_ask_plain(const char *request, const char *answer, char **line) {
    char *got;
    if (!wire_send(&pmi1.wire, request, strlen(request))) return PMI_FAIL;
    got = wire_line(&pmi1.wire);
    if (!got) return PMI_FAIL;
    if (line) *line = got;
    return check_answer(got, answer);
}

int pmi1_ask(struct text *request, const char *answer, char **line) {
    int code = request->failed ? PMI_ERR_NOMEM : pmi1_ask_plain(request->at, answer, line);
    text_free(request);
    return code;
}

int pmi1_fetch(const char *kvsname, const char *key, char **value) {
    char *line;
    struct text request = {0};
    text_add(&request, "cmd=get kvsname=");
    text_add(&request, kvsname);
    text_add(&request, " key=");
    text_add(&request, key);
    text_add(&request, "\n");
    int code = pmi1_ask(&request, "get_result", &line);
    if (code != PMI_SUCCESS) return code;
    *value = pmi1_rest(line, "value");
    return *value ? PMI_SUCCESS : PMI_FAIL;
}

int pmi1_enter(void) {
    wire_lock();
    return pmi1.ready ? PMI_SUCCESS : pmi1_leave(PMI_ERR_INIT);
}

int pmi1_leave(int code) {
    wire_unlock();
    return code;
}

/* --- joining --------------------------------------------------------------------------------------------------- */

static bool plausible_place(void) {
    return pmi1.size > 0 && pmi1.size <= SIZE_MAX_RANKS && pmi1.rank >= 0 && pmi1.rank < pmi1.size;
}

/* With an inherited descriptor the environment says who we are. */
static bool place_from_environment(void) {
    const char *rank = getenv("PMI_RANK"), *size = getenv("PMI_SIZE");
    return rank && size && parse_int(rank, &pmi1.rank) && parse_int(size, &pmi1.size) && plausible_place();
}

/* Over TCP the server does, in four lines. */
static bool place_from_server(void) {
    char *line;
    int id;
    const char *text = getenv("PMI_ID");
    struct text request = {0};
    if (!text || !parse_int(text, &id)) return false;
    text_add(&request, "cmd=initack pmiid=");
    text_add_int(&request, id);
    text_add(&request, "\n");
    if (pmi1_ask(&request, "initack", &line) != PMI_SUCCESS) return false;
    for (int i = 0; i < 3; i++) {
        line = wire_line(&pmi1.wire);
        if (!line || check_answer(line, "set") != PMI_SUCCESS) return false;
        (void)pmi1_number(line, "size", &pmi1.size);
        (void)pmi1_number(line, "rank", &pmi1.rank);
    }
    return plausible_place();
}

static bool agree_on_version(void) {
    char *line;
    int version, subversion;
    static const char request[] = "cmd=init pmi_version=1 pmi_subversion=1\n";
    return pmi1_ask_plain(request, "response_to_init", &line) == PMI_SUCCESS &&
           pmi1_number(line, "pmi_version", &version) && pmi1_number(line, "pmi_subversion", &subversion) &&
           version == 1;
}

static bool plausible_length(int n) {
    return n > 1 && n < ANSWER_MAX;
}

static bool read_limits(void) {
    char *line, *name;
    if (pmi1_ask_plain("cmd=get_maxes\n", "maxes", &line) != PMI_SUCCESS ||
        !pmi1_number(line, "kvsname_max", &pmi1.kvsname_max) || !pmi1_number(line, "keylen_max", &pmi1.keylen_max) ||
        !pmi1_number(line, "vallen_max", &pmi1.vallen_max))
        return false;
    if (!plausible_length(pmi1.kvsname_max) || !plausible_length(pmi1.keylen_max) || !plausible_length(pmi1.vallen_max))
        return false;
    if (pmi1_ask_plain("cmd=get_my_kvsname\n", "my_kvsname", &line) != PMI_SUCCESS) return false;
    name = pmi1_word(line, "kvsname");
    return name && *name && copy_text(pmi1.kvsname, sizeof pmi1.kvsname, name);
}

static void be_alone(void) {
    struct text name = {0};
    pmi1.size = 1;
    pmi1.rank = 0;
    pmi1.kvsname_max = KVSNAME_MAX;
    pmi1.keylen_max = 64;
    pmi1.vallen_max = 4096;
    text_add(&name, "singleton_");
    text_add_int(&name, (int)getpid());
    (void)copy_text(pmi1.kvsname, sizeof pmi1.kvsname, name.failed ? "singleton" : name.at);
    text_free(&name);
}

static int join(void) {
    pmi1.size = pmi1.rank = -1;
    enum found found = wire_open(&pmi1.wire);
    pmi1.singleton = found == WIRE_NONE;
    if (found == WIRE_BROKEN) return PMI_FAIL;
    if (pmi1.singleton) {
        be_alone();
        return PMI_SUCCESS;
    }
    bool known = found == WIRE_FD ? place_from_environment() : place_from_server();
    if (known && agree_on_version() && read_limits()) return PMI_SUCCESS;
    wire_close(&pmi1.wire);
    return PMI_FAIL;
}

int PMI_Init(int *spawned) {
    const char *flag = getenv("PMI_SPAWNED");
    int code = PMI_SUCCESS, value = 0;
    if (!spawned) return PMI_ERR_INVALID_ARG;
    wire_lock();
    if (!pmi1.ready) code = join();
    if (code == PMI_SUCCESS) {
        pmi1.ready = true;
        *spawned = flag && parse_int(flag, &value) && value && !pmi1.singleton;
    }
    return pmi1_leave(code);
}

int PMI_Initialized(PMI_BOOL *initialized) {
    if (!initialized) return PMI_ERR_INVALID_ARG;
    wire_lock();
    *initialized = pmi1.ready ? PMI_TRUE : PMI_FALSE;
    return pmi1_leave(PMI_SUCCESS);
}

int PMI_Finalize(void) {
    int code = pmi1_enter();
    if (code != PMI_SUCCESS) return code;
    if (!pmi1.singleton) code = pmi1_ask_plain("cmd=finalize\n", "finalize_ack", NULL);
    wire_close(&pmi1.wire);
    pmi1.ready = false;
    return pmi1_leave(code);
}

/* --- who is there ---------------------------------------------------------------------------------------------- */

/* A number that is known since PMI_Init. */
static int give(int *to, const int *from) {
    int code = to ? pmi1_enter() : PMI_ERR_INVALID_ARG;
    if (code != PMI_SUCCESS) return code;
    *to = *from;
    return pmi1_leave(PMI_SUCCESS);
}

int PMI_Get_size(int *size) {
    return give(size, &pmi1.size);
}

int PMI_Get_rank(int *rank) {
    return give(rank, &pmi1.rank);
}

int PMI_KVS_Get_name_length_max(int *length) {
    return give(length, &pmi1.kvsname_max);
}

int PMI_Get_id_length_max(int *length) {
    return give(length, &pmi1.kvsname_max);
}

int PMI_KVS_Get_key_length_max(int *length) {
    return give(length, &pmi1.keylen_max);
}

int PMI_KVS_Get_value_length_max(int *length) {
    return give(length, &pmi1.vallen_max);
}

/* A number that the server is asked for; `alone` is that of a singleton. */
static int ask_number(const char *request, const char *answer, const char *key, int alone, int *number) {
    char *line;
    int code = number ? pmi1_enter() : PMI_ERR_INVALID_ARG;
    if (code != PMI_SUCCESS) return code;
    if (pmi1.singleton)
        *number = alone;
    else if (pmi1_ask_plain(request, answer, &line) != PMI_SUCCESS || !pmi1_number(line, key, number))
        code = PMI_FAIL;
    return pmi1_leave(code);
}

int PMI_Get_universe_size(int *size) {
    return ask_number("cmd=get_universe_size\n", "universe_size", "size", 1, size);
}

/* -1 as of MPICH's singletons: MPI_APPNUM is not set. */
int PMI_Get_appnum(int *appnum) {
    return ask_number("cmd=get_appnum\n", "appnum", "appnum", -1, appnum);
}

static int give_name(char *to, int length) {
    int code = to ? pmi1_enter() : PMI_ERR_INVALID_ARG;
    if (code != PMI_SUCCESS) return code;
    return pmi1_leave(copy_text(to, length, pmi1.kvsname) ? PMI_SUCCESS : PMI_ERR_INVALID_LENGTH);
}

int PMI_KVS_Get_my_name(char kvsname[], int length) {
    return give_name(kvsname, length);
}

int PMI_Get_id(char id_str[], int length) {
    return give_name(id_str, length);
}

int PMI_Get_kvs_domain_id(char id_str[], int length) {
    return give_name(id_str, length);
}

/* Without a mapping (a foreign server, or one of a job too scattered for it) nobody is known to be near. */
static int clique(int *ranks, int room) {
    char *mapping;
    int count = -1;
    if (!pmi1.singleton && pmi1_fetch(pmi1.kvsname, "PMI_process_mapping", &mapping) == PMI_SUCCESS)
        count = ranks_of_node(mapping, pmi1.rank, pmi1.size, ranks, room);
    if (count < 0 && room > 0) ranks[0] = pmi1.rank;
    return count < 0 ? 1 : count;
}

int PMI_Get_clique_size(int *size) {
    int code = size ? pmi1_enter() : PMI_ERR_INVALID_ARG;
    if (code != PMI_SUCCESS) return code;
    *size = clique(NULL, 0);
    return pmi1_leave(PMI_SUCCESS);
}

int PMI_Get_clique_ranks(int ranks[], int length) {
    int code = ranks ? pmi1_enter() : PMI_ERR_INVALID_ARG;
    if (code != PMI_SUCCESS) return code;
    return pmi1_leave(clique(ranks, length < 0 ? 0 : length) <= length ? PMI_SUCCESS : PMI_ERR_INVALID_LENGTH);
}

/* --- all together ---------------------------------------------------------------------------------------------- */

int PMI_Barrier(void) {
    int code = pmi1_enter();
    if (code != PMI_SUCCESS) return code;
    if (!pmi1.singleton) code = pmi1_ask_plain("cmd=barrier_in\n", "barrier_out", NULL);
    return pmi1_leave(code);
}

/* No lock: whoever holds it may wait in a barrier that this very call is to end. */
int PMI_Abort(int exit_code, const char error_msg[]) {
    struct text request = {0};
    text_add(&request, "cmd=abort exitcode=");
    text_add_int(&request, exit_code);
    if (error_msg && *error_msg) {
        text_add(&request, " message=");
        size_t begin = request.len;
        text_add(&request, error_msg);
        for (size_t i = begin; i < request.len && !request.failed; i++)
            if (request.at[i] == '\n' || request.at[i] == '\r') request.at[i] = ' ';
    }
    text_add(&request, "\n");
    if (pmi1.ready && !pmi1.singleton && !request.failed)
        (void)wire_send(&pmi1.wire, request.at, request.len);
    else if (error_msg)
        fprintf(stderr, "%s\n", error_msg);
    exit(exit_code & 0xff ? exit_code : 1);
}
