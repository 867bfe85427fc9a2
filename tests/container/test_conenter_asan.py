"""conenter under AddressSanitizer and UndefinedBehaviorSanitizer: real jobs, and an agent that talks nonsense."""

from __future__ import annotations

import os
import random
import socket
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.capabilities import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.container.place import Place

REPORTS = ("AddressSanitizer", "runtime error", "LeakSanitizer")
FRAMES = (1, 2, 3, 4, 5, 99)


@pytest.fixture(scope="session")
def sanitized() -> str:
    """The path of a conenter built with both sanitizers."""
    subprocess.run(["make", "-s", "-C", "launcher", "conenter-asan"], cwd=ROOT, check=True)
    return str(ROOT / "launcher" / "conenter-asan")


@pytest.mark.parametrize(
    ("program", "status"),
    [(("true",), 0), (("nosuch",), 127), (("sh", "-c", "kill -SEGV $$"), 139), (("ring-mpich",), 0), (("/etc",), 126)],
)
def test_jobs(place: Place, sanitized: str, program: tuple[str, ...], status: int) -> None:
    done = place.run("-n", "3", place.image, *program, env={"LWKPM_CONENTER": sanitized})
    assert done.returncode == status, done.stderr
    assert not any(report in done.stderr for report in REPORTS), done.stderr


def talk(program: str, data: bytes, errors: Path) -> int:
    """Start conenter, send it `data`, close; its exit status."""
    ours, theirs = socket.socketpair()
    with ours, theirs, errors.open("wb") as file:
        pid = os.posix_spawn(
            program,
            ["conenter"],
            {"PATH": "/usr/bin:/bin"},
            file_actions=[(os.POSIX_SPAWN_DUP2, file.fileno(), 2), (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)],
        )
        theirs.close()
        try:
            ours.sendall(data)
        except OSError:
            pass  # it gave up on us, as it should
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def nonsense(seed: int) -> bytes:
    """Frames with known types and lengths that may lie, filled with small numbers and strings."""
    draw = random.Random(seed)  # noqa: S311 - repeatable, not secret
    data = b""
    for _ in range(draw.randint(1, 6)):
        numbers = b"".join(struct.pack("=I", draw.choice((0, 1, 2, 3, 7, 1 << 20, 0xFFFFFFFF))) for _ in range(6))
        body = numbers[: draw.randint(0, 24)] + draw.randbytes(draw.randint(0, 60)) + draw.choice((b"", b"\0"))
        # No KILL: -1 with a signal to no rank is harmless, but the frame is covered by the jobs above.
        kind = draw.choice([frame for frame in FRAMES if frame != 4])
        data += struct.pack("=II", len(body) + draw.choice((0, 0, 0, 1, 1 << 27)), kind) + body
    return data


def test_nonsense(sanitized: str, tmp_path: Path) -> None:
    for seed in range(200):
        status = talk(sanitized, nonsense(seed), tmp_path / "errors")
        errors = (tmp_path / "errors").read_text(errors="replace")
        assert status >= 0, (seed, status, errors)
        assert not any(report in errors for report in REPORTS), (seed, errors)
