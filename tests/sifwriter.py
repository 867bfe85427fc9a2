"""Write SIF files (version 01) without apptainer: a header, 48 descriptors, one primary partition.

The layout is that of ``apptainer build``, so apptainer and a loop mount at `PARTITION_AT` accept the result.
"""

from __future__ import annotations

import struct
import sys
import uuid
from pathlib import Path

LAUNCH = b"#!/usr/bin/env run-singularity\n"
TABLE_AT = 4096
DESCRIPTORS = 48
DESCRIPTOR_SIZE = 585
PARTITION_AT = 36864

ARCH = {"i386": b"01", "x86_64": b"02", "arm": b"03", "aarch64": b"04", "ppc64le": b"06", "riscv64": b"12"}
SQUASHFS, EXT3, ARCHIVE, RAW, ENCRYPTED = 1, 2, 3, 4, 5
SYSTEM, PRIMARY, DATA, OVERLAY = 1, 2, 3, 4
TYPE_PARTITION = 0x4004


def header(total: int = DESCRIPTORS, table_at: int = TABLE_AT, *, arch: bytes = b"02", length: int = 0) -> bytes:
    """The 128 bytes at the start; `length` = bytes of all data objects."""
    text = struct.pack("<32s10s3s3s16s", LAUNCH, b"SIF_MAGIC", b"01", arch, uuid.UUID(int=1).bytes)
    numbers = (0, 0, total - 1, total, table_at, total * DESCRIPTOR_SIZE, PARTITION_AT, length)
    return text + struct.pack("<8q", *numbers)


def descriptor(
    offset: int,
    size: int,
    *,
    kind: int = TYPE_PARTITION,
    fs: int = SQUASHFS,
    part: int = PRIMARY,
    arch: bytes = b"02",
) -> bytes:
    """One used descriptor, by default that of a primary partition."""
    extra = struct.pack("<ii3s", fs, part, arch)
    sizes = (offset, size, size, 0, 0, 0, 0)
    return struct.pack("<i?III7q128s384s", kind, True, 1, 0xF0000001, 0, *sizes, b"root", extra)


def assemble(payload: bytes, *descriptors: bytes, arch: bytes = b"02") -> bytes:
    """A whole file around `payload`, with the given descriptors first in its table."""
    table = b"".join(descriptors).ljust(DESCRIPTORS * DESCRIPTOR_SIZE, b"\0")
    start = header(arch=arch, length=len(payload)).ljust(TABLE_AT, b"\0") + table
    return start.ljust(PARTITION_AT, b"\0") + payload


def write_sif(target: Path, squashfs: Path, *, machine: str = "x86_64", fs: int = SQUASHFS) -> Path:
    """Put the file system image `squashfs` into the SIF file `target`."""
    payload, arch = squashfs.read_bytes(), ARCH[machine]
    target.write_bytes(assemble(payload, descriptor(PARTITION_AT, len(payload), fs=fs, arch=arch), arch=arch))
    target.chmod(0o755)
    return target


if __name__ == "__main__":
    write_sif(Path(sys.argv[2]), Path(sys.argv[1]))
