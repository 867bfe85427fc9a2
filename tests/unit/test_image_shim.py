"""Which programs are given our PMI libraries, and how."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lwkpm.container.host import may_call_pmi
from lwkpm.container.native import visible_trees, with_binds
from lwkpm.image.shim import Shim, Tree, plan_shim
from lwkpm.image.shim_files import ALWAYS, INSIDE, NEVER, find_shims
from tests.elfwriter import make_elf

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SHIMS = "/host/lib"
PATH = {"PATH": "/usr/bin:/bin"}
OURS = {"LD_LIBRARY_PATH": INSIDE}
MPI = b"MPICH Version:\0"  # with initack or without makes an MPI that speaks the wire or calls a library


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with programs of every kind."""
    files = {
        "usr/bin/direct": make_elf(needed=("libpmi.so.0", "libc.so.6")),
        "usr/bin/direct2": make_elf(needed=("libpmi2.so.0", "libc.so.6")),
        "usr/bin/both": make_elf(needed=("libpmi.so.0", "libpmi2.so.0")),
        "usr/bin/plain": make_elf(needed=("libc.so.6",)),
        "usr/bin/script": b"#!/bin/sh\n",
        "opt/mpi/bin/through": make_elf(needed=("libmpi.so.12",), runpath="$ORIGIN/../lib"),
        "opt/mpi/lib/libmpi.so.12": make_elf(needed=("libpmi.so.0",), soname="libmpi.so.12", tail=MPI),
        "opt/wire/bin/speaks": make_elf(needed=("libmpi.so.12",), runpath="$ORIGIN/../lib"),
        "opt/wire/lib/libmpi.so.12": make_elf(
            needed=("libpmi.so.0",), soname="libmpi.so.12", tail=MPI + b"\0initack\0"
        ),
    }
    for name, data in files.items():
        put(tmp_path, name, data)
    return tmp_path


def put(root: Path, name: str, data: bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def plan(root: Path | str, program: str, env: Mapping[str, str] = PATH, mode: str = "", cwd: str = "/") -> Shim | None:
    return plan_shim(Tree(root=str(root)), program, cwd, env, SHIMS, mode=mode)


@pytest.mark.parametrize(
    ("program", "given"),
    [
        ("direct", True),
        ("/usr/bin/direct2", True),
        ("both", True),
        ("plain", False),
        ("script", False),
        ("missing", False),
        ("/opt/mpi/bin/through", True),
        ("/opt/wire/bin/speaks", False),
    ],
)
def test_what_a_program_needs_decides(root: Path, program: str, given: bool) -> None:
    shim = plan(root, program)
    assert (shim is not None) == given
    if shim is not None:
        assert shim == Shim(binds=((SHIMS, INSIDE),), env=OURS)


def test_relative_program_is_taken_from_the_working_directory(root: Path) -> None:
    assert plan(root, "./through", cwd="/opt/mpi/bin") is not None
    assert plan(root, "bin/through", cwd="/opt/mpi") is not None
    assert plan(root, "./through") is None


def test_library_path_of_the_program_stays_behind_ours(root: Path) -> None:
    shim = plan(root, "direct", {**PATH, "LD_LIBRARY_PATH": "/a:/b"})
    assert shim is not None
    assert shim.env == {"LD_LIBRARY_PATH": f"{INSIDE}:/a:/b"}


@pytest.mark.parametrize("where", ["usr/lib", "usr/lib64", "opt/slurm/lib"])
def test_library_of_another_launcher_is_covered(root: Path, where: str) -> None:
    put(root, f"{where}/libpmi.so.0.0.0", b"slurm_get_kvs")
    (root / where / "libpmi.so.0").symlink_to("libpmi.so.0.0.0")
    put(root, "etc/ld.so.conf.d/slurm.conf", b"# a remark\n/opt/slurm/lib\n")
    shim = plan(root, "direct")
    assert shim is not None
    assert shim.binds == ((SHIMS, INSIDE), (f"{SHIMS}/libpmi.so.0", f"/{where}/libpmi.so.0.0.0"))


@pytest.mark.parametrize(
    ("program", "name", "text"), [("direct", "pmi", b"initack"), ("direct2", "pmi2", b"fullinit\0")]
)
def test_library_that_speaks_the_wire_is_left_alone(root: Path, program: str, name: str, text: bytes) -> None:
    put(root, f"usr/lib/lib{name}.so.0", b"\0" + text)
    assert plan(root, program) is None


def test_scripts_may_start_programs_that_call_the_library(root: Path) -> None:
    put(root, "usr/lib/libpmi2.so.0", b"of another launcher")
    assert plan(root, "script") is not None
    assert plan(root, "/opt/wire/bin/speaks") is None
    assert plan(root, "missing") is None


@pytest.mark.parametrize(
    ("library", "chosen"),
    [
        ("libpmi.so.0", "libpmi.so.0"),
        ("libpmi2.so", "libpmi2.so.0"),
        ("/opt/slurm/lib/libpmi2.so.0", "libpmi2.so.0"),
        ("/opt/ours/libpmi2.so.0", ""),
        ("libpmix.so.2", ""),
        ("/usr/lib/libpmix.so", ""),
        ("", ""),
    ],
)
def test_library_that_intel_mpi_is_told_to_load(root: Path, library: str, chosen: str) -> None:
    put(root, "opt/ours/libpmi2.so.0", b"fullinit\0")
    shim = plan(root, "plain", {**PATH, "I_MPI_PMI_LIBRARY": library})
    expected = Shim(binds=((SHIMS, INSIDE),), env={"I_MPI_PMI_LIBRARY": f"{INSIDE}/{chosen}"})
    assert shim == (expected if chosen else None)


def test_image_that_cannot_be_looked_into(root: Path) -> None:
    """What is said by environment, or lies in a directory of the host, still counts."""
    assert plan("", "direct") is None
    assert plan("", "direct", mode=ALWAYS) == Shim(binds=((SHIMS, INSIDE),), env=OURS)
    assert plan("", "x", {"I_MPI_PMI_LIBRARY": "libpmi.so"}) is not None
    assert plan("", "x", {"I_MPI_PMI_LIBRARY": "/usr/lib/libpmi.so.0"}) is None
    mounted = Tree(root="", mounts=(("/nowhere", "/home"), (str(root / "usr"), "/home/u")))
    assert plan_shim(mounted, "/home/u/bin/direct", "/", {}, SHIMS) == Shim(binds=((SHIMS, INSIDE),), env=OURS)
    assert plan_shim(mounted, "/home/user/bin/direct", "/", {}, SHIMS) is None


def test_mode_and_missing_libraries(root: Path) -> None:
    assert plan(root, "direct", mode=NEVER) is None
    assert plan(root, "plain", mode=ALWAYS) is not None
    assert plan_shim(Tree(root=str(root)), "direct", "/", PATH, "") is None


def test_without_a_container_nothing_is_mounted(tmp_path: Path) -> None:
    put(tmp_path, "direct", make_elf(needed=("libpmi.so.0",)))
    assert plan("/", f"{tmp_path}/direct") == Shim(binds=(), env={"LD_LIBRARY_PATH": SHIMS})


def test_damaged_and_endless_programs(root: Path) -> None:
    put(root, "usr/bin/damaged", make_elf(needed=("libpmi.so.0",))[:100])
    put(root, "usr/lib/a.so", make_elf(needed=("b.so",)))
    put(root, "usr/lib/b.so", make_elf(needed=("a.so", "/usr/lib/libpmi.so.0", "gone.so")))
    put(root, "usr/bin/circle", make_elf(needed=("a.so",)))
    (root / "usr/bin/loop").symlink_to("loop")
    for program in ("damaged", "circle", "loop"):
        assert plan(root, program) is None


def test_find_shims(tmp_path: Path) -> None:
    for name in ("libpmi.so.0", "libpmi2.so.0"):
        put(tmp_path, name, b"")
    assert find_shims({"LWKPM_PMI_LIB": str(tmp_path)}) == str(tmp_path)
    assert find_shims({"LWKPM_PMI_LIB": str(tmp_path / "x")}) != str(tmp_path / "x")


# --- the first look, which every job pays for ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "env", "expected"),
    [
        ("direct", PATH, True),
        ("/usr/bin/direct", {}, True),
        ("plain", PATH, False),
        ("missing", PATH, False),
        ("plain", {**PATH, "I_MPI_PMI_LIBRARY": "x"}, True),
        ("plain", {**PATH, "LD_LIBRARY_PATH": "/opt/x::/opt/pmi"}, True),
        ("/usr/bin", PATH, False),
    ],
)
def test_first_look(root: Path, program: str, env: dict[str, str], expected: bool) -> None:
    put(root, "opt/pmi/libpmi.so.0", b"")
    assert may_call_pmi(str(root), (), program, "/", env) == expected


def test_first_look_at_both_ends_of_large_programs(root: Path) -> None:
    put(root, "usr/bin/patched", b"\x7fELF" + bytes(1 << 20) + b"\0libpmi.so.0\0" + bytes(1 << 16))
    put(root, "usr/bin/data", b"\x7fELF" + bytes(1 << 20) + b"\0libpmi.so.0\0" + bytes(1 << 20))
    assert may_call_pmi(str(root), (), "patched", "/", PATH)
    assert not may_call_pmi(str(root), (), "data", "/", PATH)


def test_first_look_follows_mounts(root: Path) -> None:
    mounts = ((str(root / "usr"), "/home/u"),)
    assert may_call_pmi("", mounts, "./direct", "/home/u/bin", {})
    assert not may_call_pmi("", mounts, "/usr/bin/direct", "/", {})


def test_first_look_finds_libraries_of_the_image(root: Path) -> None:
    put(root, "usr/lib64/libpmi2.so.0", b"")
    assert may_call_pmi(str(root), (), "plain", "/", PATH)


def test_other_programs_cost_no_import(root: Path) -> None:
    script = f"""
import sys
from lwkpm.agent.prepare import make_plans
from lwkpm.job.spec import AppContext, Job
for program, needed in (("plain", False), ("direct", True)):
    app = AppContext(image={str(root)!r}, argv=("/usr/bin/" + program,), np=1)
    plan, = make_plans(Job(apps=(app,)), {{"PATH": "/bin", "HOME": "/"}}, "/tmp")
    assert ("lwkpm.image.shim" in sys.modules) == needed, program
    assert any(op[-2] == {INSIDE!r} for op in plan.containers[0].ops if op[0] == "bind") == needed, program
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr


# --- the operations --------------------------------------------------------------------------------------------------

OPS = (
    ("nofile", "1024"),
    ("mkdir", "/s/lower"),
    ("bind", "/image", "/s/lower", "rec"),
    ("target", "/s/lower", "/s/upper", "/home", "/home"),
    ("overlay", "/s/lower", "/s/upper", "/s/work", "/s/root"),
    ("root", "/s/root"),
    ("bind", "/home", "/home", "rec"),
    ("addline", "/etc/passwd", "u:", "u:x"),
    ("pivot",),
)


def test_visible_trees() -> None:
    assert visible_trees(OPS) == ("/image", (("/home", "/home"),))
    assert visible_trees((("nofile", "1"),)) == ("/", ())
    mounted = tuple(op for op in OPS if op[1:2] != ("/image",))
    assert visible_trees(mounted) == ("", (("/home", "/home"),))


def test_with_binds() -> None:
    more = with_binds(OPS, ((SHIMS, INSIDE),))
    assert [op for op in more if op not in OPS] == [
        ("target", "/s/lower", "/s/upper", INSIDE, SHIMS),
        ("bind", SHIMS, INSIDE, "ro"),
    ]
    assert [op[0] for op in more] == [
        *("nofile", "mkdir", "bind", "target", "target", "overlay", "root", "bind", "bind", "addline", "pivot"),
    ]
    assert with_binds(more, ((SHIMS, INSIDE),)) == more
    assert with_binds(OPS[:1], ((SHIMS, INSIDE),)) == OPS[:1]
