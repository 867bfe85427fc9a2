"""Shared memory segments that MPI libraries leave in /dev/shm, found by the names they make from the job's own names.

Only segments of this very job are removed: /dev/shm is everybody's. What is measured here: MPICH 5.0.2 leaves its
segment after MPI_Abort, Open MPI 5.0.11 even after a normal end when no prted cleans up after it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SHM = "/dev/shm"
#: MPICH's later versions hash the KVS name with ``-<init count>`` appended (MPI sessions).
MOST_INITS = 4


def fnv1a_32(text: str) -> int:
    """The 32-bit FNV-1a hash of a text: MPICH's, over the KVS name."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def one_at_a_time_32(text: str) -> int:
    """Jenkins' 32-bit one-at-a-time hash of a text: Open MPI's, over the PMIx namespace."""
    value = 0
    for byte in text.encode():
        value = (value + byte) & 0xFFFFFFFF
        value = (value + (value << 10)) & 0xFFFFFFFF
        value ^= value >> 6
    value = (value + (value << 3)) & 0xFFFFFFFF
    value ^= value >> 11
    return (value + (value << 15)) & 0xFFFFFFFF


def openmpi_family(nspace: str) -> int:
    """The 16 bits that Open MPI 5 makes of a namespace, the upper half of its job id."""
    hashed = one_at_a_time_32(nspace)
    return (hashed >> 16 ^ hashed) & 0xFFFF


def segment_prefixes(kvsname: str, nspace: str, hostname: str, uid: int) -> tuple[str, ...]:
    """How the names of this job's segments begin (node 0, which is the only one here)."""
    mpich = [f"mpich_shm_{fnv1a_32(text):x}_0" for text in (kvsname, *(f"{kvsname}-{n}" for n in range(MOST_INITS)))]
    hashed = one_at_a_time_32(nspace)
    return (
        *mpich,
        f"sm_segment.{hostname}.{uid}.{openmpi_family(nspace) << 16:x}.",  # Open MPI 5: 16-bit family, job 0
        f"vader_segment.{hostname}.{uid}.{hashed & ~0x8000:x}.",  # Open MPI 4: the hash without bit 15
        f"sm_segment.{hostname}.{uid}.{hashed & ~0x8000:x}.",
    )


def singleton_prefixes(pids: Iterable[int], hostname: str, uid: int) -> tuple[str, ...]:
    """The same for ranks of Open MPI 5 that had no server: PMIx_Init names their namespace after host and pid.

    PMIx cuts the host's name at its first dot (openpmix, src/client/pmix_client.c and src/runtime/pmix_init.c).
    """
    short = hostname.partition(".")[0]
    families = [openmpi_family(f"singleton.{short}.{pid}") for pid in pids]
    return tuple(f"sm_segment.{host}.{uid}.{family << 16:x}." for family in families for host in {hostname, short})


def remove_segments(kvsname: str, nspace: str, hostname: str, singletons: Iterable[int] = ()) -> list[str]:
    """Unlink what the job left; the names that were there. `singletons`: pids of ranks without a server."""
    uid = os.geteuid()
    prefixes = segment_prefixes(kvsname, nspace, hostname, uid) + singleton_prefixes(singletons, hostname, uid)
    removed = []
    for name in os.listdir(SHM) if os.path.isdir(SHM) else ():
        if name.startswith(prefixes):
            try:
                os.unlink(f"{SHM}/{name}")
                removed.append(name)
            except OSError:
                pass  # gone meanwhile
    return removed
