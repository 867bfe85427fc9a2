from __future__ import annotations

import os
import struct
import subprocess
import sys

import pytest

from lwkpm.image.elf import ElfError, read_elf, read_elf_fd
from lwkpm.image.machine import host_machine
from tests.elfwriter import make_elf


@pytest.mark.parametrize(
    ("number", "bits", "order", "name"),
    [
        (62, 64, "<", "x86_64"),
        (3, 32, "<", "i386"),
        (183, 64, "<", "aarch64"),
        (21, 64, "<", "ppc64le"),
        (21, 64, ">", "ppc64"),
        (22, 64, ">", "s390x"),
        (243, 64, "<", "riscv64"),
        (9999, 64, "<", "machine 9999"),
    ],
)
def test_every_class_and_byte_order(number: int, bits: int, order: str, name: str) -> None:
    found = read_elf(make_elf(machine=number, bits=bits, order=order, interp="/lib/ld.so", needed=("liba.so.1",)))
    assert (found.machine, found.bits, found.type) == (name, bits, "DYN")
    assert (found.interp, found.needed) == ("/lib/ld.so", ("liba.so.1",))


def test_dynamic_section() -> None:
    found = read_elf(make_elf(needed=("libmpi.so.12", "libc.so.6"), soname="libx.so.1", runpath="$ORIGIN:/opt"))
    assert found.needed == ("libmpi.so.12", "libc.so.6")
    assert (found.soname, found.runpath, found.interp) == ("libx.so.1", "$ORIGIN:/opt", "")


def test_static_program_has_no_names() -> None:
    found = read_elf(make_elf(kind=2))
    assert (found.type, found.interp, found.needed, found.soname) == ("EXEC", "", (), "")


def test_a_real_program_as_readelf_sees_it() -> None:
    fd = os.open(os.path.realpath(sys.executable), os.O_RDONLY)
    try:
        found = read_elf_fd(fd)
    finally:
        os.close(fd)
    assert found.machine == host_machine()
    assert any(name.startswith("libc.") for name in found.needed)
    assert os.path.exists(found.interp)
    try:
        said = subprocess.run(
            ["readelf", "-d", os.path.realpath(sys.executable)],
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError:
        pytest.skip("readelf is missing (Debian package binutils)")
    assert [line.split("[")[1][:-1] for line in said.stdout.splitlines() if "(NEEDED)" in line] == [*found.needed]


@pytest.mark.parametrize("length", [0, 3, 15, 16, 40, 63, 64, 100, 230])
def test_truncated_files(length: int) -> None:
    with pytest.raises(ElfError):
        read_elf(make_elf(interp="/lib/ld.so", needed=("liba.so",))[:length])


def test_counts_are_bounded() -> None:
    data = bytearray(make_elf(needed=("liba.so",)).ljust(1 << 22, b"\0"))
    data[56:58] = struct.pack("<H", 60000)
    with pytest.raises(ElfError, match="60000 program headers"):
        read_elf(bytes(data))
    with pytest.raises(ElfError, match="names in the dynamic section"):
        read_elf(make_elf(needed=("a",) * 600))


def test_offsets_beyond_the_file() -> None:
    data = bytearray(make_elf())
    data[32:40] = b"\xff" * 8
    fd = os.memfd_create("elf")
    try:
        os.write(fd, data)
        with pytest.raises(ElfError):
            read_elf_fd(fd)
    finally:
        os.close(fd)
    with pytest.raises(ElfError):
        read_elf(bytes(data))
