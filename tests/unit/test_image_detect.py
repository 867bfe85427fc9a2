from __future__ import annotations

import gzip
import io
import os
import shutil
import socket
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from lwkpm.errors import ImageError
from lwkpm.image.detect import Image, open_image
from lwkpm.image.machine import host_machine
from tests import sifwriter
from tests.elfwriter import make_elf
from tests.unit.test_squashfs import superblock

if TYPE_CHECKING:
    from pathlib import Path


def error_of(uri: str | Path) -> ImageError:
    with pytest.raises(ImageError) as caught:
        open_image(str(uri))
    assert caught.value.what
    assert caught.value.why
    assert caught.value.fix
    return caught.value


def tar_of(*names: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 700
            tar.addfile(info, io.BytesIO(bytes(700)))
    return stream.getvalue()


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "usr").mkdir(parents=True)
    (tree / "bin").symlink_to("/usr/nowhere")
    return tree


def test_host() -> None:
    assert open_image("host://") == Image(uri="host://", kind="host", arch=os.uname().machine)


def test_directory_by_every_spelling(rootfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(rootfs.parent)
    for uri in (str(rootfs), "tree", "./tree/", f"file://{rootfs}", f"file://localhost{rootfs}"):
        assert open_image(uri) == Image(uri=uri, kind="rootfs", path=str(rootfs))


def test_file_uri_is_percent_decoded(rootfs: Path) -> None:
    rootfs.rename(rootfs.parent / "a b%")
    assert open_image(f"file://{rootfs.parent}/a%20b%25").path == f"{rootfs.parent}/a b%"


def test_existing_name_with_a_colon_is_a_path(rootfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rootfs.rename(rootfs.parent / "oci:tree")
    monkeypatch.chdir(rootfs.parent)
    assert open_image("oci:tree").kind == "rootfs"


def test_real_squashfs_alone_and_in_a_sif(rootfs: Path, tmp_path: Path) -> None:
    if shutil.which("mksquashfs") is None:
        pytest.skip("mksquashfs is missing (Debian package squashfs-tools)")
    flat = tmp_path / "x.sqfs"
    subprocess.run(["mksquashfs", str(rootfs), str(flat), "-quiet", "-no-progress"], check=True, capture_output=True)
    found = open_image(str(flat))
    assert (found.kind, found.fstype, found.offset, found.size) == ("squashfs", "squashfs", 0, flat.stat().st_size)
    packed = sifwriter.write_sif(tmp_path / "x.sif", flat, machine=host_machine())
    found = open_image(str(packed))
    assert (found.kind, found.offset, found.size) == ("sif", sifwriter.PARTITION_AT, flat.stat().st_size)
    assert found.arch == host_machine()
    cut = tmp_path / "cut.sqfs"
    cut.write_bytes(flat.read_bytes()[:128])
    assert error_of(cut).code == "LWKPM-E024"


def test_missing_image_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "openmpi.sif").touch()
    error = error_of(tmp_path / "openmpj.sif")
    assert (error.code, error.exit_status) == ("LWKPM-E020", 127)
    assert f"did you mean {tmp_path}/openmpi.sif?" in error.fix
    assert "did you mean" not in error_of(tmp_path / "zzz").fix
    assert "openmpi.sif" in error_of(tmp_path / "OPENMPI.SQFS").fix


def test_missing_directory_and_dangling_link(tmp_path: Path) -> None:
    assert f"there is no images in {tmp_path}" in error_of(tmp_path / "images" / "a" / "x.sif").why
    (tmp_path / "link").symlink_to("/nowhere/x.sif")
    assert "is a link to /nowhere/x.sif" in error_of(tmp_path / "link").why
    (tmp_path / "file").touch()
    error = error_of(tmp_path / "file" / "x.sif")
    assert (error.code, "is not a directory" in error.why) == ("LWKPM-E020", True)


def test_unreadable_image(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads every file")
    path = tmp_path / "closed.sif"
    path.touch(mode=0o000)
    error = error_of(path)
    assert (error.code, error.exit_status) == ("LWKPM-E021", 125)
    assert f"{path} is mode 0000" in error.why


def test_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert error_of(tmp_path / "loop").code == "LWKPM-E021"


@pytest.mark.parametrize(
    ("content", "why", "fix"),
    [
        (make_elf(), "ELF program", "host://"),
        (b"#!/bin/sh\necho\n", "a script", "host://"),
        (b"#!/usr/bin/env run-singularity\n" + bytes(4000), "Singularity 2", "apptainer build"),
        (gzip.compress(bytes(3000)), "gzip", "tar -C DIR"),
        (tar_of("abc/layer.tar", "manifest.json"), "docker archive", "docker-archive:"),
        (tar_of("./blobs/x", "./oci-layout"), "OCI archive", "oci-archive:"),
        (tar_of("manifest", "rootfs/bin/sh"), "ACI", "DIR/rootfs"),
        (tar_of("bin/sh"), "a tar archive", "tar -C DIR"),
        (bytes(1024) + b"\xe2\xe1\xf5\xe0" + bytes(4000), "EROFS", "fsck.erofs"),
        (bytes(1080) + b"\x53\xef" + bytes(4000), "ext4", "mount"),
        (bytes(9000), "unfinished copy", "download"),
        (b"<!DOCTYPE html><html>", "HTML", "download"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs", "git lfs pull"),
        (b"hello, world\n", "text", "directory"),
        (b"\x01\x02\x03\x04\x05\x06\x07\x08\x09", "01 02 03 04 05 06 07 08", "directory"),
    ],
)
def test_unknown_formats_are_recognised(tmp_path: Path, content: bytes, why: str, fix: str) -> None:
    path = tmp_path / "x.img"
    path.write_bytes(content)
    error = error_of(path)
    assert (error.code, error.exit_status) == ("LWKPM-E023", 125)
    assert why in error.why
    assert fix in error.fix
    assert "{" not in error.fix


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "x.sif").touch()
    assert error_of(tmp_path / "x.sif").code == "LWKPM-E022"


def test_special_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "a FIFO" in error_of(tmp_path / "fifo").why
    assert "character device" in error_of("/dev/null").why
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        assert "a socket" in error_of(tmp_path / "s").why


@pytest.mark.parametrize(
    ("entries", "why", "fix"),
    [
        ((), "directory is empty", "bin, usr"),
        (("etc", "docs"), "lacks bin, usr, lib", "bin, usr"),
        (("rootfs", "config.json"), "OCI bundle", "/rootfs"),
        (("oci-layout", "blobs"), "OCI image layout", "umoci unpack"),
    ],
)
def test_directories_without_a_root_tree(tmp_path: Path, entries: tuple[str, ...], why: str, fix: str) -> None:
    for name in entries:
        (tmp_path / name).mkdir()
    error = error_of(tmp_path)
    assert error.code == "LWKPM-E028"
    assert why in error.why
    assert fix in error.fix


@pytest.mark.parametrize(
    ("uri", "fix"),
    [
        ("docker://debian:12", "apptainer build NEW.sif docker://debian:12"),
        ("oci:layout:tag", "umoci unpack --rootless --image layout:tag"),
        ("docker-archive:x.tar", "apptainer build NEW.sif docker-archive:x.tar"),
        ("library://a/b", "apptainer build"),
        ("https://host/x.sif", "download"),
        ("ftp://host/x.sif", "host://"),
        ("host://x", "host:// alone"),
        ("file://relative", "file:///DIR"),
        ("", "directory"),
        ("a\0b", "directory"),
    ],
)
def test_uris_that_are_no_local_image(uri: str, fix: str) -> None:
    error = error_of(uri)
    assert (error.code, error.exit_status) == ("LWKPM-E029", 125)
    assert fix in error.fix


def test_damaged_squashfs_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.sqfs"
    path.write_bytes(superblock(used=1 << 40) + bytes(100))
    error = error_of(path)
    assert (error.code, str(path) in error.what) == ("LWKPM-E024", True)


def test_import_stays_cheap(rootfs: Path) -> None:
    heavy = ("struct", "re", "typing", "difflib", "lwkpm.image.sniff", "lwkpm.image.sif", "lwkpm.image.schemes")
    code = f"import sys; from lwkpm.image.detect import open_image; open_image({str(rootfs)!r}); print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-S", "-E", "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(heavy) & set(said.stdout.split()) == set()
