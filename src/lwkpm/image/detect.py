"""From what the user typed to an `Image`: a directory, a squashfs or a SIF file, or the host itself.

Images come from anywhere: everything read here is checked before it is used. Error paths import what they need.
"""

from __future__ import annotations

import os
import stat

from lwkpm.errors import EXIT_NOT_FOUND, ImageError
from lwkpm.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

#: Bytes of a file's start that tell its format.
HEAD_SIZE = 128
SIF_MAGIC = b"SIF_MAGIC\0"
SIF_MAGIC_AT = 32
SQUASHFS_MAGIC = b"hsqs"
EXT_MAGIC_AT = 1080
EXT_MAGIC = b"\x53\xef"

#: A root tree has programs below one of these.
ROOT_TREES = ("bin", "usr")

CODE_MISSING = "LWKPM-E020"
CODE_UNREADABLE = "LWKPM-E021"
CODE_DAMAGED = "LWKPM-E024"


class Image(Value):
    """One image. `offset` and `size` are the bytes of the file system within the file; 0 for directories."""

    uri: str
    kind: str  # host, rootfs, squashfs, sif
    path: str = ""  # absolute; empty for the host
    offset: int = 0
    size: int = 0
    fstype: str = ""  # squashfs, ext3; empty without a file system to mount
    arch: str = ""  # machine name as of uname -m, empty when not known without looking inside


def open_image(uri: str) -> Image:
    """Find out what `uri` names. Raises ImageError with what is wrong and how to put it right."""
    if uri == "host://":
        return Image(uri=uri, kind="host", arch=os.uname().machine)
    path = _absolute(_path_of(uri))
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return _open_directory(uri, path)
        if stat.S_ISREG(mode):
            return _open_file(uri, path)
    except OSError as error:
        _explain_oserror(path, error)
    from lwkpm.image import sniff

    raise sniff.special_file(path, mode)


def _absolute(path: str) -> str:
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        why = "the current directory, from where the path goes, no longer exists"
        fix = "give the absolute path, or change to a directory that exists"
        raise ImageError(CODE_MISSING, f"no image {path}", why, fix, EXIT_NOT_FOUND) from None


def _path_of(uri: str) -> str:
    """The local path in `uri`. A colon without ``//`` may be part of a file's name, so an existing file wins."""
    if ":" not in uri and uri and "\0" not in uri:
        return uri
    if uri.startswith("file://") and "\0" not in uri:
        path = uri[len("file://") :]
        path = path[len("localhost") :] if path.startswith("localhost/") else path
        if "%" in path:
            from urllib.parse import unquote

            path = unquote(path)
        if path.startswith("/") and "\0" not in path:
            return path
    from lwkpm.image import schemes

    return schemes.local_path(uri)


def _open_directory(uri: str, path: str) -> Image:
    if not os.access(path, os.R_OK | os.X_OK):
        raise PermissionError(13, "Permission denied", path)
    # lexists: in many images bin is a link, and an absolute one points elsewhere on the host
    if any(os.path.lexists(f"{path}/{name}") for name in ROOT_TREES):
        return Image(uri=uri, kind="rootfs", path=path)
    from lwkpm.image import sniff

    raise sniff.no_root_tree(path)


def _open_file(uri: str, path: str) -> Image:
    # O_NONBLOCK: the name may have become a FIFO since stat, and opening that would wait for a writer
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        size = os.fstat(fd).st_size
        head = os.pread(fd, HEAD_SIZE, 0)
        if head[SIF_MAGIC_AT : SIF_MAGIC_AT + len(SIF_MAGIC)] == SIF_MAGIC:
            return _open_sif(uri, path, fd, size, head)
        if head.startswith(SQUASHFS_MAGIC):
            _check_squashfs(head, size, path)
            return Image(uri=uri, kind="squashfs", path=path, size=size, fstype="squashfs")
        from lwkpm.image import sniff

        raise sniff.unknown_file(path, fd, size)
    finally:
        os.close(fd)


def _open_sif(uri: str, path: str, fd: int, size: int, head: bytes) -> Image:
    from lwkpm.image import sif

    header = sif.parse_header(head, size, path)
    table = os.pread(fd, header.total * sif.DESCRIPTOR.size, header.offset)
    part = sif.find_partition(header, table, size, path)
    if part.fstype == "squashfs":
        _check_squashfs(os.pread(fd, HEAD_SIZE, part.offset), part.size, path)
    elif os.pread(fd, len(EXT_MAGIC), part.offset + EXT_MAGIC_AT) != EXT_MAGIC:
        why = f"the SIF says ext3, but there is no ext3 superblock at byte {part.offset + EXT_MAGIC_AT}"
        raise ImageError(CODE_DAMAGED, f"image {path} is damaged", why, sif.COPY_AGAIN)
    place = {"offset": part.offset, "size": part.size}
    return Image(uri=uri, kind="sif", path=path, fstype=part.fstype, arch=part.arch, **place)


def _check_squashfs(head: bytes, available: int, path: str) -> None:
    from lwkpm.image.squashfs import parse_superblock

    parse_superblock(head, available, path)


def _explain_oserror(path: str, error: OSError) -> NoReturn:
    """The user's version of a failed stat, open or read."""
    from lwkpm.image import nearest

    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        why, fix = nearest.explain_missing(path)
        raise ImageError(CODE_MISSING, f"no image {path}", why, fix, EXIT_NOT_FOUND) from None
    why = f"{error.strerror or error} ({nearest.first_closed(path)}, you are uid {os.geteuid()})"
    fix = "give yourself read access to the file and search (x) access to the directories above it"
    raise ImageError(CODE_UNREADABLE, f"cannot read image {path}", why, fix) from None
