/* PMI-1: rank 1 ends the job while the others wait. */
#include "check.h"
#include "pmi.h"

int main(void) {
    int spawned, rank;
    CHECK(PMI_Init(&spawned) == PMI_SUCCESS && PMI_Get_rank(&rank) == PMI_SUCCESS);
    if (rank == 1) PMI_Abort(7, "two lines\nof reasons");
    (void)PMI_Barrier();
    return 0;
}
