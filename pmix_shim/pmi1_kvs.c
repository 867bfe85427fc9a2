/* PMI-1: keys and values.
 *
 * The wire knows one space per job. A space of PMI_KVS_Create is named `<job's space>:<rank>.<n>`, and its keys are
 * keys `<rank>.<n>:<key>` of the job's space, so that every rank that is told the name can use it. */
#define _GNU_SOURCE
#include "local.h"
#include "pmi1.h"

#include <string.h>

enum { SPACES_MAX = 1 << 20 };

static int next_place; /* of PMI_KVS_Iter_next: place in a singleton's space, index the server gave for ours */

struct place {
    char base[KVSNAME_MAX];
    char prefix[KVSNAME_MAX + 2]; /* of keys; "" in a job's own space */
};

static bool one_word(const char *text) {
    return *text && !strpbrk(text, " \n\r=");
}

/* What stands in front of a line end that we do not write ourselves would be a request of its own. */
static bool one_line(const char *text) {
    return !strpbrk(text, "\n\r");
}

static int find_place(const char *kvsname, struct place *p) {
    size_t own = strlen(pmi1.kvsname);
    if (!kvsname || !one_word(kvsname) || !copy_text(p->base, sizeof p->base, kvsname)) return PMI_ERR_INVALID_KVS;
    p->prefix[0] = 0;
    if (strncmp(kvsname, pmi1.kvsname, own) == 0 && kvsname[own] == ':') {
        size_t n = strlen(kvsname + own + 1);
        memcpy(p->prefix, kvsname + own + 1, n);
        memcpy(p->prefix + n, ":", 2);
        p->base[own] = 0;
    }
    return PMI_SUCCESS;
}

static int check_key(const char *key) {
    if (!key || !one_word(key)) return PMI_ERR_INVALID_KEY;
    return strlen(key) < (size_t)pmi1.keylen_max ? PMI_SUCCESS : PMI_ERR_INVALID_KEY_LENGTH;
}

static int check_value(const char *value) {
    if (!value || !one_line(value)) return PMI_ERR_INVALID_VAL;
    return strlen(value) < (size_t)pmi1.vallen_max ? PMI_SUCCESS : PMI_ERR_INVALID_VAL_LENGTH;
}

/* Servers take one blank at the end of a value for the line's; one more saves a value's own. */
static int send_put(const struct place *p, const char *key, const char *value) {
    struct text request = {0};
    size_t n = strlen(value);
    text_add(&request, "cmd=put kvsname=");
    text_add(&request, p->base);
    text_add(&request, " key=");
    text_add(&request, p->prefix);
    text_add(&request, key);
    text_add(&request, " value=");
    text_add(&request, value);
    if (n && value[n - 1] == ' ') text_add(&request, " ");
    text_add(&request, "\n");
    return pmi1_ask(&request, "put_result", NULL);
}

int PMI_KVS_Put(const char kvsname[], const char key[], const char value[]) {
    struct place p;
    int code = pmi1_enter();
    if (code != PMI_SUCCESS) return code;
    code = find_place(kvsname, &p);
    if (code == PMI_SUCCESS) code = check_key(key);
    if (code == PMI_SUCCESS) code = check_value(value);
    if (code != PMI_SUCCESS) return pmi1_leave(code);
    if (strcmp(p.base, pmi1.kvsname) != 0)
        code = PMI_ERR_INVALID_KVS; /* another job's: to be read only */
    else if (pmi1.singleton)
        code = local_put(kvsname, key, value) ? PMI_SUCCESS : PMI_ERR_NOMEM;
    else
        code = send_put(&p, key, value);
    return pmi1_leave(code);
}

/* Every put is answered when the server has it. */
int PMI_KVS_Commit(const char kvsname[]) {
    struct place p;
    int code = pmi1_enter();
    return code == PMI_SUCCESS ? pmi1_leave(find_place(kvsname, &p)) : code;
}

static int fetch_key(const struct place *p, const char *key, char **value) {
    struct text full = {0};
    text_add(&full, p->prefix);
    text_add(&full, key);
    int code = full.failed ? PMI_ERR_NOMEM : pmi1_fetch(p->base, full.at, value);
    text_free(&full);
    return code;
}

int PMI_KVS_Get(const char kvsname[], const char key[], char value[], int length) {
    struct place p;
    char *fetched = NULL;
    int code = value ? pmi1_enter() : PMI_ERR_INVALID_VAL;
    if (code != PMI_SUCCESS) return code;
    code = find_place(kvsname, &p);
    if (code == PMI_SUCCESS) code = check_key(key);
    if (code != PMI_SUCCESS) return pmi1_leave(code);
    const char *found = NULL;
    if (pmi1.singleton)
        found = local_get(kvsname, key);
    else if (fetch_key(&p, key, &fetched) == PMI_SUCCESS)
        found = fetched;
    if (!found) return pmi1_leave(PMI_FAIL);
    return pmi1_leave(copy_text(value, length, found) ? PMI_SUCCESS : PMI_ERR_INVALID_LENGTH);
}

int PMI_KVS_Create(char kvsname[], int length) {
    struct text name = {0};
    int code = kvsname ? pmi1_enter() : PMI_ERR_INVALID_ARG;
    if (code != PMI_SUCCESS) return code;
    text_add(&name, pmi1.kvsname);
    text_add(&name, ":");
    text_add_int(&name, pmi1.rank);
    text_add(&name, ".");
    text_add_int(&name, pmi1.spaces);
    if (name.failed)
        code = PMI_ERR_NOMEM;
    else if (pmi1.spaces >= SPACES_MAX || name.len >= KVSNAME_MAX)
        code = PMI_FAIL;
    else if (!copy_text(kvsname, length, name.at))
        code = PMI_ERR_INVALID_LENGTH;
    else
        pmi1.spaces++;
    text_free(&name);
    return pmi1_leave(code);
}

/* The keys stay with the server until the job ends, but nobody should ask for them any more. */
int PMI_KVS_Destroy(const char kvsname[]) {
    struct place p;
    int code = pmi1_enter();
    if (code != PMI_SUCCESS) return code;
    code = find_place(kvsname, &p);
    if (code == PMI_SUCCESS && !p.prefix[0]) code = PMI_ERR_INVALID_ARG; /* a job's own space cannot go */
    const char *key, *value;
    while (code == PMI_SUCCESS && pmi1.singleton && local_at(kvsname, 0, &key, &value)) (void)local_drop(kvsname, key);
    return pmi1_leave(code == PMI_ERR_INVALID_KVS ? PMI_ERR_INVALID_ARG : code);
}

/* --- going through a space ------------------------------------------------------------------------------------- */

struct pair {
    const char *key, *value;
};

/* MPICH's old verb: indices are the server's, and one names the next. The end is key "". */
static int ask_indexed(const char *base, struct pair *found) {
    char *line = NULL, *key;
    struct text request = {0};
    text_add(&request, "cmd=getbyidx kvsname=");
    text_add(&request, base);
    text_add(&request, " idx=");
    text_add_int(&request, next_place);
    text_add(&request, "\n");
    int code = pmi1_ask(&request, "getbyidx_results", &line);
    if (code != PMI_SUCCESS) {
        bool end = line && code == PMI_FAIL && strstr(line, "reason=no_more_keyvals");
        *found = (struct pair){"", ""};
        return end ? PMI_SUCCESS : code;
    }
    found->value = pmi1_rest(line, "val");
    key = pmi1_word(line, "key");
    if (!found->value || !key || !pmi1_number(line, "nextidx", &next_place)) return PMI_FAIL;
    found->key = key;
    return PMI_SUCCESS;
}

/* The next pair of this space: those of spaces made by PMI_KVS_Create have their prefix. */
static int next_pair(const char *kvsname, const struct place *p, struct pair *found) {
    size_t n = strlen(p->prefix);
    if (pmi1.singleton) {
        if (!local_at(kvsname, next_place++, &found->key, &found->value)) *found = (struct pair){"", ""};
        return PMI_SUCCESS;
    }
    for (;;) {
        int before = next_place, code = ask_indexed(p->base, found);
        if (code != PMI_SUCCESS || !*found->key) return code;
        if (next_place <= before) return PMI_FAIL; /* a server that turns in circles */
        if (strncmp(found->key, p->prefix, n) == 0) break;
    }
    found->key += n;
    return PMI_SUCCESS;
}

static int iterate(bool first, const char *kvsname, char *key, int key_len, char *val, int val_len) {
    struct place p;
    struct pair found = {"", ""};
    int code = pmi1_enter();
    if (code != PMI_SUCCESS) return code;
    if (first) next_place = 0;
    code = !key ? PMI_ERR_INVALID_KEY : !val ? PMI_ERR_INVALID_VAL : find_place(kvsname, &p);
    if (code == PMI_SUCCESS) code = next_pair(kvsname, &p, &found);
    if (code == PMI_SUCCESS && !copy_text(key, key_len, found.key)) code = PMI_ERR_INVALID_KEY_LENGTH;
    if (code == PMI_SUCCESS && !copy_text(val, val_len, found.value)) code = PMI_ERR_INVALID_VAL_LENGTH;
    return pmi1_leave(code);
}

int PMI_KVS_Iter_first(const char kvsname[], char key[], int key_len, char val[], int val_len) {
    return iterate(true, kvsname, key, key_len, val, val_len);
}

int PMI_KVS_Iter_next(const char kvsname[], char key[], int key_len, char val[], int val_len) {
    return iterate(false, kvsname, key, key_len, val, val_len);
}
