"""Whether a program calls a PMI library (libpmi.so.0, libpmi2.so.0), and how it gets the ones of pmix_shim.

A PMI library that speaks PMI's wire protocol itself (MPICH's, Slurm's libpmi2) is left alone, as is an MPI library that
does; others, such as Slurm's libpmi, ask their own launcher. Imported for programs only that may need it.
"""

from __future__ import annotations

import os
import stat

from lwkpm.image.elf import ElfError, read_elf_fd
from lwkpm.image.mpi import PMI1_CLIENT, PMI2_WIRE, find_library, identify
from lwkpm.image.rootpath import open_in_root, read_in_root, resolve_in_root, resolve_inside
from lwkpm.image.shim_files import ALWAYS, INSIDE, NEVER
from lwkpm.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: soname -> what a library of that name contains when it speaks the wire.
CLIENTS = {"libpmi.so.0": PMI1_CLIENT, "libpmi2.so.0": PMI2_WIRE}

#: Parts of a C or C++ run time: they need no PMI library, nor anything that does.
LEAVES = ("libc.", "libm.", "libdl.", "librt.", "libpthread.", "libgcc_s.", "libstdc++.", "ld-linux")
MAX_FILES = 256
MAX_CLIENT = 16 << 20
MAX_CONF = 65536
CONF = "/etc/ld.so.conf.d"
DEFAULT_PATH = "/bin:/usr/bin"


class Shim(Value):
    """What gives a program the shims: `binds` are (host path, path inside), `env` what changes in its environment."""

    binds: tuple[tuple[str, str], ...]
    env: dict[str, str]


class Tree(Value):
    """What a program sees: the image below `root` ('' when nobody can look inside), host paths mounted over it.

    `mounts` are (host path, path inside), later ones over earlier ones.
    """

    root: str
    mounts: tuple[tuple[str, str], ...] = ()

    def locate(self, path: str) -> tuple[str, str]:
        """(root, path below it) of the regular file behind `path` and all its links; ('', '') when there is none."""
        for source, target in reversed(self.mounts):
            if path == target or path.startswith(target.rstrip("/") + "/"):
                return _resolve("/", source + path[len(target.rstrip("/")) :])
        return _resolve(self.root, path) if self.root else ("", "")


class Program(Value):
    """What a program loads. `calls` are PMI sonames it needs -> the file found for each, '' without one."""

    calls: dict[str, str]
    files: tuple[str, ...]
    found: bool


def plan_shim(tree: Tree, argv0: str, cwd: str, env: Mapping[str, str], shims: str, *, mode: str = "") -> Shim | None:
    """What `argv0` needs, None for nothing.

    `cwd` and `env` are the program's, `shims` is the host directory of the libraries, `mode` ALWAYS, NEVER or ''.
    """
    if mode == NEVER or not shims:
        return None
    where = shims if tree.root == "/" else INSIDE
    chosen = _requested(tree, env.get("I_MPI_PMI_LIBRARY", ""))
    changes = {"I_MPI_PMI_LIBRARY": f"{where}/{chosen}"} if chosen else {}
    replaced = _replaced(tree, inspect(tree, argv0, cwd, env))
    if mode == ALWAYS or replaced:
        old = env.get("LD_LIBRARY_PATH", "")
        changes["LD_LIBRARY_PATH"] = f"{where}:{old}" if old else where
    if not changes:
        return None
    hidden = {soname: tree.locate(path) for soname, path in replaced.items() if path}
    over = [(f"{shims}/{soname}", inside) for soname, (root, inside) in hidden.items() if root == tree.root]
    return Shim(binds=() if tree.root == "/" else ((shims, INSIDE), *over), env=changes)


def _requested(tree: Tree, library: str) -> str:
    """The soname of the shim in place of the library that Intel MPI is told to load; '' to leave it as it is.

    A path is the user's word about the image: it is replaced when the file is missing or speaks to another launcher.
    """
    name = os.path.basename(library)
    soname = next((one for one in CLIENTS if name.startswith(one.removesuffix(".0"))), "")
    if not soname or "/" not in library:
        return soname
    return "" if not tree.root or speaks_wire(tree, library, soname) else soname


def _replaced(tree: Tree, program: Program) -> dict[str, str]:
    """soname -> the file that a shim has to hide, '' for none; nothing when no shim is needed."""
    calls = program.calls or _installed(tree, program)
    wanted = {soname: path for soname, path in calls.items() if not (path and speaks_wire(tree, path, soname))}
    library = find_library(program.files) if wanted else ""
    return {} if library and identify(*tree.locate(library)).speaks else wanted


def _installed(tree: Tree, program: Program) -> dict[str, str]:
    """PMI libraries of the tree, for programs that may start others: shells, interpreters and scripts."""
    if find_library(program.files) or not program.found:
        return {}
    found = ((soname, _search(tree, soname, _system_directories(tree))) for soname in CLIENTS)
    return {soname: path for soname, path in found if path}


def speaks_wire(tree: Tree, path: str, soname: str) -> bool:
    """Whether the PMI library `path` is itself a client of PMI's wire protocol."""
    root, inside = tree.locate(path)
    try:
        return bool(root) and CLIENTS[soname] in read_in_root(root, inside, MAX_CLIENT)
    except OSError:
        return False


def inspect(tree: Tree, argv0: str, cwd: str, env: Mapping[str, str]) -> Program:
    """Follow what the program needs, as the dynamic loader does."""
    start = _find_program(tree, argv0, cwd, env.get("PATH", ""))
    last = [*(one for one in env.get("LD_LIBRARY_PATH", "").split(":") if one), *_system_directories(tree)]
    files = [start] if start else []
    seen: dict[str, str] = {}  # name as needed -> file, '' for none
    for path in files:
        needed, own = _read(tree, path)
        for name in needed:
            if name in seen or name.startswith(LEAVES) or len(seen) >= MAX_FILES:
                continue
            seen[name] = _search(tree, name, [*own, *last])
            files += [seen[name]] if seen[name] else []
    calls = {name: path for name, path in seen.items() if name in CLIENTS}
    return Program(calls=calls, files=tuple(files), found=bool(start))


def _find_program(tree: Tree, argv0: str, cwd: str, path_variable: str) -> str:
    """The path of `argv0`; '' when there is no such file."""
    if "/" in argv0:
        places = [os.path.join(cwd, argv0)]
    else:
        places = [f"{one}/{argv0}" for one in (path_variable or DEFAULT_PATH).split(":")]
    return next((path for path in places if tree.locate(path)[0]), "")


def _search(tree: Tree, name: str, directories: Iterable[str]) -> str:
    places = [name] if "/" in name else [f"{one}/{name}" for one in directories]
    return next((path for path in places if tree.locate(path)[0]), "")


def _resolve(root: str, path: str) -> tuple[str, str]:
    try:
        inside = resolve_inside(root, path)
        regular = stat.S_ISREG(os.lstat(root.rstrip("/") + inside).st_mode)
    except OSError:
        return "", ""
    return (root, inside) if regular else ("", "")


def _read(tree: Tree, path: str) -> tuple[tuple[str, ...], list[str]]:
    """(names that the ELF file `path` needs, directories it wants them searched in); nothing for other files."""
    try:
        fd = open_in_root(*tree.locate(path))
    except OSError:
        return (), []
    try:
        elf = read_elf_fd(fd)
    except ElfError:
        return (), []
    finally:
        os.close(fd)
    return elf.needed, [one.replace("$ORIGIN", os.path.dirname(path)) for one in elf.runpath.split(":") if one]


def _system_directories(tree: Tree) -> list[str]:
    """Where the loader looks last: what ld.so.conf.d names (its cache holds the same), then the built-in ones."""
    from lwkpm.image.nearest import list_names

    named = []
    if tree.root:
        try:
            names = sorted(list_names(resolve_in_root(tree.root, CONF)))
        except OSError:
            names = []
        named = [line for name in names for line in _conf_lines(tree, f"{CONF}/{name}")]
    triple = f"{os.uname().machine}-linux-gnu"
    return [*named, f"/lib/{triple}", f"/usr/lib/{triple}", "/lib64", "/usr/lib64", "/lib", "/usr/lib"]


def _conf_lines(tree: Tree, path: str) -> list[str]:
    try:
        text = os.fsdecode(read_in_root(tree.root, path, MAX_CONF))
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.startswith("/")]
