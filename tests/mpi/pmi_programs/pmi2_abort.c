/* PMI-2: rank 1 ends the job while the others wait. */
#include "check.h"
#include "pmi2.h"

int main(void) {
    int spawned, size, rank, appnum;
    CHECK(PMI2_Init(&spawned, &size, &rank, &appnum) == PMI2_SUCCESS);
    if (rank == 1) PMI2_Abort(1, "reasons; and more");
    (void)PMI2_KVS_Fence();
    return 0;
}
