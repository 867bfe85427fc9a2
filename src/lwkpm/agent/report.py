"""What lwkpm itself says: lines on stderr beginning ``lwkpm: ``, and JSON events."""

from __future__ import annotations

import os
import sys
import time

from lwkpm.errors import LwkpmError
from lwkpm.message import print_error, wants_color

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lwkpm.job.spec import Job


def say(text: str) -> None:
    """One line on stderr, written whole so that it does not mix with the ranks' lines."""
    try:
        sys.stderr.flush()
        os.write(2, f"lwkpm: {text}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        pass  # nobody is reading; the exit status still tells


def fold_ranks(ranks: list[int]) -> str:
    """``0-31,40`` for a list of ranks."""
    parts: list[str] = []
    for rank in sorted(ranks):
        first, _, last = parts[-1].partition("-") if parts else ("", "", "")
        if parts and int(last or first) == rank - 1:
            parts[-1] = f"{first}-{rank}"
        else:
            parts.append(str(rank))
    return ",".join(parts)


class Report:
    """Messages at the job's verbosity, phase times, and the JSON event stream."""

    def __init__(self, job: Job) -> None:
        self._verbosity = job.verbosity
        self._color = job.color
        self._started_s = time.monotonic()
        self.phases: dict[str, float] = {}
        self._json_fd = self._open_json(job.json)

    @staticmethod
    def _open_json(target: str | None) -> int:
        if target is None:
            return -1
        if target == "-":
            return os.dup(2)
        try:
            return os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LwkpmError(
                "LWKPM-E017",
                f"cannot write the JSON file {target}",
                error.strerror or str(error),
                "name a file in a directory where you may write",
            ) from None

    def phase(self, name: str) -> None:
        """Note that a phase has ended; shown with -v and in the JSON summary."""
        elapsed_s = time.monotonic() - self._started_s
        self.phases[name] = elapsed_s
        self.detail(f"{name} after {elapsed_s * 1000:.1f} ms")

    def note(self, text: str) -> None:
        """A line for everybody who did not ask for quiet."""
        if self._verbosity >= 0:
            say(text)

    def detail(self, text: str) -> None:
        """A line for -v."""
        if self._verbosity >= 1:
            say(text)

    def trace(self, text: str) -> None:
        """A line for -vv."""
        if self._verbosity >= 2:
            say(text)

    def error(self, error: LwkpmError) -> None:
        """An error in its three parts, and as an event."""
        print_error(error, wants_color(self._color, os.environ, sys.stderr))
        sys.stderr.flush()
        self.event("error", code=error.code, what=error.what, why=error.why, fix=error.fix)

    def event(self, name: str, **fields: object) -> None:
        """One JSON object on its own line."""
        if self._json_fd < 0:
            return
        import json  # only jobs that asked for JSON pay for it

        record = {"v": 1, "t": round(time.time(), 6), "event": name, **fields}
        os.write(self._json_fd, json.dumps(record, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        """Close the JSON stream."""
        if self._json_fd >= 0:
            os.close(self._json_fd)
            self._json_fd = -1
