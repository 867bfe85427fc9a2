"""Output arrives whole and in order, input reaches the ranks it is for."""

from __future__ import annotations

import os
import re
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.container.place import finish

if TYPE_CHECKING:
    from pathlib import Path

    from tests.container.place import Place

RANKS = 8
LINES = 150_000  # of 80 bytes: 12 MB a rank
FILL = "x" * 71
# One write per 1000 lines would hide torn lines: perl's own buffer cuts them at 8 KiB.
NUMBERED = f"for ($i = 0; $i < $ARGV[0]; $i++) {{ printf '%08d{FILL}'.qq(\\n), $i }}"


def check_numbered(data: bytes, ranks: int, lines: int) -> None:
    """Every rank's lines are there, whole and in order."""
    texts: list[list[bytes]] = [[] for _ in range(ranks)]
    for line in data.split(b"\n")[:-1]:
        head, _, body = line.partition(b"] ")
        texts[int(head[1:])].append(body)
    for rank in range(ranks):
        assert texts[rank] == [b"%08d%s" % (number, FILL.encode()) for number in range(lines)], f"rank {rank}"


def test_labelled_output_is_lossless(place: Place) -> None:
    out = place.path / "out"
    with out.open("wb") as file:
        job = place.start("-n", RANKS, place.image, "perl", "-e", NUMBERED, LINES, stdout=file.fileno())
        bare = finish(job, 120)
        assert bare.returncode == 0
    assert out.stat().st_size == RANKS * LINES * 80
    with out.open("wb") as file:
        job = place.start("-l", "-n", RANKS, place.image, "perl", "-e", NUMBERED, LINES, stdout=file.fileno())
        done = finish(job, 120)
    assert done.returncode == 0, done.stderr
    check_numbered(out.read_bytes(), RANKS, LINES)


def test_slow_reader_loses_nothing(place: Place) -> None:
    job = place.start("-l", "-n", 4, place.image, "perl", "-e", NUMBERED, 20_000)
    assert job.stdout is not None
    chunks = []
    while chunk := os.read(job.stdout.fileno(), 1 << 18):
        chunks.append(chunk)
        time.sleep(0.01)
    assert finish(job, 30).returncode == 0
    check_numbered(b"".join(chunks), 4, 20_000)


def test_stderr_is_kept_apart(place: Place) -> None:
    done = place.run("-l", "-n", 2, place.image, "sh", "-c", "echo out; echo err >&2")
    assert sorted(done.stdout.splitlines()) == ["[0] out", "[1] out"]
    assert sorted(done.stderr.splitlines()) == ["[0] err", "[1] err"]


def test_partial_last_line(place: Place) -> None:
    done = place.run("-n", 1, place.image, "printf", "no newline")
    assert done.stdout == "no newline"
    done = place.run("-l", "-n", 3, place.image, "sh", "-c", "printf no; sleep 0.3; printf ' newline'")
    assert re.findall(r"\[(\d)\]", done.stdout)
    assert done.stdout.count("no") == 3
    assert done.stdout.count(" newline") == 3


def test_prompt_shows_before_its_line_ends(place: Place) -> None:
    job = place.start("-n", 1, place.image, "sh", "-c", "printf 'name: '; sleep 1000")
    assert job.stdout is not None
    assert os.read(job.stdout.fileno(), 100) == b"name: "
    job.terminate()
    finish(job, 10)


def test_reader_that_goes_away(place: Place) -> None:
    job = place.start("-n", 4, place.image, "perl", "-e", NUMBERED, LINES)
    assert job.stdout is not None
    assert job.stdout.readline().endswith(b"x\n")
    job.stdout.close()
    job.stdout = None
    done = finish(job, 30)
    assert "Traceback" not in done.stderr
    assert "Broken pipe" not in done.stderr
    place.assert_clean()


def test_reader_that_goes_away_from_an_endless_job(place: Place) -> None:
    command = f"exec {subprocess.list2cmdline(['yes'])}"
    job = place.start("-n", 2, place.image, "sh", "-c", command)
    assert job.stdout is not None
    assert job.stdout.readline() == b"y\n"
    job.stdout.close()
    job.stdout = None
    done = finish(job, 15)
    assert "Traceback" not in done.stderr
    place.assert_clean()


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("out.%r", ["out.0", "out.1", "out.10", "out.2"]),
        ("out.%R", ["out.00", "out.01", "out.02", "out.10"]),
        ("sub/dir/%l-%%", ["0-%", "1-%", "10-%", "2-%"]),
    ],
)
def test_files_by_rank(place: Place, pattern: str, names: list[str]) -> None:
    target = place.path / "files" / pattern
    done = place.run("-n", 11, "--outfile", target, place.image, "sh", "-c", "echo rank $LWKPM_RANK; echo e >&2")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == "e\n" * 11
    found = {path.name: path.read_text() for path in target.parent.iterdir()}
    assert len(found) == 11
    assert set(names) <= set(found)
    assert sorted(found.values()) == sorted(f"rank {rank}\n" for rank in range(11))


def test_files_for_errors_and_shared_files(place: Place) -> None:
    out, err = place.path / "all", place.path / "err.%r"
    program = ("sh", "-c", "echo out $LWKPM_RANK; echo err $LWKPM_RANK >&2")
    done = place.run("-l", "-n", 3, "--outfile", out, "--errfile", err, place.image, *program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(out.read_text().splitlines()) == [f"[{rank}] out {rank}" for rank in range(3)]
    assert (place.path / "err.2").read_text() == "[2] err 2\n"


@pytest.mark.parametrize(
    ("mode", "counts"),
    [("0", [5_000_000, 0, 0]), ("1", [0, 5_000_000, 0]), ("all", [5_000_000] * 3), ("none", [0, 0, 0])],
)
def test_stdin_by_pipe(place: Place, mode: str, counts: list[int]) -> None:
    data = b"0123456789" * 500_000
    done = place.run("-l", "--stdin", mode, "-n", 3, place.image, "wc", "-c", stdin=data)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [f"[{rank}] {count}" for rank, count in enumerate(counts)]


@pytest.mark.parametrize(("mode", "counts"), [("0", [2_000_000, 0]), ("all", [2_000_000, 2_000_000])])
def test_stdin_from_a_file(place: Place, tmp_path: Path, mode: str, counts: list[int]) -> None:
    source = tmp_path / "in"
    source.write_bytes(b"ab" * 1_000_000)
    with source.open("rb") as file:
        job = place.start("-l", "--stdin", mode, "-n", 2, place.image, "wc", "-c", stdin=file.fileno())
        done = finish(job)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [f"[{rank}] {count}" for rank, count in enumerate(counts)]


def test_stdin_to_all_with_one_rank_that_does_not_read(place: Place) -> None:
    data = b"0123456789" * 500_000
    program = ("sh", "-c", "[ $LWKPM_RANK = 1 ] || wc -c")
    done = place.run("-l", "--stdin", "all", "-n", 2, place.image, *program, stdin=data)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[0] 5000000\n"
