"""Paths inside a container's root tree, followed as a process inside would, never out of the tree.

Image content is untrusted: an absolute link means the image's file, not the host's; ``..`` stops at the root.
"""

from __future__ import annotations

import errno
import os
import stat

#: As many links as the kernel follows (MAXSYMLINKS); a loop of links ends there.
MAX_LINKS = 40
#: Longest path, bytes (PATH_MAX).
MAX_PATH = 4096


def _fail(code: int, path: str) -> OSError:
    return OSError(code, os.strerror(code), path)


def _parts(path: str) -> list[str]:
    """The components of `path`, last first: a stack of what is still to be walked."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def resolve_inside(root: str, path: str) -> str:
    """The absolute path inside `root` that `path` leads to, free of links. Raises OSError as open would."""
    todo, done, links = _parts(path), "", 0
    while todo:
        part = todo.pop()
        if part == "..":
            done = done.rpartition("/")[0]
            continue
        here = f"{done}/{part}"
        if len(here) > MAX_PATH or len(todo) > MAX_PATH:
            raise _fail(errno.ENAMETOOLONG, path)
        mode = os.lstat(root + here).st_mode
        if stat.S_ISLNK(mode):
            links += 1
            if links > MAX_LINKS:
                raise _fail(errno.ELOOP, path)
            target = os.readlink(root + here)
            done = "" if target.startswith("/") else done
            todo += _parts(target)
        elif todo and not stat.S_ISDIR(mode):
            raise _fail(errno.ENOTDIR, path)
        else:
            done = here
    return done or "/"


def resolve_in_root(root: str, path: str) -> str:
    """As `resolve_inside`, as a path on the host."""
    root = root.rstrip("/")
    return root + resolve_inside(root, path)


def open_in_root(root: str, path: str) -> int:
    """Open the regular file `path` of the tree for reading: a new descriptor. Raises OSError.

    The tree may change while we look: the way found is walked again without following any link, so that a link put
    there meanwhile gives ELOOP, not a file of the host.
    """
    root = root.rstrip("/")
    inside = resolve_inside(root, path)
    # /proc/PID/root is itself a link, hence no O_NOFOLLOW for the root alone
    at = os.open(root + "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        parts = inside.strip("/").split("/")
        for part in parts[:-1]:
            below = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = below
        return _open_regular(parts[-1] or ".", at, path)
    finally:
        os.close(at)


def _open_regular(name: str, directory: int, path: str) -> int:
    """Open `name` if it is a regular file; a FIFO would block and a device may act on being opened."""
    if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        raise _fail(errno.EISDIR, path)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    return os.open(name, flags, dir_fd=directory)


def read_in_root(root: str, path: str, limit: int) -> bytes:
    """At most the first `limit` bytes of a regular file of the tree. Raises OSError."""
    fd = open_in_root(root, path)
    try:
        return os.pread(fd, limit, 0)
    finally:
        os.close(fd)
