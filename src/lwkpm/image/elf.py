"""ELF programs and libraries: machine, interpreter and dynamic section, found through the program headers.

The data is untrusted: every count and size is bounded, every offset checked; nothing but ElfError is raised for it.
"""

from __future__ import annotations

from lwkpm.lean import struct
from lwkpm.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    #: (offset, length) -> at most length bytes from there
    Reader = Callable[[int, int], bytes]

MAGIC = b"\x7fELF"
LARGEST_OFFSET = 1 << 62
#: entry phoff shoff flags ehsize phentsize phnum, behind the 24 bytes that both classes share
HEADER_REST = {32: "IIIIHHH", 64: "QQQIHHH"}
#: Per class, (type, offset, vaddr, file size) of a program header.
SEGMENT = {32: struct.Struct("<I I I 4x I 12x"), 64: struct.Struct("<I 4x Q Q 8x Q 16x")}

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NULL, DT_NEEDED, DT_STRTAB, DT_SONAME, DT_RPATH, DT_RUNPATH = 0, 1, 5, 14, 15, 29

MAX_SEGMENTS = 512
MAX_DYNAMIC = 4096
MAX_NEEDED = 512
MAX_STRING = 4096

TYPES = {1: "REL", 2: "EXEC", 3: "DYN", 4: "CORE"}
#: (e_machine, class) -> machine as of ``uname -m``, little endian. https://www.sco.com/developers/gabi/
MACHINES = {
    (2, 32): "sparc",
    (3, 32): "i386",
    (8, 32): "mipsle",
    (8, 64): "mips64le",
    (20, 32): "ppcle",
    (21, 64): "ppc64le",
    (40, 32): "arm",
    (43, 64): "sparc64",
    (50, 64): "ia64",
    (62, 32): "x86_64 (x32)",
    (62, 64): "x86_64",
    (181, 64): "k1om",
    (183, 64): "aarch64",
    (243, 32): "riscv32",
    (243, 64): "riscv64",
    (258, 64): "loongarch64",
}
BIG_ENDIAN = {
    (2, 32): "sparc",
    (8, 32): "mips",
    (8, 64): "mips64",
    (20, 32): "ppc",
    (21, 64): "ppc64",
    (22, 32): "s390",
    (22, 64): "s390x",
    (40, 32): "armeb",
    (43, 64): "sparc64",
    (183, 64): "aarch64_be",
}


class ElfError(Exception):
    """The data is not an ELF file, or a damaged one."""


class Elf(Value):
    """What the dynamic loader and the kernel see. Empty strings and tuples for what is not there."""

    bits: int
    machine: str
    type: str
    interp: str = ""
    needed: tuple[str, ...] = ()
    runpath: str = ""
    soname: str = ""


class _Source:
    """Bounded reads in one byte order and word size."""

    def __init__(self, read: Reader) -> None:
        self._read = read
        ident = self.take(0, 16)
        if not ident.startswith(MAGIC):
            raise ElfError("no ELF magic")
        if ident[4] not in (1, 2) or ident[5] not in (1, 2):
            raise ElfError(f"class {ident[4]}, data encoding {ident[5]}")
        self.bits = 32 * ident[4]
        self.order = "<" if ident[5] == 1 else ">"
        self.word = "I" if self.bits == 32 else "Q"

    def take(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes at `offset`."""
        data = self._read(offset, size)
        if len(data) != size:
            raise ElfError(f"ends before byte {offset + size}")
        return data

    def text(self, offset: int, limit: int = MAX_STRING) -> str:
        """The NUL-terminated string at `offset`."""
        found, end, _ = self._read(offset, min(limit, MAX_STRING)).partition(b"\0")
        if not end:
            raise ElfError(f"endless string at byte {offset}")
        return found.decode("utf-8", "surrogateescape")


def read_elf(data: bytes) -> Elf:
    """Parse a whole file or a long enough beginning of it."""
    return read_elf_from(lambda offset, size: data[offset : offset + size])


def read_elf_fd(fd: int) -> Elf:
    """Parse the file open as `fd`, reading only what is needed."""
    from os import pread

    def read(offset: int, size: int) -> bytes:
        if offset > LARGEST_OFFSET:
            return b""  # nothing is there, as behind every file's end; the kernel would call it an error
        try:
            return pread(fd, size, offset)
        except OSError as error:
            raise ElfError(f"cannot read byte {offset}: {error}") from None

    return read_elf_from(read)


def read_elf_from(read: Reader) -> Elf:
    """Parse what `read` gives."""
    source = _Source(read)
    kind, machine = struct.unpack(source.order + "HH", source.take(16, 4))
    segments = list(_segments(source))
    table = MACHINES if source.order == "<" else BIG_ENDIAN
    name = table.get((machine, source.bits), f"machine {machine}")
    dynamic = _dynamic(source, segments)
    return Elf(
        bits=source.bits,
        machine=name,
        type=TYPES.get(kind, str(kind)),
        interp=_interpreter(source, segments),
        needed=tuple(dynamic.get(DT_NEEDED, ())),
        runpath=":".join(dynamic.get(DT_RUNPATH, dynamic.get(DT_RPATH, ()))),
        soname=":".join(dynamic.get(DT_SONAME, ())),
    )


def _segments(source: _Source) -> Iterator[tuple[int, int, int, int]]:
    """(type, offset, vaddr, file size) of every program header."""
    layout = source.order + HEADER_REST[source.bits]
    rest = struct.unpack(layout, source.take(24, struct.calcsize(layout)))
    start, entry_size, count = rest[1], rest[5], rest[6]
    form = SEGMENT[source.bits]
    if count and entry_size != form.size:
        raise ElfError(f"program headers of {entry_size} bytes")
    if count > MAX_SEGMENTS:
        raise ElfError(f"{count} program headers")
    layout = source.order + form.format[1:]
    yield from struct.iter_unpack(layout, source.take(start, count * form.size))


def _interpreter(source: _Source, segments: list[tuple[int, int, int, int]]) -> str:
    for kind, offset, _, size in segments:
        if kind == PT_INTERP:
            return source.text(offset, size)
    return ""


def _entries(source: _Source, offset: int, size: int) -> Iterator[tuple[int, int]]:
    """(tag, value) pairs of the dynamic section up to its end mark."""
    layout = source.order + 2 * source.word
    each = struct.calcsize(layout)
    data = source.take(offset, min(size // each, MAX_DYNAMIC) * each)
    for tag, value in struct.iter_unpack(layout, data):
        if tag == DT_NULL:
            return
        yield tag, value


def _dynamic(source: _Source, segments: list[tuple[int, int, int, int]]) -> dict[int, list[str]]:
    """The strings of the dynamic section by tag."""
    places = [(offset, size) for kind, offset, _, size in segments if kind == PT_DYNAMIC]
    pairs = list(_entries(source, *places[0])) if places else []
    wanted = [pair for pair in pairs if pair[0] in (DT_NEEDED, DT_SONAME, DT_RPATH, DT_RUNPATH)]
    if not wanted:
        return {}
    if len(wanted) > MAX_NEEDED:
        raise ElfError(f"{len(wanted)} names in the dynamic section")
    strings = _file_offset(segments, dict(reversed(pairs)).get(DT_STRTAB, 0))
    found: dict[int, list[str]] = {}
    for tag, value in wanted:
        found.setdefault(tag, []).append(source.text(strings + value))
    return found


def _file_offset(segments: list[tuple[int, int, int, int]], address: int) -> int:
    """Where the loaded `address` is in the file."""
    for kind, offset, start, size in segments:
        if kind == PT_LOAD and start <= address < start + size:
            return offset + address - start
    raise ElfError(f"address {address:#x} is in no segment")
