/* hang: all ranks but the first wait for it in a barrier, for ever. */
#include "client.h"

int main(void) {
    start();
    if (me.rank == 0) sleep(1000);
    barrier();
    return finish();
}
