"""The job's private directory, ``TMP/lwkpm-UID/JOBID``: short (unix socket paths end at 107 bytes), 0700, removed at
the end; and what jobs that died with their machine or by SIGKILL left behind.
"""

from __future__ import annotations

import fcntl
import os
import stat

from lwkpm.container.native import SCRATCH
from lwkpm.errors import ResourceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONGEST_BASE = 40
JOBID_DASHES = 2  # lwkpm-PID-TOKEN


def base_directory(environ: Mapping[str, str]) -> str:
    """Where job directories are made: $LWKPM_TMPDIR, else $TMPDIR if short enough, else /tmp."""
    for name in ("LWKPM_TMPDIR", "TMPDIR"):
        value = environ.get(name, "")
        if value.startswith("/") and len(value) <= LONGEST_BASE and os.access(value, os.W_OK | os.X_OK):
            return value.rstrip("/")
    return "/tmp"


def remove_tree(path: str) -> None:
    """Delete a tree without following links; what cannot be deleted stays. (`shutil` costs 5 ms of import.)"""
    for directory, subdirectories, files in os.walk(path, topdown=False):
        for name in files:
            _try(os.unlink, f"{directory}/{name}")
        for name in subdirectories:
            full = f"{directory}/{name}"
            _try(os.unlink if os.path.islink(full) else os.rmdir, full)
    _try(os.rmdir, path)


def _try(call: Callable[[str], None], path: str) -> None:
    try:
        call(path)
    except OSError:
        pass


def _own_directory(path: str) -> None:
    """Make `path` 0700, or check that it is ours: /tmp is shared, another user could have made it first."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise ResourceError(
                "LWKPM-E072",
                f"cannot use {path} for job directories",
                "it exists but is not a private directory (mode 0700) of this user",
                "remove it, or name another place in LWKPM_TMPDIR",
            ) from None
    except OSError as error:
        raise ResourceError(
            "LWKPM-E071",
            f"cannot make the job directory {path}",
            error.strerror or str(error),
            "free some space there, or name another place in LWKPM_TMPDIR",
        ) from None


class Session:
    """A job directory and the lock that says it is alive."""

    def __init__(self, base: str, jobid: str) -> None:
        self.top = f"{base}/lwkpm-{os.geteuid()}"
        self.path = f"{self.top}/{jobid}"
        _own_directory(self.top)
        _own_directory(self.path)
        self._lock_fd = -1
        try:
            self._lock_fd = os.open(f"{self.path}/lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            # The kernel drops the lock with the last copy of the descriptor, however the agent ends.
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
            os.write(self._lock_fd, b"%d\n" % os.getpid())  # and so finds out whether the disk is full
            os.mkdir(f"{self.path}/{SCRATCH}", 0o700)
        except OSError as error:
            self.remove()
            raise ResourceError(
                "LWKPM-E071",
                f"cannot write to the job directory {self.path}",
                error.strerror or str(error),
                "free some space there, or name another place in LWKPM_TMPDIR",
            ) from None

    def remove(self) -> None:
        """Delete the directory with everything in it."""
        remove_tree(self.path)
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def keep(self) -> None:
        """Leave the directory in place (``--keep``), unlocked but marked so that later jobs spare it."""
        os.rename(f"{self.path}/lock", f"{self.path}/kept")
        os.close(self._lock_fd)
        self._lock_fd = -1

    def remove_stale(self) -> int:
        """End what is left of this user's jobs whose agent is gone, and their directories; how many there were."""
        count = 0
        for name in os.listdir(self.top):
            path = f"{self.top}/{name}"
            if path != self.path and _is_stale(path):
                _end_stale_job(name)
                remove_tree(path)
                count += 1
        return count


def _end_stale_job(jobid: str) -> None:
    from lwkpm.agent.prepare import kvsname_of
    from lwkpm.agent.shm import remove_segments
    from lwkpm.agent.strays import kill_strays

    kill_strays(jobid)
    if jobid.count("-") == JOBID_DASHES:
        remove_segments(kvsname_of(jobid), jobid, os.uname().nodename)


def _is_stale(path: str) -> bool:
    try:
        fd = os.open(f"{path}/lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False  # being made, being removed, or kept on purpose
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The owner writes its pid only once it holds the lock: an empty file is a job that is just starting.
        return os.fstat(fd).st_size > 0
    except OSError:
        return False
    finally:
        os.close(fd)
