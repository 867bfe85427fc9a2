from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from lwkpm.errors import ProgramError
from lwkpm.image.machine import host_machine
from lwkpm.image.program import check_program
from tests.elfwriter import make_elf

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = {"x86_64": 62, "aarch64": 183}
NATIVE = NUMBERS.get(host_machine(), 0)
FOREIGN = 183 if NATIVE == 62 else 62

pytestmark = pytest.mark.skipif(not NATIVE, reason=f"no ELF number known for {host_machine()}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with a loader and one good program, /usr/bin/app."""
    for name in ("usr/bin", "lib", "home/me"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "bin").symlink_to("/usr/bin")
    put(tmp_path, "lib/ld-linux.so.2", make_elf(machine=NATIVE))
    put(tmp_path, "usr/bin/app", make_elf(machine=NATIVE, interp="/lib/ld-linux.so.2"))
    put(tmp_path, "usr/bin/sh", make_elf(machine=NATIVE, kind=2))
    return tmp_path


def put(root: Path, name: str, content: bytes, mode: int = 0o755) -> None:
    (root / name).write_bytes(content)
    (root / name).chmod(mode)


def error_of(root: Path, program: str, path: str = "/bin", cwd: str = "/home/me") -> ProgramError:
    with pytest.raises(ProgramError) as caught:
        check_program(str(root), program, path, cwd)
    return caught.value


@pytest.mark.parametrize("program", ["app", "/usr/bin/app", "/bin/app", "../../bin/app", "sh"])
def test_good_programs_pass(root: Path, program: str) -> None:
    check_program(str(root), program, "/nowhere:/bin", "/home/me")


def test_default_path(root: Path) -> None:
    check_program(str(root), "app", "", "/")


def test_script_with_arguments_passes(root: Path) -> None:
    put(root, "home/me/run", b"#! /bin/sh -e\necho\n")
    check_program(str(root), "./run", "/bin", "/home/me")


def test_not_found_names_the_nearest(root: Path) -> None:
    error = error_of(root, "apps", "/nowhere:/bin")
    assert (error.code, error.exit_status) == ("LWKPM-E040", 127)
    assert "PATH (/nowhere:/bin)" in error.why
    assert error.fix == "did you mean /bin/app?"
    assert "did you mean /usr/bin/app?" in error_of(root, "/usr/bin/aap").fix
    assert "no directory /opt" in error_of(root, "/opt/tool").why


def test_host_files_do_not_count(root: Path) -> None:
    (root / "usr" / "bin" / "ls").symlink_to("/host/bin/ls")
    assert error_of(root, "ls").exit_status == 127


@pytest.mark.parametrize(
    ("content", "mode", "code", "status", "why"),
    [
        (make_elf(machine=NATIVE), 0o644, "E042", 126, "mode is 0644"),
        (make_elf(machine=FOREIGN), 0o755, "E043", 126, host_machine()),
        (make_elf(machine=NATIVE, kind=1), 0o755, "E044", 126, "type REL"),
        (b"\x7fELF" + bytes(100), 0o755, "E044", 126, "damaged"),
        (b"echo no first line\n", 0o755, "E044", 126, "neither an ELF"),
        (b"", 0o755, "E044", 126, "empty"),
        (b"#!/bin/perl -w\n", 0o755, "E045", 127, "/bin/perl"),
        (b"#!/bin/sh\r\necho\r\n", 0o755, "E045", 127, "carriage return"),
        (make_elf(machine=NATIVE, interp="/lib64/ld-linux-x86-64.so.2"), 0o755, "E045", 127, "glibc"),
        (make_elf(machine=NATIVE, interp="/lib/ld-musl-x86_64.so.1"), 0o755, "E045", 127, "musl"),
        (b"#!/lib\n", 0o755, "E041", 126, "directory"),
    ],
)
def test_what_the_kernel_refuses(root: Path, content: bytes, mode: int, code: str, status: int, why: str) -> None:
    put(root, "home/me/tool", content, mode)
    error = error_of(root, "./tool")
    assert (error.code, error.exit_status) == (f"LWKPM-{code}", status)
    assert why in error.why


def test_directory(root: Path) -> None:
    error = error_of(root, "/usr/bin")
    assert (error.code, error.exit_status, error.why) == ("LWKPM-E041", 126, "it is a directory")


def test_interpreters_in_a_circle_end(root: Path) -> None:
    put(root, "home/me/a", b"#!/home/me/b\n")
    put(root, "home/me/b", b"#!/home/me/a\n")
    assert check_program(str(root), "./a", "/bin", "/home/me") is None  # type: ignore[func-returns-value]


def test_closed_directory(root: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root searches every directory")
    (root / "home").chmod(0o000)
    error = error_of(root, "/home/me/x")
    (root / "home").chmod(0o755)
    assert (error.exit_status, "denies you search" in error.why) == (126, True)


def test_closed_directories_of_path_are_passed_over(root: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root searches every directory")
    (root / "home").chmod(0o000)
    try:
        check_program(str(root), "app", "/home/me:/bin", "/")
        error = error_of(root, "nothing", "/home/me:/lib", "/")
    finally:
        (root / "home").chmod(0o755)
    assert (error.exit_status, "denies you search" in error.why) == (126, True)


def test_agrees_with_the_kernel_about_the_shell() -> None:
    check_program("/", "sh", os.environ.get("PATH", ""), "/")
    assert subprocess.run(["sh", "-c", "exit 3"], check=False).returncode == 3
