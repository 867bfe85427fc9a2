"""Whatever bytes an image consists of: a value or the parser's own error, never another exception."""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lwkpm.errors import ImageError
from lwkpm.image.detect import Image, open_image
from lwkpm.image.elf import Elf, ElfError, read_elf, read_elf_fd
from lwkpm.image.environment import _read_script
from lwkpm.image.squashfs import Superblock, parse_superblock
from tests import sifwriter
from tests.elfwriter import make_elf
from tests.unit.test_squashfs import superblock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAYLOAD = superblock(used=4096).ljust(4096, b"\0")
SIF = sifwriter.assemble(PAYLOAD, sifwriter.descriptor(sifwriter.PARTITION_AT, len(PAYLOAD), arch=b"00"), arch=b"00")
ELF = make_elf(interp="/lib/ld.so", needed=("liba.so", "libb.so"), soname="libc.so", runpath="/opt")

#: (position, bytes written there)
EDGES = st.sampled_from([b"\xff" * 8, bytes(8), b"\xff" * 7 + b"\x7f", b"\0\0\0\x80", b"\xff\xff"])
TARGETED = st.lists(st.tuples(st.integers(0, 5000), st.one_of(EDGES, st.binary(min_size=1, max_size=8))), max_size=6)


def patched(data: bytes, patches: list[tuple[int, bytes]]) -> bytes:
    found = bytearray(data)
    for place, new in patches:
        at = place % len(found)
        found[at : at + len(new)] = new
    return bytes(found)


@contextmanager
def memory_file(data: bytes) -> Iterator[int]:
    fd = os.memfd_create("image")
    try:
        os.write(fd, data)
        yield fd
    finally:
        os.close(fd)


def opened(data: bytes) -> Image | None:
    with memory_file(data) as fd:
        return image_or_none(f"/proc/self/fd/{fd}")


def image_or_none(path: str) -> Image | None:
    try:
        return open_image(path)
    except ImageError as error:
        return None if error.why and error.fix else pytest.fail(f"no evidence or fix: {error}")


def test_the_undamaged_files_are_read() -> None:
    found = opened(SIF)
    assert found is not None
    assert found.kind == "sif"
    assert read_elf(ELF).needed == ("liba.so", "libb.so")


@settings(max_examples=300, deadline=None)
@given(TARGETED, st.integers(0, len(SIF)))
def test_damaged_sif(patches: list[tuple[int, bytes]], length: int) -> None:
    found = opened(patched(SIF, patches)) if length % 3 else opened(patched(SIF, patches)[:length])
    if found is not None and found.kind == "sif":
        assert 0 < found.offset < found.offset + found.size <= len(SIF)


@settings(max_examples=300, deadline=None)
@given(TARGETED)
def test_damaged_descriptors(patches: list[tuple[int, bytes]]) -> None:
    table = patched(SIF[4096:4800], patches)
    found = opened(SIF[:4096] + table + SIF[4800:])
    assert found is None or found.offset + found.size <= len(SIF)


@settings(max_examples=300, deadline=None)
@given(TARGETED, st.integers(0, 200), st.integers(0, 1 << 64))
def test_squashfs_superblocks(patches: list[tuple[int, bytes]], length: int, available: int) -> None:
    with suppress(ImageError):
        found = parse_superblock(patched(superblock(), patches)[:length], available, "x")
        assert isinstance(found, Superblock)
        assert found.bytes_used <= available


def elf_or_none(parse: Callable[[], Elf]) -> Elf | None:
    try:
        return parse()
    except ElfError:
        return None


@settings(max_examples=500, deadline=None)
@example([(49, bytes(8)), (770, b"\xff" * 8)], 0, False)  # a name at an offset that no file reaches
@given(TARGETED, st.integers(0, len(ELF)), st.booleans())
def test_damaged_elf(patches: list[tuple[int, bytes]], length: int, cut: bool) -> None:
    data = patched(ELF, patches)[: length if cut else None]
    with memory_file(data) as fd:
        seen = [elf_or_none(functools.partial(read_elf, data)), elf_or_none(functools.partial(read_elf_fd, fd))]
    assert seen[0] == seen[1]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes(data: bytes) -> None:
    opened(data)
    for start in (b"\x7fELF", b"\x7fELF\x01\x01", b"\x7fELF\x02\x02"):
        with pytest.raises(ElfError) if len(data) < 12 else suppress(ElfError):
            read_elf(start + data)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="export A=\"'${}:-\\`;#\n \0é", max_size=200))
def test_any_script(text: str) -> None:
    found: dict[str, str] = {}
    _read_script(text, found)
    assert all(name.isidentifier() for name in found)
