from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lwkpm.errors import ImageError
from lwkpm.image import sif
from lwkpm.image.detect import Image, open_image
from lwkpm.image.machine import host_machine
from tests import sifwriter
from tests.unit.test_squashfs import superblock

if TYPE_CHECKING:
    from pathlib import Path

HERE = sifwriter.ARCH.get(host_machine(), b"00")
PAYLOAD = superblock(used=8192).ljust(8192, b"\0")
FOREIGN = "aarch64" if host_machine() == "x86_64" else "x86_64"


def primary(**changed: int | bytes) -> bytes:
    given = {"offset": sifwriter.PARTITION_AT, "size": len(PAYLOAD), "arch": HERE, **changed}
    return sifwriter.descriptor(**given)  # type: ignore[arg-type]


def open_bytes(directory: Path, data: bytes) -> Image:
    path = directory / "x.sif"
    path.write_bytes(data)
    return open_image(str(path))


def error_of(directory: Path, data: bytes) -> ImageError:
    with pytest.raises(ImageError) as caught:
        open_bytes(directory, data)
    assert str(directory / "x.sif") in caught.value.what
    return caught.value


def test_struct_sizes_are_those_of_the_format() -> None:
    assert (sif.HEADER.size, sif.DESCRIPTOR.size) == (128, 585)
    assert len(sifwriter.header()) == 128
    assert len(sifwriter.descriptor(0, 0)) == 585


def test_primary_partition_is_found_behind_others(tmp_path: Path) -> None:
    deffile = primary(kind=0x4001, size=10)
    overlay = primary(part=sifwriter.OVERLAY, size=10)
    found = open_bytes(tmp_path, sifwriter.assemble(PAYLOAD, deffile, overlay, primary(), arch=HERE))
    assert (found.kind, found.offset, found.size, found.fstype) == ("sif", 36864, 8192, "squashfs")
    assert found.path == str(tmp_path / "x.sif")
    assert found.arch == (host_machine() if HERE != b"00" else "")


def test_unused_descriptors_do_not_count(tmp_path: Path) -> None:
    unused = bytearray(primary(offset=128))
    unused[4] = 0
    found = open_bytes(tmp_path, sifwriter.assemble(PAYLOAD, bytes(unused), primary()))
    assert found.offset == 36864


def test_ext3_partition(tmp_path: Path) -> None:
    payload = bytearray(8192)
    payload[1080:1082] = b"\x53\xef"
    part = primary(fs=sifwriter.EXT3)
    assert open_bytes(tmp_path, sifwriter.assemble(bytes(payload), part)).fstype == "ext3"
    error = error_of(tmp_path, sifwriter.assemble(bytes(8192), part))
    assert (error.code, "no ext3 superblock" in error.why) == ("LWKPM-E024", True)


def test_squashfs_inside_is_checked(tmp_path: Path) -> None:
    payload = superblock(used=9000).ljust(8192, b"\0")
    error = error_of(tmp_path, sifwriter.assemble(payload, primary()))
    assert (error.code, "9000 bytes, 8192 are there" in error.why) == ("LWKPM-E024", True)


def test_truncated_file_names_where_it_ends(tmp_path: Path) -> None:
    whole = sifwriter.assemble(PAYLOAD, primary())
    for length, why in ((100, "128 bytes"), (20000, "descriptor table"), (40000, "ends at byte 45056")):
        error = error_of(tmp_path, whole[:length])
        assert error.code == "LWKPM-E024"
        assert why in error.why


@pytest.mark.parametrize(
    ("parts", "code", "why"),
    [
        ((), "LWKPM-E026", "0 data objects"),
        ((primary(part=sifwriter.SYSTEM),), "LWKPM-E026", "1 partitions"),
        ((primary(kind=0x400A), primary(kind=0x400B)), "LWKPM-E026", "OCI-SIF"),
        ((primary(fs=sifwriter.ENCRYPTED),), "LWKPM-E026", "encrypted"),
        ((primary(fs=sifwriter.ARCHIVE),), "LWKPM-E026", "archive"),
        ((primary(fs=77),), "LWKPM-E026", "unknown type 77"),
        ((primary(arch=sifwriter.ARCH[FOREIGN]),), "LWKPM-E027", FOREIGN),
        ((primary(), primary()), "LWKPM-E024", "2 of its partitions"),
        ((primary(offset=5),), "LWKPM-E024", "at byte 5"),
        ((primary(size=-1),), "LWKPM-E024", "-1 bytes"),
        ((primary(offset=(1 << 63) - 1),), "LWKPM-E024", "truncated"),
    ],
)
def test_unusable_files_say_why(tmp_path: Path, parts: tuple[bytes, ...], code: str, why: str) -> None:
    error = error_of(tmp_path, sifwriter.assemble(PAYLOAD, *parts, arch=HERE))
    assert error.code == code
    assert why in error.why
    assert error.fix


@pytest.mark.parametrize(
    ("total", "table_at"),
    [(0, 4096), (-1, 4096), (1 << 40, 4096), (48, 0), (48, -5), (48, 1 << 62)],
)
def test_bad_descriptor_tables(tmp_path: Path, total: int, table_at: int) -> None:
    data = sifwriter.header(total, table_at) + bytes(60000)
    assert error_of(tmp_path, data).code == "LWKPM-E024"


def test_unknown_version(tmp_path: Path) -> None:
    data = sifwriter.assemble(PAYLOAD, primary()).replace(b"SIF_MAGIC\x0001", b"SIF_MAGIC\x0007")
    assert "version '07'" in error_of(tmp_path, data).why
