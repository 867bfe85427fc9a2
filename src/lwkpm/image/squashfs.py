"""The superblock of a squashfs 4.0 file system: the first 96 bytes, little endian."""

from __future__ import annotations

from lwkpm.errors import ImageError
from lwkpm.lean import struct
from lwkpm.value import Value

#: magic inodes mtime block_size fragments | compressor block_log flags ids major minor | root used id xattr inode
#: directory fragment export. https://docs.kernel.org/filesystems/squashfs.html
SUPERBLOCK = struct.Struct("<4sIIII6H8Q")
MAGIC = b"hsqs"
#: Compressors the kernel reads. 2 (lzma) never got into it: such an image needs squashfs-lzma tools.
COMPRESSORS = {1: "zlib", 3: "lzo", 4: "xz", 5: "lz4", 6: "zstd"}
BLOCK_SIZES = {1 << log: log for log in range(12, 21)}

CODE_DAMAGED = "LWKPM-E024"
CODE_UNSUPPORTED = "LWKPM-E025"
COPY_AGAIN = "copy or build the image again and compare sizes and checksums"


class Superblock(Value):
    """What the launcher needs of the superblock. Sizes in bytes."""

    compressor: str
    block_size: int
    bytes_used: int


def parse_superblock(data: bytes, available: int, name: str) -> Superblock:
    """Check the superblock in `data` of the image `name`, of which `available` bytes exist."""
    if len(data) < SUPERBLOCK.size or data[:4] != MAGIC:
        why = f"it ends or changes within the {SUPERBLOCK.size} bytes of its squashfs superblock"
        raise ImageError(CODE_DAMAGED, f"image {name} is damaged", why, COPY_AGAIN)
    fields = SUPERBLOCK.unpack_from(data)
    compressor, log, major, minor = fields[5], fields[6], fields[9], fields[10]
    block_size, used = fields[3], fields[12]
    _check_readable(major, minor, compressor, name)
    if BLOCK_SIZES.get(block_size) != log or used < SUPERBLOCK.size:
        why = f"its squashfs superblock contradicts itself (block size {block_size}, 2^{log}; {used} bytes used)"
        raise ImageError(CODE_DAMAGED, f"image {name} is damaged", why, COPY_AGAIN)
    if used > available:
        why = f"its squashfs file system has {used} bytes, {available} are there"
        raise ImageError(CODE_DAMAGED, f"image {name} is truncated", why, COPY_AGAIN)
    return Superblock(compressor=COMPRESSORS[compressor], block_size=block_size, bytes_used=used)


def _check_readable(major: int, minor: int, compressor: int, name: str) -> None:
    """Refuse what no kernel of today mounts."""
    if (major, minor) != (4, 0):
        why = f"it is squashfs {major}.{minor}; kernels read 4.0"
    elif compressor not in COMPRESSORS:
        known = ", ".join(COMPRESSORS.values())
        why = f"its squashfs compressor is {'lzma' if compressor == 2 else f'number {compressor}'}; known are {known}"
    else:
        return
    fix = "build it again with mksquashfs 4.x: mksquashfs ROOTFS NEW.sqfs -comp gzip"
    raise ImageError(CODE_UNSUPPORTED, f"image {name} has a squashfs file system that cannot be mounted", why, fix)
