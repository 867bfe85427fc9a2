/* PMI-2: how a process of a parallel job talks to the process manager that started it.
 *
 * The numbers, structures and prototypes are those of Slurm's libpmi2.so.0, so that programs built against its header
 * run with this library and the other way round. (MPICH's own header differs in PMI2_Job_Spawn's pairs alone.) */
#ifndef LWKPM_PMI2_H
#define LWKPM_PMI2_H

#ifdef __cplusplus
extern "C" {
#endif

#define PMI2_MAX_KEYLEN 64
#define PMI2_MAX_VALLEN 1024
#define PMI2_MAX_ATTRVALUE 1024
#define PMI2_ID_NULL -1
#define HAVE_PMIX_RING 1

enum {
    PMI2_FAIL = -1,
    PMI2_SUCCESS = 0,
    PMI2_ERR_INIT = 1, /* PMI2_Init was not called, or PMI2_Finalize was */
    PMI2_ERR_NOMEM = 2,
    PMI2_ERR_INVALID_ARG = 3,
    PMI2_ERR_INVALID_KEY = 4,
    PMI2_ERR_INVALID_KEY_LENGTH = 5,
    PMI2_ERR_INVALID_VAL = 6,
    PMI2_ERR_INVALID_VAL_LENGTH = 7,
    PMI2_ERR_INVALID_LENGTH = 8, /* a result does not fit into the buffer */
    PMI2_ERR_INVALID_NUM_ARGS = 9,
    PMI2_ERR_INVALID_ARGS = 10,
    PMI2_ERR_INVALID_NUM_PARSED = 11,
    PMI2_ERR_INVALID_KEYVALP = 12,
    PMI2_ERR_INVALID_SIZE = 13,
    PMI2_ERR_OTHER = 14, /* the server refused, or answered what nobody understands */
};

typedef struct PMI2_Connect_comm {
    int (*read)(void *buf, int maxlen, void *ctx);
    int (*write)(const void *buf, int len, void *ctx);
    void *ctx;
    int isMaster;
} PMI2_Connect_comm_t;

/* One pair of an MPI_Info. Only `key` and `value` are looked at. */
typedef struct MPID_Info {
    int handle;
    int pobj_mutex;
    int ref_count;
    struct MPID_Info *next;
    char *key;
    char *value;
} MPID_Info;

/* The job. `spawned`: started by PMI2_Job_Spawn. Without a launcher a process is rank 0 of 1. */
int PMI2_Init(int *spawned, int *size, int *rank, int *appnum);
int PMI2_Initialized(void);
int PMI2_Finalize(void);
int PMI2_Abort(int flag, const char msg[]); /* does not return */
int PMI2_Job_GetId(char jobid[], int jobid_size);
int PMI2_Job_GetRank(int *rank);
int PMI2_Info_GetSize(int *size);
int PMI2_Job_Connect(const char jobid[], PMI2_Connect_comm_t *conn);
int PMI2_Job_Disconnect(const char jobid[]);

/* More processes: `infos[i]` is an array, `preput[i]` a pointer to one pair, `errors` has an element per process. */
int PMI2_Job_Spawn(int count, const char *cmds[], int argcs[], const char **argvs[], const int maxprocs[],
                   const int info_keyval_sizes[], const struct MPID_Info *info_keyval_vectors[], int preput_keyval_size,
                   const struct MPID_Info *preput_keyval_vector[], char jobId[], int jobIdSize, int errors[]);

/* Keys and values: what was put before a fence can be got after it. `vallen` is negative when the value was cut. */
int PMI2_KVS_Put(const char key[], const char value[]);
int PMI2_KVS_Get(const char *jobid, int src_pmi_id, const char key[], char value[], int maxvalue, int *vallen);
int PMI2_KVS_Fence(void);

/* Attributes of a node, which its ranks put, and of the job, which the launcher knows. */
int PMI2_Info_GetNodeAttr(const char name[], char value[], int valuelen, int *found, int waitfor);
int PMI2_Info_GetNodeAttrIntArray(const char name[], int array[], int arraylen, int *outlen, int *found);
int PMI2_Info_PutNodeAttr(const char name[], const char value[]);
int PMI2_Info_GetJobAttr(const char name[], char value[], int valuelen, int *found);
int PMI2_Info_GetJobAttrIntArray(const char name[], int array[], int arraylen, int *outlen, int *found);

/* Services known by name. Infos are not looked at. */
int PMI2_Nameserv_publish(const char service_name[], const struct MPID_Info *info_ptr, const char port[]);
int PMI2_Nameserv_lookup(const char service_name[], const struct MPID_Info *info_ptr, char port[], int portLen);
int PMI2_Nameserv_unpublish(const char service_name[], const struct MPID_Info *info_ptr);

/* All ranks: one's place in a ring, and its neighbours' values (Slurm, MVAPICH2). */
int PMIX_Ring(const char value[], int *rank, int *ranks, char left[], char right[], int maxvalue);

#ifdef __cplusplus
}
#endif

#endif
