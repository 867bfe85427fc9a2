/* psets: the process set of each of three ranks. (Open MPI 5.0 can use none: it unloads the number of sets into a null
   pointer, ompi_instance_get_num_psets_complete.) */
#include "client.h"

int main(void) {
    start();
    for (unsigned rank = 0; rank < 3; rank++) {
        pmix_proc_t proc;
        pmix_value_t *value = NULL;
        PMIX_LOAD_PROCID(&proc, me.nspace, rank);
        pmix_status_t status = PMIx_Get(&proc, PMIX_PSET_NAME, NULL, 0, &value);
        printf("%u %d %s\n", rank, status, status == PMIX_SUCCESS ? value->data.string : "");
    }
    return finish();
}
