"""SIF (Singularity image format) version 01: a header, a table of descriptors, data objects. Little endian, packed.

Layout: https://github.com/apptainer/sif/tree/main/pkg/sif. Checked against ``apptainer sif list``.
"""

from __future__ import annotations

from lwkpm.errors import ImageError
from lwkpm.image.machine import SIF_ARCH, host_machine, runs_here
from lwkpm.lean import struct
from lwkpm.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

#: launch magic version arch uuid | ctime mtime free total offset length data_offset data_length
HEADER = struct.Struct("<32s10s3s3s16s8q")
#: type used id group link | offset size padded_size ctime mtime uid gid | name extra
DESCRIPTOR = struct.Struct("<i?IIIqqqqqqq128s384s")
#: The extra field of a partition: file system, kind of partition, architecture.
PARTITION = struct.Struct("<ii3s")

MAGIC = b"SIF_MAGIC\0"
MAGIC_AT = 32
#: apptainer writes 48; far above any real image, and 0.6 MB when all are there.
MAX_DESCRIPTORS = 1024

TYPE_PARTITION = 0x4004
TYPES_OCI = (0x400A, 0x400B)
PRIMARY = 2
FS_TYPES = {1: "squashfs", 2: "ext3"}
FS_REFUSED = {3: "an archive", 4: "raw data", 5: "an encrypted file system"}

CODE_DAMAGED = "LWKPM-E024"
CODE_UNUSABLE = "LWKPM-E026"
CODE_MACHINE = "LWKPM-E027"
COPY_AGAIN = "copy or build the image again and compare sizes and checksums"


class Header(Value):
    """Where the descriptors are: `total` of them at `offset`, in bytes."""

    arch: str
    total: int
    offset: int


class Descriptor(Value):
    """One data object; offset and size in bytes."""

    type: int
    offset: int
    size: int
    extra: bytes


class Partition(Value):
    """The primary system partition: what becomes the container's root."""

    offset: int
    size: int
    fstype: str
    arch: str


def _damaged(name: str, why: str) -> NoReturn:
    raise ImageError(CODE_DAMAGED, f"SIF image {name} is damaged", why, COPY_AGAIN)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("ascii", "replace")


def parse_header(data: bytes, file_size: int, name: str) -> Header:
    """Check the 128 bytes at the start of the file `name`."""
    if len(data) < HEADER.size:
        _damaged(name, f"the file ends within its header, after {len(data)} of {HEADER.size} bytes")
    fields = HEADER.unpack_from(data)
    version, total, offset = _text(fields[2]), fields[8], fields[9]
    if fields[1] != MAGIC or version != "01":
        _damaged(name, f"its header says version {version!r} where '01' is known")
    if not 0 < total <= MAX_DESCRIPTORS or offset < HEADER.size:
        _damaged(name, f"its header announces {total} descriptors at byte {offset}")
    end = offset + total * DESCRIPTOR.size
    if end > file_size:
        _damaged(name, f"the file has {file_size} bytes and ends before its descriptor table does (byte {end})")
    return Header(arch=SIF_ARCH.get(_text(fields[3]), ""), total=total, offset=offset)


def parse_descriptors(data: bytes) -> Iterator[Descriptor]:
    """The used descriptors of the table `data`."""
    for at in range(0, len(data) - DESCRIPTOR.size + 1, DESCRIPTOR.size):
        fields = DESCRIPTOR.unpack_from(data, at)
        if fields[1]:
            yield Descriptor(type=fields[0], offset=fields[5], size=fields[6], extra=fields[13])


def _primary(descriptors: list[Descriptor], name: str) -> Descriptor:
    """The one primary partition, or an error that says what is there in its place."""
    partitions = [one for one in descriptors if one.type == TYPE_PARTITION]
    found = [one for one in partitions if PARTITION.unpack_from(one.extra)[1] == PRIMARY]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        _damaged(name, f"{len(found)} of its partitions say they are the primary one")
    what = f"SIF image {name} has no root file system"
    if any(one.type in TYPES_OCI for one in descriptors):
        why = "it is an OCI-SIF: it carries OCI layers in place of a system partition"
        fix = "convert it: singularity pull --no-oci NEW.sif URI, or apptainer build NEW.sif URI"
    else:
        why = f"{len(descriptors)} data objects, {len(partitions)} partitions, none of them a primary system partition"
        fix = "build it again: apptainer build NEW.sif SOURCE"
    raise ImageError(CODE_UNUSABLE, what, why, fix)


def find_partition(header: Header, table: bytes, file_size: int, name: str) -> Partition:
    """The primary partition described in `table`, checked to lie within the file and to suit this machine."""
    primary = _primary(list(parse_descriptors(table)), name)
    number, _, arch_code = PARTITION.unpack_from(primary.extra)
    if primary.offset < HEADER.size or primary.size <= 0:
        _damaged(name, f"its primary partition has {primary.size} bytes at byte {primary.offset}")
    if primary.offset + primary.size > file_size:
        end = primary.offset + primary.size
        _damaged(name, f"it is truncated: its primary partition ends at byte {end}, the file at {file_size}")
    if number not in FS_TYPES:
        _refuse_file_system(number, name)
    arch = SIF_ARCH.get(_text(arch_code), "") or header.arch
    if arch and not runs_here(arch):
        why = f"its programs are for {arch}, this node is {host_machine()}"
        fix = f"build or pull the image for {host_machine()}"
        raise ImageError(CODE_MACHINE, f"SIF image {name} is for another machine", why, fix)
    return Partition(offset=primary.offset, size=primary.size, fstype=FS_TYPES[number], arch=arch)


def _refuse_file_system(number: int, name: str) -> NoReturn:
    kind = FS_REFUSED.get(number, f"a file system of the unknown type {number}")
    fix = "build it again with a squashfs root: apptainer build NEW.sif SOURCE"
    if number == 5:
        fix = "decrypt it first: apptainer build --sandbox DIR IMAGE (with its key), then run DIR"
    raise ImageError(CODE_UNUSABLE, f"SIF image {name} cannot be mounted", f"its primary partition is {kind}", fix)
