"""The exit status of a job."""

from __future__ import annotations

import os
import signal

import pytest

from lwkpm.job.status import Event, JobEnd, from_wait, job_end


def event(at: float, kind: str, rank: int = -1, code: int = 0) -> Event:
    return Event(at=at, kind=kind, rank=rank, code=code)


@pytest.mark.parametrize(
    ("events", "status", "cause", "rank"),
    [
        ([event(1, "exit", 0), event(2, "exit", 1)], 0, "proc", None),
        ([event(1, "exit", 0, 3), event(2, "exit", 1, 9)], 3, "proc", 0),
        ([event(2, "exit", 0, 3), event(1, "exit", 1, 9)], 9, "proc", 1),
        ([event(1, "exit", 5, 5), event(1, "exit", 2, 2)], 2, "proc", 2),
        ([event(1, "signal", 1, signal.SIGSEGV)], 139, "proc", 1),
        ([event(1, "signal", 1, signal.SIGTERM)], 143, "proc", 1),
        ([event(1, "abort", 0, 42), event(2, "exit", 0, 1)], 42, "proc", 0),
        ([event(1, "abort", 0, 0)], 1, "proc", 0),
        ([event(1, "abort", 0, 256)], 1, "proc", 0),
        ([event(1, "abort", 0, 257)], 1, "proc", 0),
        ([event(1, "abort", 0, -1)], 255, "proc", 0),
        ([event(1, "nofinalize", 3, 0)], 1, "proc", 3),
        ([event(1, "nofinalize", 3, 7)], 7, "proc", 3),
        ([event(1, "timeout"), event(2, "signal", 0, 9)], 124, "timeout", -1),
        ([event(1, "launcher", -1, 127)], 127, "launcher", -1),
        ([event(1, "launcher", -1, 125), event(0.5, "exit", 1, 4)], 4, "proc", 1),
        ([event(1, "interrupt", code=signal.SIGINT), event(2, "signal", 0, 2)], 130, "signal", -1),
        ([event(1, "interrupt", code=signal.SIGTERM)], 143, "signal", -1),
        ([event(1, "exit", 0, 124)], 124, "proc", 0),
        ([], 0, "proc", None),
    ],
)
def test_first_failure_decides(events: list[Event], status: int, cause: str, rank: int | None) -> None:
    end = job_end(events)
    assert (end.status, end.cause) == (status, cause)
    assert (end.first.rank if end.first else None) == rank


def test_failed_ranks_are_listed_once_each() -> None:
    end = job_end([event(3, "signal", 4, 9), event(1, "exit", 2, 1), event(2, "exit", 0), event(4, "signal", 2, 9)])
    assert end == JobEnd(status=1, cause="proc", first=event(1, "exit", 2, 1), failed=(2, 4))


def wait_status_of(code: int) -> int:
    pid = os.fork()
    if pid == 0:
        if code < 0:
            os.kill(os.getpid(), -code)
        os._exit(code)
    return os.waitpid(pid, 0)[1]


@pytest.mark.parametrize(
    ("code", "kind", "value"), [(0, "exit", 0), (77, "exit", 77), (255, "exit", 255), (-9, "signal", 9)]
)
def test_from_wait_agrees_with_the_kernel(code: int, kind: str, value: int) -> None:
    assert from_wait(1.5, 3, wait_status_of(code)) == event(1.5, kind, 3, value)


def test_from_wait_without_finalize() -> None:
    assert from_wait(1, 0, 0, finalized=False).kind == "nofinalize"
    assert from_wait(1, 0, 9, finalized=False).kind == "signal"


def test_core_dump_bit_is_not_part_of_the_signal() -> None:
    assert from_wait(1, 0, 11 | 0x80).code == 11
