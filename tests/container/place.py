"""A directory of a test's own for its jobs, so that what they leave behind can be told from everybody else's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.capabilities import LWKPM_RUN, ROOT, as_user, user_home
from tests.conftest import child_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Process = subprocess.Popen[bytes]
Done = subprocess.CompletedProcess[str]
#: How long leftovers of a job may take to go; jobs of other tests end within it, too.
SETTLE_S = 5.0


def wait_until(condition: Callable[[], object], limit_s: float = 10.0) -> bool:
    """Poll; whether it came true in time."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def read_bytes(path: str) -> bytes:
    """A file of /proc, which may vanish while it is read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def processes() -> list[int]:
    """Every pid that is not a zombie."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if state_of(pid) not in ("", "Z", "X")]


def state_of(pid: int) -> str:
    """The state letter of /proc/PID/stat, "" when there is no such process."""
    words = read_bytes(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return words[0].decode() if words else ""


def parent_of(pid: int) -> int:
    """The parent's pid, 0 when there is no such process."""
    words = read_bytes(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(words[1]) if words else 0


def children_of(pid: int) -> list[int]:
    """Direct children."""
    return [each for each in processes() if parent_of(each) == pid]


class Place:
    """Starts jobs with a job directory, an image file and an environment that no other test has."""

    def __init__(self, demo: Path) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="lwkt-", dir="/tmp"))  # short: socket paths end at 107 bytes
        self.path.chmod(0o1777)
        self.mark = self.path.name
        self.image = self.path / "demo.sqfs"
        try:
            os.link(demo, self.image)  # a name of its own shows up in the loop device's backing file
        except OSError:
            shutil.copy(demo, self.image)
        self._shm_before = set(os.listdir("/dev/shm"))

    def environment(self, *, user: bool, extra: dict[str, str] | None = None) -> dict[str, str]:
        """PATH carries the mark: conenter and its helpers inherit nothing else."""
        mine = {"LWKPM_TMPDIR": str(self.path), "PATH": f"{os.environ['PATH']}:/{self.mark}"}
        return child_environment(user=user, extra={**mine, **(extra or {})})

    def start(
        self,
        *args: str | Path | int,
        user: bool = False,
        env: dict[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        cwd: str | Path | None = None,
        prefix: Sequence[str | Path] = (),
    ) -> Process:
        """lwkpm-run with the mark in the environment of its ranks; the caller waits for it.

        `prefix` is a command that runs the rest of its words, as the same user.
        """
        command = [*map(str, prefix), str(LWKPM_RUN), "-x", f"LWKPM_TEST_MARK={self.mark}", *map(str, args)]
        return subprocess.Popen(
            as_user(command) if user else command,
            env=self.environment(user=user, extra=env),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd or (user_home() if user else ROOT),
        )

    def run(self, *args: str | Path | int, timeout: float = 60, stdin: bytes | None = None, **how: object) -> Done:
        """Run to the end."""
        given = subprocess.DEVNULL if stdin is None else subprocess.PIPE
        process = self.start(*args, stdin=given, **how)  # type: ignore[arg-type]
        return finish(process, timeout, stdin)

    def pids(self) -> list[int]:
        """Processes of this place's jobs."""
        mark = self.mark.encode()
        return [pid for pid in processes() if pid != os.getpid() and mark in read_bytes(f"/proc/{pid}/environ")]

    def conenter(self, agent: int) -> int:
        """The pid of a job's conenter."""
        return next((pid for pid in children_of(agent) if read_bytes(f"/proc/{pid}/comm") == b"conenter\n"), 0)

    def ranks(self, agent: int) -> list[int]:
        """The pids of a job's ranks that have become their programs."""
        conenter = self.conenter(agent)
        pids = children_of(conenter) if conenter else []
        # With a pid namespace the ranks are one level below, under its first process.
        pids += [rank for pid in pids if read_bytes(f"/proc/{pid}/comm") == b"conenter\n" for rank in children_of(pid)]
        # Not conenter's other children: squashfuse, and what reads the program's files ahead.
        return [pid for pid in pids if b"\0LWKPM_RANK=" in read_bytes(f"/proc/{pid}/environ")]

    def leftovers(self) -> list[str]:
        """What is still there of this place's jobs, in words."""
        found = [f"process {pid}: {read_bytes(f'/proc/{pid}/cmdline')!r}" for pid in self.pids()]
        found += [f"job directory {path}" for path in self.path.glob("lwkpm-*/*")]
        mounts = read_bytes("/proc/self/mountinfo").decode().splitlines()
        found += [f"mount {line}" for line in mounts if self.mark in line]
        for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
            found += [f"loop device {backing}"] if self.mark.encode() in read_bytes(str(backing)) else []
        return found + [f"/dev/shm/{name}" for name in self._new_segments()]

    def _new_segments(self) -> list[str]:
        """Files in /dev/shm since the start, without those that a job of somebody else has mapped."""
        new = set(os.listdir("/dev/shm")) - self._shm_before
        mine = set(self.pids()) if new else set()
        others = b"".join(read_bytes(f"/proc/{pid}/maps") for pid in processes() if pid not in mine) if new else b""
        return [name for name in new if f"/dev/shm/{name}".encode() not in others]

    def assert_clean(self) -> None:
        """Nothing is left, now or in a moment."""
        assert wait_until(lambda: not self.leftovers(), SETTLE_S), self.leftovers()

    def remove(self) -> None:
        """Kill what a failed test left and delete everything."""
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.path, ignore_errors=True)


def finish(process: Process, timeout: float = 60, stdin: bytes | None = None) -> Done:
    """Wait for a job and decode what it printed."""
    try:
        out, err = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    texts = [(data or b"").decode(errors="backslashreplace") for data in (out, err)]
    return subprocess.CompletedProcess(process.args, process.returncode, *texts)
