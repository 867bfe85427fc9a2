"""Shared memory segments that MPI libraries leave in /dev/shm when a job is aborted.

MPICH 5 names its segment ``mpich_shm_%x_%d`` of (FNV-1a 32 of the KVS name, node id); later versions hash the KVS name
with ``-<init count>`` appended (pmi-wire 8.1). Only names of this very job are removed: /dev/shm is everybody's.
"""

from __future__ import annotations

import os

MOST_INITS = 4


def fnv1a_32(text: str) -> int:
    """The 32-bit FNV-1a hash of a text."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def segment_names(kvsname: str) -> list[str]:
    """The names that MPICH may have used for this job on node 0."""
    hashed = [kvsname, *(f"{kvsname}-{count}" for count in range(MOST_INITS))]
    return [f"mpich_shm_{fnv1a_32(text):x}_0" for text in hashed]


def remove_segments(kvsname: str, jobid: str) -> list[str]:
    """Unlink what the job left; the names that were there. Open MPI's segments carry the PMIx namespace's name."""
    wanted = set(segment_names(kvsname))
    removed = []
    for name in os.listdir("/dev/shm") if os.path.isdir("/dev/shm") else []:
        if name in wanted or jobid in name or kvsname in name:
            try:
                os.unlink(f"/dev/shm/{name}")
                removed.append(name)
            except OSError:
                pass  # another user's, or gone meanwhile
    return removed
