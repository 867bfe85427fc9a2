/* The MPIR process acquisition interface: what debuggers (TotalView, DDT, Linaro, gdb scripts) look for in a launcher.
 * A library of its own, because the launcher is an interpreter and only loads it for --stop-in-init.
 * Names, types and values are those of "The MPIR Process Acquisition Interface Version 1.1" (MPI Forum). */
#include <stdlib.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default"), used))

typedef struct {
    char *host_name;
    char *executable_name;
    int pid;
} MPIR_PROCDESC;

PUBLIC MPIR_PROCDESC *MPIR_proctable;
PUBLIC int MPIR_proctable_size;
PUBLIC volatile int MPIR_being_debugged; /* set by the debugger */
PUBLIC volatile int MPIR_debug_state;    /* 1: processes have been spawned, 2: aborting */
PUBLIC char *MPIR_debug_abort_string;
PUBLIC int MPIR_i_am_starter;      /* its presence says: this process is no MPI process */
PUBLIC int MPIR_partial_attach_ok; /* its presence says: the others go on if only some are attached to */

/* Debuggers set a breakpoint here and read the table; it must not be inlined or merged away. */
PUBLIC __attribute__((noinline)) void MPIR_Breakpoint(void) {
    __asm__ volatile("");
}

static void free_table(void) {
    for (int i = 0; i < MPIR_proctable_size; i++) {
        free(MPIR_proctable[i].host_name);
        free(MPIR_proctable[i].executable_name);
    }
    free(MPIR_proctable);
    MPIR_proctable = NULL;
    MPIR_proctable_size = 0;
}

/* Copies the table: hosts, programs and pids by rank. 0, or -1 when there is no memory. */
PUBLIC int lwkpm_mpir_fill(int size, char *const *hosts, char *const *programs, const int *pids) {
    free_table();
    MPIR_proctable = calloc((size_t)size, sizeof *MPIR_proctable);
    if (!MPIR_proctable) return -1;
    MPIR_proctable_size = size;
    for (int i = 0; i < size; i++) {
        MPIR_proctable[i].host_name = strdup(hosts[i]);
        MPIR_proctable[i].executable_name = strdup(programs[i]);
        MPIR_proctable[i].pid = pids[i];
        if (!MPIR_proctable[i].host_name || !MPIR_proctable[i].executable_name) {
            free_table();
            return -1;
        }
    }
    return 0;
}

/* Tells the debugger, if there is one: stops here until it lets us go on. */
PUBLIC int lwkpm_mpir_stop(void) {
    MPIR_debug_state = 1;
    MPIR_Breakpoint();
    return MPIR_being_debugged;
}
