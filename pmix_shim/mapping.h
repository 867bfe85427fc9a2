/* PMI_process_mapping: which ranks share a node. */
#ifndef LWKPM_SHIM_MAPPING_H
#define LWKPM_SHIM_MAPPING_H

/* The ranks on the node of `rank`, ascending, into `ranks` (room for `room`, may be NULL with 0), from
 * `(vector,(first node,nodes,ranks per node),...)`. How many there are; -1 when the text is no mapping. */
int ranks_of_node(const char *mapping, int rank, int size, int *ranks, int room);

#endif
