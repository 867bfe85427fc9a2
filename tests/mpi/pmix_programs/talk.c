/* talk: says something every half second, four times. */
#include "client.h"

int main(void) {
    start();
    for (int n = 0; n < 4; n++) {
        printf("word %d\n", n);
        usleep(500000);
    }
    return finish();
}
