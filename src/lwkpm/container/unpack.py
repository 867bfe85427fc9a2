"""Unpacked copies of squashfs images, for users who may use neither loop devices nor FUSE.

One copy per image file in the user's cache, made under a lock, renamed into place when complete: a half-made copy is
never used, whoever was killed on the way.
"""

from __future__ import annotations

import fcntl
import os

from lwkpm.errors import ContainerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from lwkpm.image.detect import Image

PR_SET_PDEATHSIG = 1
SIGKILL = 9


def cache_directory(environ: Mapping[str, str]) -> str:
    """$LWKPM_CACHE, else $XDG_CACHE_HOME/lwkpm, else ~/.cache/lwkpm."""
    home = environ.get("HOME") or os.path.expanduser("~")
    return environ.get("LWKPM_CACHE") or os.path.join(environ.get("XDG_CACHE_HOME") or f"{home}/.cache", "lwkpm")


def cache_path(image: Image, environ: Mapping[str, str]) -> str:
    """Where the copy of this very file is: the name holds its device, inode, size and time of change."""
    found = os.stat(image.path)
    key = f"{found.st_dev:x}-{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"
    return os.path.join(cache_directory(environ), "unpacked", key)


def unpack(image: Image, environ: Mapping[str, str]) -> str:
    """The directory with the image's content, made now if it is not there."""
    path = cache_path(image, environ)
    if os.path.isdir(path):
        return path
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        lock_fd = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _no_cache(path, error) from None
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
        if not os.path.isdir(path):
            _unpack_into(image, path, lock_fd)
        return path
    finally:
        os.close(lock_fd)


def _unpack_into(image: Image, path: str, lock_fd: int) -> None:
    """Under the lock. A copy that is not complete never gets its name, and goes at once or with the next attempt."""
    partial = f"{path}.part"
    _remove(partial)
    try:
        _unsquash(image, partial, lock_fd)
        os.chmod(partial, 0o755)
        os.rename(partial, path)
    finally:
        _remove(partial)


def _unsquash(image: Image, partial: str, lock_fd: int) -> None:
    import subprocess

    command = ["unsquashfs", "-quiet", "-no-progress", "-no-xattrs", "-o", str(image.offset), "-d", partial, image.path]
    try:
        # The child shares the lock and dies with us: nobody removes the copy, or makes it anew, while it still writes.
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            pass_fds=(lock_fd,),
            preexec_fn=_die_with_parent,  # no other thread runs yet
        )
    except FileNotFoundError:
        raise ContainerError(
            "LWKPM-E038",
            f"cannot get at the content of {image.uri}",
            "loop devices are root's, /dev/fuse or squashfuse cannot be used, and unsquashfs is not installed",
            "install squashfs-tools, or squashfuse with access to /dev/fuse, or use a directory as the image",
        ) from None
    # 2: some attributes (device nodes, owners) could not be set, which an ordinary user cannot; the files are there.
    if done.returncode not in (0, 2):
        said = "; ".join(done.stderr.decode("utf-8", "replace").strip().splitlines()[-2:])
        raise ContainerError(
            "LWKPM-E038",
            f"cannot unpack {image.uri}, which this user can neither mount by a loop device nor by squashfuse",
            said or f"unsquashfs ended with status {done.returncode}",
            f"check the space in {os.path.dirname(partial)} (LWKPM_CACHE names another place) and the file",
        )


def _die_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)


def _remove(path: str) -> None:
    import shutil

    if not os.path.lexists(path):
        return
    for directory, _, _ in os.walk(path):
        os.chmod(directory, 0o700)  # the image's read-only directories let nothing be removed from them
    shutil.rmtree(path, ignore_errors=True)


def _no_cache(path: str, error: OSError) -> ContainerError:
    return ContainerError(
        "LWKPM-E038",
        f"cannot make the cache directory {os.path.dirname(path)}",
        error.strerror or str(error),
        "name a writable place in LWKPM_CACHE",
    )
