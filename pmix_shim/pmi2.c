/* PMI-2: joining and leaving the job, who is in it, keys and values, abort. */
#define _GNU_SOURCE
#include "local.h"
#include "pmi2_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE_MAX_RANKS = 1 << 24 };

struct pmi2 pmi2;
const char pmi2_keys[] = "keys", pmi2_node[] = "node attributes", pmi2_names[] = "published names";

/* --- requests and answers -------------------------------------------------------------------------------------- */

static int take_reply(const char *verb, struct reply *r) {
    size_t n, length = strlen(verb);
    int rc;
    char *payload = wire_frame(&pmi2.wire, &n);
    if (!payload) return PMI2_ERR_OTHER;
    const char *cmd = frame_parse(payload, r) ? reply_value(r, "cmd") : NULL;
    if (!cmd || strncmp(cmd, verb, length) != 0 || strcmp(cmd + length, "-response") != 0) {
        wire_close(&pmi2.wire); /* the answer to something else: we are out of step for good */
        return PMI2_ERR_OTHER;
    }
    return reply_int(r, "rc", &rc) && rc == 0 ? PMI2_SUCCESS : PMI2_ERR_OTHER;
}

int pmi2_ask(struct text *request, const char *verb, struct reply *r) {
    int code = request->failed ? PMI2_ERR_NOMEM : PMI2_ERR_INVALID_LENGTH;
    if (frame_end(request)) {
        bool sent = wire_send(&pmi2.wire, request->at, request->len);
        code = sent ? take_reply(verb, r) : PMI2_ERR_OTHER;
    }
    text_free(request);
    return code;
}

int pmi2_enter(void) {
    wire_lock();
    return pmi2.ready ? PMI2_SUCCESS : pmi2_leave(PMI2_ERR_INIT);
}

int pmi2_leave(int code) {
    wire_unlock();
    return code;
}

bool pmi2_copy(char *to, int size, const char *from) {
    size_t n = strlen(from), room = size > 0 ? (size_t)size - 1 : 0;
    if (size <= 0) return false;
    memcpy(to, from, n < room ? n : room);
    to[n < room ? n : room] = 0;
    return n <= room;
}

int pmi2_check_key(const char *key) {
    if (!key || !*key) return PMI2_ERR_INVALID_KEY;
    return strlen(key) <= PMI2_MAX_KEYLEN ? PMI2_SUCCESS : PMI2_ERR_INVALID_KEY_LENGTH;
}

int pmi2_check_value(const char *value) {
    if (!value) return PMI2_ERR_INVALID_VAL;
    return strlen(value) <= PMI2_MAX_VALLEN ? PMI2_SUCCESS : PMI2_ERR_INVALID_VAL_LENGTH;
}

/* --- joining --------------------------------------------------------------------------------------------------- */

/* The one line of PMI-1 that begins PMI-2. */
static bool agree_on_version(void) {
    static const char request[] = "cmd=init pmi_version=2 pmi_subversion=0\n";
    static const char answer[] = "cmd=response_to_init ";
    if (!wire_send(&pmi2.wire, request, sizeof request - 1)) return false;
    const char *line = wire_line(&pmi2.wire);
    if (!line || strncmp(line, answer, sizeof answer - 1) != 0) return false;
    const char *version = strstr(line, " pmi_version=2"), *rc = strstr(line, " rc=0");
    return version && rc && (!version[14] || version[14] == ' ') && (!rc[5] || rc[5] == ' ');
}

/* Over TCP PMI_ID is all that tells who we are; on an inherited descriptor the server knows. */
static bool add_identity(struct text *t, enum found found) {
    const char *job = getenv("PMI_JOBID"), *id = getenv(found == WIRE_PORT ? "PMI_ID" : "PMI_RANK");
    int number;
    if (!id || !parse_int(id, &number)) return false;
    if (job) frame_add(t, "pmijobid", job);
    frame_add_int(t, found == WIRE_PORT ? "srcid" : "pmirank", number);
    frame_add(t, "threaded", "FALSE");
    return true;
}

static bool introduce(enum found found) {
    struct reply r;
    struct text request = {0};
    int version;
    frame_begin(&request, "fullinit");
    if (!add_identity(&request, found)) {
        text_free(&request);
        return false;
    }
    if (pmi2_ask(&request, "fullinit", &r) != PMI2_SUCCESS) return false;
    if (!reply_int(&r, "rank", &pmi2.rank) || !reply_int(&r, "size", &pmi2.size)) return false;
    if (!reply_int(&r, "appnum", &pmi2.appnum)) pmi2.appnum = -1;
    pmi2.spawned = reply_value(&r, "spawner-jobid") != NULL;
    bool right_version = !reply_value(&r, "pmi-version") || (reply_int(&r, "pmi-version", &version) && version == 2);
    return right_version && pmi2.size > 0 && pmi2.size <= SIZE_MAX_RANKS && pmi2.rank >= 0 && pmi2.rank < pmi2.size;
}

static int join(void) {
    enum found found = wire_open(&pmi2.wire);
    pmi2.singleton = found == WIRE_NONE;
    pmi2.spawned = 0;
    if (pmi2.singleton) {
        pmi2.size = 1;
        pmi2.rank = 0;
        pmi2.appnum = -1; /* as of a program that no launcher put anywhere */
        return PMI2_SUCCESS;
    }
    if (found != WIRE_BROKEN && agree_on_version() && introduce(found)) return PMI2_SUCCESS;
    wire_close(&pmi2.wire);
    return PMI2_ERR_OTHER;
}

int PMI2_Init(int *spawned, int *size, int *rank, int *appnum) {
    int code = PMI2_SUCCESS;
    if (!spawned || !size || !rank || !appnum) return PMI2_ERR_INVALID_ARG;
    wire_lock();
    if (!pmi2.ready) code = join();
    if (code == PMI2_SUCCESS) {
        pmi2.ready = true;
        *spawned = pmi2.spawned;
        *size = pmi2.size;
        *rank = pmi2.rank;
        *appnum = pmi2.appnum;
    }
    return pmi2_leave(code);
}

int PMI2_Initialized(void) {
    wire_lock();
    return pmi2_leave(pmi2.ready);
}

int PMI2_Finalize(void) {
    struct reply r;
    struct text request = {0};
    int code = pmi2_enter();
    if (code != PMI2_SUCCESS) return code;
    if (!pmi2.singleton) {
        frame_begin(&request, "finalize");
        code = pmi2_ask(&request, "finalize", &r);
    }
    wire_close(&pmi2.wire);
    pmi2.ready = false;
    return pmi2_leave(code);
}

/* No lock: whoever holds it may wait in a fence that this very call is to end. */
int PMI2_Abort(int flag, const char msg[]) {
    struct text request = {0};
    frame_begin(&request, "abort");
    frame_add(&request, "isworld", flag ? "TRUE" : "FALSE");
    frame_add(&request, "msg", msg ? msg : "");
    if (pmi2.ready && !pmi2.singleton && frame_end(&request))
        (void)wire_send(&pmi2.wire, request.at, request.len);
    else if (msg)
        fprintf(stderr, "%s\n", msg);
    exit(flag & 0xff ? flag : 1);
}

/* --- the job --------------------------------------------------------------------------------------------------- */

static int ask_job_id(char *jobid, int size) {
    struct reply r;
    struct text request = {0};
    frame_begin(&request, "job-getid");
    int code = pmi2_ask(&request, "job-getid", &r);
    if (code != PMI2_SUCCESS) return code;
    const char *id = reply_value(&r, "jobid");
    if (!id) return PMI2_ERR_OTHER;
    return copy_text(jobid, size, id) ? PMI2_SUCCESS : PMI2_ERR_INVALID_LENGTH;
}

static int name_singleton(char *jobid, int size) {
    struct text name = {0};
    text_add(&name, "singleton_");
    text_add_int(&name, (int)getpid());
    bool fits = !name.failed && copy_text(jobid, size, name.at);
    text_free(&name);
    return fits ? PMI2_SUCCESS : PMI2_ERR_INVALID_LENGTH;
}

int PMI2_Job_GetId(char jobid[], int jobid_size) {
    int code = jobid ? pmi2_enter() : PMI2_ERR_INVALID_ARG;
    if (code != PMI2_SUCCESS) return code;
    return pmi2_leave(pmi2.singleton ? name_singleton(jobid, jobid_size) : ask_job_id(jobid, jobid_size));
}

static int give(int *to, const int *from) {
    int code = to ? pmi2_enter() : PMI2_ERR_INVALID_ARG;
    if (code != PMI2_SUCCESS) return code;
    *to = *from;
    return pmi2_leave(PMI2_SUCCESS);
}

int PMI2_Job_GetRank(int *rank) {
    return give(rank, &pmi2.rank);
}

int PMI2_Info_GetSize(int *size) {
    return give(size, &pmi2.size);
}

/* The server's word is all there is: it reads other jobs' spaces for us, and a `kvscopy` of ours is never needed. */
static int job_request(const char *verb, const char *jobid) {
    struct reply r;
    struct text request = {0};
    int code = jobid ? pmi2_enter() : PMI2_ERR_INVALID_ARG;
    if (code != PMI2_SUCCESS) return code;
    if (pmi2.singleton) return pmi2_leave(PMI2_ERR_OTHER);
    frame_begin(&request, verb);
    frame_add(&request, "jobid", jobid);
    code = pmi2_ask(&request, verb, &r);
    const char *copy = code == PMI2_SUCCESS ? reply_value(&r, "kvscopy") : NULL;
    return pmi2_leave(copy && strcmp(copy, "TRUE") == 0 ? PMI2_ERR_OTHER : code);
}

int PMI2_Job_Connect(const char jobid[], PMI2_Connect_comm_t *conn) {
    (void)conn;
    return job_request("job-connect", jobid);
}

int PMI2_Job_Disconnect(const char jobid[]) {
    return job_request("job-disconnect", jobid);
}

/* --- keys and values ------------------------------------------------------------------------------------------- */

int PMI2_KVS_Put(const char key[], const char value[]) {
    struct reply r;
    struct text request = {0};
    int code = pmi2_check_key(key);
    if (code == PMI2_SUCCESS) code = pmi2_check_value(value);
    if (code == PMI2_SUCCESS) code = pmi2_enter();
    if (code != PMI2_SUCCESS) return code;
    if (pmi2.singleton) return pmi2_leave(local_put(pmi2_keys, key, value) ? PMI2_SUCCESS : PMI2_ERR_NOMEM);
    frame_begin(&request, "kvs-put");
    frame_add(&request, "key", key);
    frame_add(&request, "value", value);
    return pmi2_leave(pmi2_ask(&request, "kvs-put", &r));
}

int PMI2_KVS_Fence(void) {
    struct reply r;
    struct text request = {0};
    int code = pmi2_enter();
    if (code != PMI2_SUCCESS) return code;
    if (pmi2.singleton) return pmi2_leave(PMI2_SUCCESS);
    frame_begin(&request, "kvs-fence");
    return pmi2_leave(pmi2_ask(&request, "kvs-fence", &r));
}

static int fetch(const char *jobid, int src_pmi_id, const char *key, struct reply *r) {
    struct text request = {0};
    frame_begin(&request, "kvs-get");
    if (jobid) frame_add(&request, "jobid", jobid);
    frame_add_int(&request, "srcid", src_pmi_id);
    frame_add(&request, "key", key);
    return pmi2_ask(&request, "kvs-get", r);
}

int PMI2_KVS_Get(const char *jobid, int src_pmi_id, const char key[], char value[], int maxvalue, int *vallen) {
    struct reply r;
    const char *text = NULL, *found;
    int code = pmi2_check_key(key);
    if (code == PMI2_SUCCESS) code = value && vallen && maxvalue > 0 ? pmi2_enter() : PMI2_ERR_INVALID_ARG;
    if (code != PMI2_SUCCESS) return code;
    if (pmi2.singleton) {
        text = local_get(pmi2_keys, key);
    } else {
        code = fetch(jobid, src_pmi_id, key, &r);
        found = code == PMI2_SUCCESS ? reply_value(&r, "found") : NULL;
        text = found && strcmp(found, "TRUE") == 0 ? reply_value(&r, "value") : NULL;
    }
    if (!text) return pmi2_leave(PMI2_ERR_OTHER);
    int length = (int)strlen(text);
    *vallen = pmi2_copy(value, maxvalue, text) ? length : -length;
    return pmi2_leave(PMI2_SUCCESS);
}
