/* PMI-1: how a process of a parallel job talks to the process manager that started it.
 *
 * The numbers and prototypes are those of the PMI-1 interface of MPICH and Slurm, so that programs built against their
 * headers run with this library and the other way round. Every call gives PMI_SUCCESS or one of the codes below. */
#ifndef LWKPM_PMI_H
#define LWKPM_PMI_H

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PMI_FAIL = -1,
    PMI_SUCCESS = 0,
    PMI_ERR_INIT = 1, /* PMI_Init was not called, or PMI_Finalize was */
    PMI_ERR_NOMEM = 2,
    PMI_ERR_INVALID_ARG = 3,
    PMI_ERR_INVALID_KEY = 4,
    PMI_ERR_INVALID_KEY_LENGTH = 5,
    PMI_ERR_INVALID_VAL = 6,
    PMI_ERR_INVALID_VAL_LENGTH = 7,
    PMI_ERR_INVALID_LENGTH = 8, /* a result does not fit into the buffer */
    PMI_ERR_INVALID_NUM_ARGS = 9,
    PMI_ERR_INVALID_ARGS = 10,
    PMI_ERR_INVALID_NUM_PARSED = 11,
    PMI_ERR_INVALID_KEYVALP = 12,
    PMI_ERR_INVALID_SIZE = 13,
    PMI_ERR_INVALID_KVS = 14,
};

typedef int PMI_BOOL;
enum { PMI_FALSE = 0, PMI_TRUE = 1 };

typedef struct PMI_keyval_t {
    char *key;
    char *val;
} PMI_keyval_t;

/* The job. `spawned`: started by PMI_Spawn_multiple. Without a launcher a process is rank 0 of 1. */
int PMI_Init(int *spawned);
int PMI_Initialized(PMI_BOOL *initialized);
int PMI_Finalize(void);
int PMI_Get_size(int *size);
int PMI_Get_rank(int *rank);
int PMI_Get_universe_size(int *size);
int PMI_Get_appnum(int *appnum);
int PMI_Barrier(void);
int PMI_Abort(int exit_code, const char error_msg[]); /* does not return */

/* Names of the job; buffers of PMI_Get_id_length_max bytes always suffice. */
int PMI_Get_id(char id_str[], int length);
int PMI_Get_kvs_domain_id(char id_str[], int length);
int PMI_Get_id_length_max(int *length);

/* The ranks on the caller's node. */
int PMI_Get_clique_size(int *size);
int PMI_Get_clique_ranks(int ranks[], int length);

/* Services known by name. `port` needs room for 1024 bytes. */
int PMI_Publish_name(const char service_name[], const char port[]);
int PMI_Unpublish_name(const char service_name[]);
int PMI_Lookup_name(const char service_name[], char port[]);

/* Keys and values. What was put and committed before a barrier can be got after it. Lengths count the NUL. */
int PMI_KVS_Get_my_name(char kvsname[], int length);
int PMI_KVS_Get_name_length_max(int *length);
int PMI_KVS_Get_key_length_max(int *length);
int PMI_KVS_Get_value_length_max(int *length);
int PMI_KVS_Create(char kvsname[], int length);
int PMI_KVS_Destroy(const char kvsname[]);
int PMI_KVS_Put(const char kvsname[], const char key[], const char value[]);
int PMI_KVS_Commit(const char kvsname[]);
int PMI_KVS_Get(const char kvsname[], const char key[], char value[], int length);
int PMI_KVS_Iter_first(const char kvsname[], char key[], int key_len, char val[], int val_len);
int PMI_KVS_Iter_next(const char kvsname[], char key[], int key_len, char val[], int val_len);

/* More processes. The arrays have `count` elements, `errors` one for each process. argvs end with NULL. */
int PMI_Spawn_multiple(int count, const char *cmds[], const char **argvs[], const int maxprocs[],
                       const int info_keyval_sizesp[], const PMI_keyval_t *info_keyval_vectors[],
                       int preput_keyval_size, const PMI_keyval_t preput_keyval_vector[], int errors[]);

/* Options of the process manager on a program's command line; this one has none. */
int PMI_Parse_option(int num_args, char *args[], int *num_parsed, PMI_keyval_t **keyvalp, int *size);
int PMI_Args_to_keyval(int *argcp, char *((*argvp)[]), PMI_keyval_t **keyvalp, int *size);
int PMI_Free_keyvals(PMI_keyval_t keyvalp[], int size);
int PMI_Get_options(char *str, int *length);

#ifdef __cplusplus
}
#endif

#endif
