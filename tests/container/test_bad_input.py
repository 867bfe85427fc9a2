"""Whatever is wrong with the input: a three-part error, a status from 125 to 127, and nothing left behind."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sifwriter import write_sif

if TYPE_CHECKING:
    from tests.container.place import Done, Place


def check(place: Place, done: Done, status: int, said: str = "") -> None:
    """The three parts, a code, the status, and nothing left."""
    assert done.returncode == status, (done.returncode, done.stderr)
    assert "lwkpm: error: " in done.stderr
    assert "why:" in done.stderr
    assert "do:" in done.stderr
    assert "[LWKPM-E" in done.stderr
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    place.assert_clean()


def spoil(place: Place, kind: str) -> Path:
    """A file that is no whole image."""
    path = place.path / f"{kind}.img"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("not an image\n" * 1000)
    elif kind == "truncated-squashfs":
        path.write_bytes(place.image.read_bytes()[: 20 << 20])
    elif kind == "truncated-sif":
        whole = write_sif(path, place.image).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "corrupt-squashfs":
        data = bytearray(place.image.read_bytes())
        data[8:96] = b"\xff" * 88
        path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["empty", "text", "truncated-squashfs", "truncated-sif", "corrupt-squashfs"])
def test_bad_image(place: Place, as_ordinary_user: bool, kind: str) -> None:
    check(place, place.run("-n", "2", spoil(place, kind), "true", user=as_ordinary_user), 125)


def test_missing_image(place: Place, as_ordinary_user: bool) -> None:
    check(place, place.run("-n", "2", place.path / "demo.sqsf", "true", user=as_ordinary_user), 127, "demo.sqsf")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("-n", "0", "IMAGE", "true"), "0"),
        (("-n", "99999999999", "IMAGE", "true"), ""),
        (("-n", "x", "IMAGE", "true"), ""),
        (("--labell", "-n", "1", "IMAGE", "true"), "--label"),
        (("-n", "1", "-x", "=5", "IMAGE", "true"), ""),
        (("-n", "1", "-x", "PMI_RANK=3", "IMAGE", "true"), "PMI_RANK"),
        (("-n", "1", "-B", "/nowhere/at/all:/mnt", "IMAGE", "true"), "/nowhere"),
        (("-n", "1", "IMAGE"), ""),
    ],
)
def test_bad_usage(place: Place, args: tuple[str, ...], said: str) -> None:
    words = [str(place.image) if word == "IMAGE" else word for word in args]
    check(place, place.run(*words), 125, said)


def program(place: Place, kind: str) -> str:
    """A program that cannot run, bound into the container with /tmp."""
    path = place.path / kind
    if kind == "wrong-machine":
        data = bytearray(Path("/bin/true").read_bytes())
        data[18:20] = (183 if data[18] != 183 else 62).to_bytes(2, "little")
        path.write_bytes(data)
    elif kind == "no-interpreter":
        path.write_text("#!/no/such/interpreter\n")
    elif kind == "data":
        path.write_bytes(b"\0\1\2 no program")
    elif kind == "not-executable":
        path.write_text("#!/bin/sh\n")
    elif kind == "folder":
        path.mkdir()
    path.chmod(0o644 if kind == "not-executable" else 0o755) if path.exists() else None
    return str(path)


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        ("wrong-machine", (126,)),
        ("no-interpreter", (126, 127)),
        ("data", (126,)),
        ("not-executable", (126,)),
        ("folder", (126,)),
        ("missing", (127,)),
    ],
)
def test_bad_program(place: Place, as_ordinary_user: bool, kind: str, statuses: tuple[int, ...]) -> None:
    done = place.run("-n", "2", place.image, program(place, kind), user=as_ordinary_user)
    check(place, done, done.returncode if done.returncode in statuses else statuses[0], kind)


def test_program_not_in_path(place: Place) -> None:
    check(place, place.run("-n", "2", place.image, "ring-mpihc"), 127, "ring-mpihc")


@pytest.mark.parametrize("wdir", ["/no/such/directory", "/etc/passwd"])
def test_bad_working_directory(place: Place, wdir: str) -> None:
    check(place, place.run("-n", "2", "-w", wdir, place.image, "true"), 126, wdir)


@pytest.mark.needs("root")
@pytest.mark.parametrize(("size", "inodes", "files"), [("16k", 100, 4), ("64k", 4, 3)], ids=["bytes", "inodes"])
def test_full_directory_for_jobs(place: Place, as_ordinary_user: bool, size: str, inodes: int, files: int) -> None:
    small = place.path / "small"
    small.mkdir()
    options = f"size={size},nr_inodes={inodes},mode=1777"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(small)], check=True)
    try:
        for number in range(files):
            (small / str(number)).write_bytes(b"x" * 4096)
        full = {"LWKPM_TMPDIR": str(small)}
        done = place.run("-n", "1", place.image, "true", user=as_ordinary_user, env=full)
        left = list(small.glob("lwkpm-*/*"))
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert left == []
    check(place, done, 125, str(small))
    assert "No space left on device" in done.stderr


def test_directory_without_system(place: Place) -> None:
    empty = place.path / "tree"
    empty.mkdir()
    check(place, place.run("-n", "1", empty, "true"), 125, "tree")
    shutil.rmtree(empty)
