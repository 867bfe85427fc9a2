"""What a file or directory is that is no image lwkpm runs, and how to make one of it. Used on error paths only."""

from __future__ import annotations

import os
import stat

from lwkpm.errors import ImageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CODE_EMPTY = "LWKPM-E022"
CODE_UNKNOWN = "LWKPM-E023"
CODE_NO_ROOT = "LWKPM-E028"

PACK = "unpack it into a directory and run that: mkdir DIR && tar -C DIR -xf {path}"
BUILD_SIF = "convert it: apptainer build NEW.sif {path}"
RESTORE = "download or copy it again"

#: (offset, first bytes, what it is, fix); the first match counts.
MAGICS = (
    (0, b"\x7fELF", "an ELF program", "name the image before the program, or host:// to run it without a container"),
    (0, b"#!/usr/bin/env run-singularity", "a Singularity 2 image", BUILD_SIF),
    (0, b"#!", "a script", "name the image before the program, or host:// to run it without a container"),
    (0, b"\x1f\x8b", "gzip data", PACK),
    (0, b"BZh", "bzip2 data", PACK),
    (0, b"\xfd7zXZ\0", "xz data", PACK),
    (0, b"\x28\xb5\x2f\xfd", "zstd data", PACK),
    (0, b"PK\x03\x04", "a zip archive", "unpack it into a directory and run that"),
    (0, b"sqsh", "a big-endian squashfs", "build it again with mksquashfs 4.x"),
    (0, b"QFI\xfb", "a qcow2 disk of a virtual machine", "copy the root file system out of it into a directory"),
    (0, b"version https://git-lfs", "a git-lfs pointer, not the image itself", "fetch it: git lfs pull"),
    (0, b"<", "an HTML or XML text, perhaps the error page of a download", RESTORE),
    (0, b"{", "JSON text", "name the image that it describes"),
    (1024, b"\xe2\xe1\xf5\xe0", "an EROFS file system", "unpack it: fsck.erofs --extract=DIR {path}, then run DIR"),
    (1080, b"\x53\xef", "an ext2, ext3 or ext4 file system", "put it into a SIF, or mount it and run the directory"),
    (32769, b"CD001", "an ISO 9660 file system", "copy the root file system out of it into a directory"),
)
TAR_MAGIC_AT, TAR_MAGIC = 257, b"ustar"

#: First member names that tell kinds of tar archives -> (what it is, fix).
TAR_KINDS = {
    "manifest.json": ("a docker archive (tar)", "convert it: apptainer build NEW.sif docker-archive:{path}"),
    "oci-layout": ("an OCI archive (tar)", "convert it: apptainer build NEW.sif oci-archive:{path}"),
    "manifest": ("an application container image (ACI, tar)", PACK + ", then run DIR/rootfs"),
}
TAR_BLOCK = 512
#: A docker archive has a handful of members per layer; its manifest comes last.
MAX_MEMBERS = 2048


def special_file(path: str, mode: int) -> ImageError:
    """The error for a FIFO, a socket or a device."""
    kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFBLK: "a block device"}
    kind = kinds.get(stat.S_IFMT(mode), "a character device")
    fix = "name a directory, a .sif or .sqfs file; a device must be mounted first"
    return ImageError(CODE_UNKNOWN, f"{path} is not an image", f"it is {kind}", fix)


def unknown_file(path: str, fd: int, size: int) -> ImageError:
    """The error for the regular file open as `fd`, `size` bytes long, whose format is not one of ours."""
    if size == 0:
        fix = f"{RESTORE}; a full disk or quota leaves empty files too"
        return ImageError(CODE_EMPTY, f"image {path} is empty", "the file has 0 bytes", fix)
    what, fix = _recognise(fd)
    why = f"it looks like {what}; lwkpm runs directories, squashfs and SIF files"
    return ImageError(CODE_UNKNOWN, f"{path} is not an image lwkpm can run", why, fix.format(path=path))


def _recognise(fd: int) -> tuple[str, str]:
    """(what the file is, fix)."""
    for offset, magic, what, fix in MAGICS:
        if os.pread(fd, len(magic), offset) == magic:
            return what, fix
    if os.pread(fd, len(TAR_MAGIC), TAR_MAGIC_AT) == TAR_MAGIC:
        return _tar_kind(fd)
    head = os.pread(fd, 4096, 0)
    if not head.strip(b"\0"):
        return "an unfinished copy (its first bytes are all zero)", RESTORE
    if head.isascii() and head.decode().translate({9: " ", 10: " ", 13: " "}).isprintable():
        return "text", "name a directory, a .sif or .sqfs file"
    return f"no known format (first bytes {head[:8].hex(' ')})", "name a directory, a .sif or .sqfs file"


def _tar_names(fd: int) -> Iterator[str]:
    """Member names of the tar file, bounded, without reading the members."""
    at = 0
    for _ in range(MAX_MEMBERS):
        block = os.pread(fd, TAR_BLOCK, at)
        if len(block) < TAR_BLOCK or not block[0]:
            return
        yield block[:100].split(b"\0", 1)[0].decode("utf-8", "replace")
        digits = block[124:136].strip(b"\0 ")
        if not digits or digits.strip(b"01234567"):
            return
        at += TAR_BLOCK + -(-int(digits, 8) // TAR_BLOCK) * TAR_BLOCK


def _tar_kind(fd: int) -> tuple[str, str]:
    names = {name.removeprefix("./") for name in _tar_names(fd)}
    for member, known in TAR_KINDS.items():
        if member in names:
            return known
    return "a tar archive", PACK


#: Entries that tell what a directory is when it is no root tree -> (what it is, fix).
DIRECTORY_KINDS = {
    "oci-layout": (
        "an OCI image layout",
        "unpack it: umoci unpack --rootless --image {path} BUNDLE, run BUNDLE/rootfs",
    ),
    "config.json": ("an OCI bundle", "run {path}/rootfs"),
    "rootfs": ("a directory around a root tree", "run {path}/rootfs"),
    "manifest.json": ("an unpacked docker archive", "convert the archive: apptainer build NEW.sif docker-archive:TAR"),
}


def no_root_tree(path: str) -> ImageError:
    """The error for a directory without programs."""
    with os.scandir(path) as entries:
        present = {entry.name for entry, _ in zip(entries, range(1000))}
    what, fix = "not a root tree", "name the directory that holds bin, usr, etc, lib"
    for name, known in DIRECTORY_KINDS.items():
        if name in present:
            what, fix = known
            break
    missing = ", ".join(name for name in ("bin", "usr", "etc", "lib", "dev", "proc") if name not in present)
    found = "the directory is empty" if not present else f"it has {', '.join(sorted(present)[:6])}"
    why = f"it looks like {what}: it lacks {missing}; {found}"
    return ImageError(CODE_NO_ROOT, f"directory {path} is not a root file system", why, fix.format(path=path))
