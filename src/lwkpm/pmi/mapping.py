"""PMI_process_mapping: which ranks share a node, as the text MPI libraries parse."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAPPING_MAX = 1000  # MPICH 3.4 and 4.0 abort on longer ones, 4.1 fails; without it they compare host names


def process_mapping(node_of_rank: Sequence[int]) -> str | None:
    """``(vector,(X,Y,Z),...)`` for node ids by rank; None when there is none or it would be too long.

    Plain triples only (first node, nodes, ranks per node): the newer ``[blk]xN`` breaks older parsers.
    """
    triples: list[list[int]] = []
    for node, count in _runs(node_of_rank):
        last = triples[-1] if triples else None
        if last is not None and last[2] == count and last[0] + last[1] == node:
            last[1] += 1
        else:
            triples.append([node, 1, count])
    text = "(vector," + ",".join(f"({first},{nodes},{each})" for first, nodes, each in triples) + ")"
    return text if triples and len(text) <= MAPPING_MAX else None


def _runs(node_of_rank: Sequence[int]) -> list[tuple[int, int]]:
    """Run lengths: (node, consecutive ranks on it)."""
    runs: list[tuple[int, int]] = []
    for node in node_of_rank:
        if runs and runs[-1][0] == node:
            runs[-1] = (node, runs[-1][1] + 1)
        else:
            runs.append((node, 1))
    return runs
