/* ask: each argument is one query, ``key,key;qualifier=text;..``, and its answer is printed on lines of its own.
   Qualifiers are strings; ``pmix.rank=N`` is a rank. */
#include "client.h"

static void show(const char *key, const pmix_value_t *value, int depth);

static void show_array(const pmix_data_array_t *array, int depth) {
    for (size_t n = 0; n < array->size; n++) {
        if (array->type == PMIX_INFO) {
            const pmix_info_t *info = (const pmix_info_t *)array->array + n;
            show(info->key, &info->value, depth + 1);
        } else if (array->type == PMIX_PROC) {
            const pmix_proc_t *proc = (const pmix_proc_t *)array->array + n;
            printf("%*s%s.%u\n", 2 * depth + 2, "", proc->nspace, proc->rank);
        } else if (array->type == PMIX_STRING) {
            printf("%*s%s\n", 2 * depth + 2, "", ((char **)array->array)[n]);
        } else if (array->type == PMIX_PROC_INFO) {
            const pmix_proc_info_t *info = (const pmix_proc_info_t *)array->array + n;
            printf("%*s%s.%u %s state %d code %d pid %d\n", 2 * depth + 2, "", info->proc.nspace, info->proc.rank,
                   strrchr(info->executable_name, '/') + 1, info->state, info->exit_code, info->pid > 1);
        }
    }
}

static void show(const char *key, const pmix_value_t *value, int depth) {
    printf("%*s%s", 2 * depth, "", key);
    if (value->type == PMIX_STRING) {
        printf(" %s\n", value->data.string);
    } else if (value->type == PMIX_SIZE) {
        printf(" %zu\n", value->data.size);
    } else if (value->type == PMIX_UINT32) {
        printf(" %u\n", value->data.uint32);
    } else if (value->type == PMIX_FLOAT) {
        printf(" %.1f\n", value->data.fval);
    } else if (value->type == PMIX_STATUS) {
        printf(" status %d\n", value->data.status);
    } else if (value->type == PMIX_PROC) {
        printf(" %s.%u\n", value->data.proc->nspace, value->data.proc->rank);
    } else if (value->type == PMIX_DATA_ARRAY) {
        printf(" array\n");
        show_array(value->data.darray, depth);
    } else {
        printf(" type %d\n", value->type);
    }
}

static void ask(char *text) {
    pmix_query_t *query;
    pmix_info_t *found = NULL;
    size_t count = 0;
    char *parts = NULL, *words = NULL, *keys = strtok_r(text, ";", &parts);
    pmix_status_t status;
    PMIX_QUERY_CREATE(query, 1);
    for (char *key = strtok_r(keys, ",", &words); key; key = strtok_r(NULL, ",", &words)) {
        PMIX_ARGV_APPEND(status, query->keys, key);
    }
    PMIX_INFO_CREATE(query->qualifiers, 4);
    for (char *part = strtok_r(NULL, ";", &parts); part && query->nqual < 4; part = strtok_r(NULL, ";", &parts)) {
        char *value = strchr(part, '=');
        pmix_rank_t rank = (pmix_rank_t)atoi(value + 1);
        *value++ = 0;
        if (!strcmp(part, PMIX_RANK)) {
            PMIX_INFO_LOAD(&query->qualifiers[query->nqual++], part, &rank, PMIX_PROC_RANK);
        } else {
            PMIX_INFO_LOAD(&query->qualifiers[query->nqual++], part, value, PMIX_STRING);
        }
    }
    status = PMIx_Query_info(query, 1, &found, &count);
    printf("? %d\n", status);
    for (size_t n = 0; n < count; n++) show(found[n].key, &found[n].value, 0);
}

int main(int argc, char **argv) {
    start();
    for (int n = 1; n < argc; n++) ask(argv[n]);
    barrier();
    return finish();
}
