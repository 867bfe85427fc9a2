"""All of lwkpm's compiled modules in one file.

A run imports some 55 modules of ours. Python looks for each with ten system calls; from one file it takes two (stat of
the source, read of the code), 2 ms less of a 25 ms launch. The file lies beside the .pyc files and is kept as they are:
made by the first process that may write there, and a module whose source has another time or size than the file says
is imported in Python's own way.
"""

from __future__ import annotations

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType, ModuleType

    #: (is a package, source below the package's directory, its mtime_ns, its size, code's offset, code's length)
    Entry = tuple[bool, str, int, int, int, int]

PACKAGE = os.path.dirname(os.path.abspath(__file__))
NAME = __name__.partition(".")[0]
_LENGTH_BYTES = 8


def _archive_path() -> str:
    return f"{PACKAGE}/__pycache__/{NAME}.{sys.implementation.cache_tag}.modules"


class Archive:
    """A finder and loader, first in `sys.meta_path`. `missed`: a module of ours had to be found by others."""

    def __init__(self, fd: int, start: int, entries: dict[str, Entry]) -> None:
        self._fd = fd
        self._start = start
        self._entries = entries
        self.missed = False

    def find_spec(self, name: str, _path: Sequence[str] | None = None, _target: object = None) -> ModuleSpec | None:
        """The spec of a module that is here and up to date."""
        entry = self._entries.get(name)
        if entry is None or not _is_current(entry):
            self.missed = self.missed or name.startswith(f"{NAME}.")
            return None
        is_package, source = entry[:2]
        file = f"{PACKAGE}/{source}"
        spec = ModuleSpec(name, self, origin=file, is_package=is_package)  # type: ignore[arg-type]  # is a Loader
        spec.has_location = True  # gives the module its __file__
        spec.cached = _archive_path()
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(os.path.dirname(file))
        return spec

    def create_module(self, _spec: ModuleSpec) -> ModuleType | None:
        """Python's own kind of module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run a module's code."""
        exec(self.get_code(module.__name__), module.__dict__)  # noqa: S102 - what importing is

    def get_code(self, name: str) -> CodeType:
        """A module's code."""
        offset, length = self._entries[name][4:]
        code: CodeType = marshal.loads(os.pread(self._fd, length, self._start + offset))  # noqa: S302 - our own, as .pyc
        return code


def _is_current(entry: Entry) -> bool:
    try:
        found = os.stat(f"{PACKAGE}/{entry[1]}")
    except OSError:
        return False
    return (found.st_mtime_ns, found.st_size) == entry[2:4]


def install() -> None:
    """Import lwkpm's modules from the archive, as far as there is one."""
    sys.meta_path.insert(0, _open(_archive_path()) or Archive(-1, 0, {}))


def _open(path: str) -> Archive | None:
    """The archive, None when there is none for this Python, this place, or it is not whole."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        length = int.from_bytes(os.pread(fd, _LENGTH_BYTES, 0), "little")
        identity, size, entries = marshal.loads(os.pread(fd, length, _LENGTH_BYTES))  # noqa: S302 - our own, as .pyc
        if identity == _identity() and os.fstat(fd).st_size == _LENGTH_BYTES + length + size:
            return Archive(fd, _LENGTH_BYTES + length, entries)
    except (OSError, EOFError, ValueError, TypeError, MemoryError):
        pass  # damaged: it will be written anew
    os.close(fd)
    return None


def _identity() -> tuple[bytes, str]:
    return MAGIC_NUMBER, PACKAGE


def refresh() -> None:
    """Write the archive anew if it lacked something; to be called when everything else is done."""
    finder = sys.meta_path[0]
    if not isinstance(finder, Archive) or not finder.missed:
        return
    folder = os.path.dirname(_archive_path())
    if sys.dont_write_bytecode or sys.pycache_prefix or not os.access(folder, os.W_OK, effective_ids=True):
        return
    try:
        _write(_archive_path())
    except (OSError, SyntaxError, ValueError):
        pass  # a full disk, or a source that is being edited: the next run tries again


def _write(path: str) -> None:
    entries: dict[str, Entry] = {}
    codes = []
    at = 0
    for name, source in _sources():
        full = f"{PACKAGE}/{source}"
        stat = os.stat(full)  # before the code is read: a source that changes now is newer than its entry
        codes.append(marshal.dumps(SourceFileLoader(name, full).get_code(name)))
        is_package = source.endswith("__init__.py")
        entries[name] = (is_package, source, stat.st_mtime_ns, stat.st_size, at, len(codes[-1]))
        at += len(codes[-1])
    index = marshal.dumps((_identity(), at, entries))
    unfinished = f"{path}.{os.getpid()}"
    try:
        with open(unfinished, "xb") as file:
            file.write(b"".join((len(index).to_bytes(_LENGTH_BYTES, "little"), index, *codes)))
        os.replace(unfinished, path)
    except OSError:
        os.unlink(unfinished)
        raise


def _sources() -> Iterator[tuple[str, str]]:
    """(module name, path below the package's directory) of all of lwkpm."""
    for folder, _, files in os.walk(PACKAGE):
        for file in files:
            if file.endswith(".py"):
                source = os.path.relpath(f"{folder}/{file}", PACKAGE)
                dotted = f"{NAME}/{source[:-3]}".replace("/", ".")
                yield dotted.removesuffix(".__init__"), source
