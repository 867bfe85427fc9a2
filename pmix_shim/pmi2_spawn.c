/* PMI-2: spawning. */
#include "pmi2_core.h"

#include <limits.h>

struct spawn {
    int count;
    const char **cmds;
    const int *argcs;
    const char ***argvs;
    const int *maxprocs, *info_sizes;
    const struct MPID_Info **infos;
    int preput_size;
    const struct MPID_Info **preput;
};

static bool sizes_ok(const struct spawn *s, int i) {
    int argc = s->argcs ? s->argcs[i] : 0, infos = s->info_sizes ? s->info_sizes[i] : 0;
    if (!s->cmds[i] || s->maxprocs[i] < 0 || argc < 0 || infos < 0) return false;
    return (!argc || (s->argvs && s->argvs[i])) && (!infos || (s->infos && s->infos[i]));
}

static bool spawn_ok(const struct spawn *s, int *processes) {
    *processes = 0;
    if (s->count <= 0 || !s->cmds || !s->maxprocs || s->preput_size < 0 || (s->preput_size && !s->preput)) return false;
    for (int i = 0; i < s->count; i++) {
        if (!sizes_ok(s, i) || s->maxprocs[i] > INT_MAX - *processes) return false;
        *processes += s->maxprocs[i];
    }
    return true;
}

static bool add_pair(struct text *t, const char *key, const char *val, int i, const struct MPID_Info *pair) {
    if (!pair || !pair->key || !pair->value) return false;
    frame_add_numbered(t, key, i, pair->key);
    frame_add_numbered(t, val, i, pair->value);
    return true;
}

static bool add_command(struct text *t, const struct spawn *s, int c) {
    int argc = s->argcs ? s->argcs[c] : 0, infos = s->info_sizes ? s->info_sizes[c] : 0;
    frame_add(t, "subcmd", s->cmds[c]);
    frame_add_int(t, "maxprocs", s->maxprocs[c]);
    frame_add_int(t, "argc", argc);
    for (int i = 0; i < argc; i++) {
        if (!s->argvs[c][i]) return false;
        frame_add_numbered(t, "argv", i, s->argvs[c][i]);
    }
    frame_add_int(t, "infokeycount", infos);
    for (int i = 0; i < infos; i++)
        if (!add_pair(t, "infokey", "infoval", i, &s->infos[c][i])) return false;
    return true;
}

static bool add_all(struct text *t, const struct spawn *s) {
    frame_begin(t, "spawn");
    frame_add_int(t, "ncmds", s->count);
    frame_add_int(t, "preputcount", s->preput_size);
    for (int i = 0; i < s->preput_size; i++)
        if (!add_pair(t, "ppkey", "ppval", i, s->preput[i])) return false;
    for (int c = 0; c < s->count; c++)
        if (!add_command(t, s, c)) return false;
    return true;
}

/* Servers name errors one for each process, or say only that there were none. */
static int take_reply(const struct reply *r, int processes, char *jobid, int size, int *errors) {
    const char *id = reply_value(r, "jobid"), *codes = reply_value(r, "errcodes");
    for (int i = 0; errors && i < processes; i++) errors[i] = 0;
    if (!id) return PMI2_ERR_OTHER;
    if (jobid && size > 0 && !copy_text(jobid, size, id)) return PMI2_ERR_INVALID_LENGTH;
    if (!codes || !errors) return PMI2_SUCCESS;
    return parse_ints(codes, errors, processes) == processes ? PMI2_SUCCESS : PMI2_ERR_OTHER;
}

int PMI2_Job_Spawn(int count, const char *cmds[], int argcs[], const char **argvs[], const int maxprocs[],
                   const int info_keyval_sizes[], const struct MPID_Info *info_keyval_vectors[], int preput_keyval_size,
                   const struct MPID_Info *preput_keyval_vector[], char jobId[], int jobIdSize, int errors[]) {
    struct spawn s = {.count = count,
                      .cmds = cmds,
                      .argcs = argcs,
                      .argvs = argvs,
                      .maxprocs = maxprocs,
                      .info_sizes = info_keyval_sizes,
                      .infos = info_keyval_vectors,
                      .preput_size = preput_keyval_size,
                      .preput = preput_keyval_vector};
    struct text request = {0};
    struct reply r;
    int processes, code = spawn_ok(&s, &processes) && add_all(&request, &s) ? pmi2_enter() : PMI2_ERR_INVALID_ARG;
    if (code == PMI2_SUCCESS && pmi2.singleton) code = pmi2_leave(PMI2_ERR_OTHER); /* nobody could start them */
    if (code != PMI2_SUCCESS) {
        text_free(&request);
        return code;
    }
    code = pmi2_ask(&request, "spawn", &r);
    return pmi2_leave(code == PMI2_SUCCESS ? take_reply(&r, processes, jobId, jobIdSize, errors) : code);
}
