from __future__ import annotations

import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from lwkpm.errors import ImageError
from lwkpm.image.squashfs import parse_superblock

if TYPE_CHECKING:
    from pathlib import Path


def superblock(
    *,
    compressor: int = 1,
    log: int = 17,
    size: int = 1 << 17,
    version: tuple[int, int] = (4, 0),
    used: int = 4000,
) -> bytes:
    head = struct.pack("<4sIIII6H", b"hsqs", 5, 0, size, 1, compressor, log, 0, 1, *version)
    return head + struct.pack("<8Q", 96, used, 0, 0, 0, 0, 0, 0)


def error_of(data: bytes, available: int = 4096) -> ImageError:
    with pytest.raises(ImageError) as caught:
        parse_superblock(data, available, "/i.sqfs")
    return caught.value


@pytest.mark.parametrize("compression", ["gzip", "lzo", "xz", "lz4", "zstd"])
def test_what_mksquashfs_writes_is_read(tmp_path: Path, compression: str) -> None:
    if shutil.which("mksquashfs") is None:
        pytest.skip("mksquashfs is missing (Debian package squashfs-tools)")
    (tmp_path / "root" / "bin").mkdir(parents=True)
    image = tmp_path / "i.sqfs"
    command = ["mksquashfs", str(tmp_path / "root"), str(image), "-quiet", "-no-progress", "-comp", compression]
    subprocess.run(command, check=True, capture_output=True)
    data = image.read_bytes()
    found = parse_superblock(data[:128], len(data), "i")
    assert found.compressor == {"gzip": "zlib"}.get(compression, compression)
    assert (found.block_size, 96 < found.bytes_used <= len(data)) == (131072, True)


def test_fields_are_read() -> None:
    found = parse_superblock(superblock(compressor=6), 4000, "i")
    assert (found.compressor, found.block_size, found.bytes_used) == ("zstd", 131072, 4000)


def test_truncated_file_system() -> None:
    error = error_of(superblock(used=5000))
    assert (error.code, error.exit_status) == ("LWKPM-E024", 125)
    assert "5000 bytes, 4096 are there" in error.why


@pytest.mark.parametrize(
    ("data", "code", "why"),
    [
        (superblock()[:95], "LWKPM-E024", "96 bytes"),
        (b"", "LWKPM-E024", "96 bytes"),
        (superblock(log=16), "LWKPM-E024", "contradicts itself"),
        (superblock(size=12345), "LWKPM-E024", "contradicts itself"),
        (superblock(used=10), "LWKPM-E024", "contradicts itself"),
        (superblock(compressor=2), "LWKPM-E025", "lzma"),
        (superblock(compressor=99), "LWKPM-E025", "number 99"),
        (superblock(version=(3, 1)), "LWKPM-E025", "squashfs 3.1"),
    ],
)
def test_damage_and_strangers_are_named(data: bytes, code: str, why: str) -> None:
    error = error_of(data)
    assert error.code == code
    assert why in error.why
