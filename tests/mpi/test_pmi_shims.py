"""libpmi.so.0 and libpmi2.so.0 of pmix_shim: every call under lwkpm-run, alone, and against servers that err."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lwkpm.image.elf import read_elf
from tests.conftest import Image, LwkpmRun, Mpi, load_image
from tests.mpi.fake_pmi import HANG_UP, INIT_2, Nonsense, answer, run_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
SHIM = ROOT / "pmix_shim"
SOURCES = Path(__file__).with_name("pmi_programs")
WARN = ("-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
HEADERS = {"libpmi.so.0": "pmi.h", "libpmi2.so.0": "pmi2.h"}
CALLS = ("pmi1_job", "pmi1_kvs", "pmi1_names", "pmi2_job", "pmi2_kvs", "pmi2_info")
NEWEST_GLIBC = (2, 17)
INTEL = [mpi for mpi in load_image("wheels").mpis if mpi.family == "impi"]
CHOICES = [("pmi1", "libpmi.so.0"), ("pmi2", "libpmi2.so.0"), ("pmi2", "/opt/slurm/lib/libpmi2.so")]


def soname_of(program: str) -> str:
    return "libpmi2.so.0" if program.startswith("pmi2") else "libpmi.so.0"


def compile_program(source: Path, target: Path, library: Path, *flags: str) -> Path:
    command = ["gcc", *WARN, *flags, "-I", str(SHIM), "-o", str(target), str(source), str(library)]
    subprocess.run(command, check=True)
    return target


@pytest.fixture(scope="session")
def built() -> None:
    subprocess.run(["make", "-s", "-C", str(SHIM), "all", "sanitized"], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def programs(built: None) -> Iterator[Path]:
    """A directory that ordinary users and containers see, with every program, and asan/ with sanitized ones."""
    folder = Path(tempfile.mkdtemp(prefix="lwkt-shim-", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "asan").mkdir()
    for source in sorted(SOURCES.glob("*.c")):
        library = soname_of(source.stem)
        compile_program(source, folder / source.stem, SHIM / "lib" / library)
        place = SHIM / "lib-asan"
        # DT_RPATH: it goes before LD_LIBRARY_PATH, by which lwkpm-run gives the libraries that are not sanitized
        rpath = f"-Wl,--disable-new-dtags,-rpath,{place}"
        compile_program(source, folder / "asan" / source.stem, place / library, *SANITIZE, rpath)
    yield folder
    shutil.rmtree(folder)


# --- the files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("soname", sorted(HEADERS))
def test_library_needs_only_an_old_libc(built: None, soname: str) -> None:
    path = SHIM / "lib" / soname
    elf = read_elf(path.read_bytes())
    assert (elf.soname, elf.needed, elf.runpath) == (soname, ("libc.so.6",), "")
    said = subprocess.run(["readelf", "-V", str(path)], check=True, capture_output=True, text=True).stdout
    versions = {tuple(map(int, found.split("."))) for found in re.findall(r"GLIBC_([0-9.]+)", said)}
    assert versions
    assert max(versions) <= NEWEST_GLIBC


@pytest.mark.parametrize("soname", sorted(HEADERS))
def test_library_exports_what_its_header_declares(built: None, soname: str) -> None:
    command = ["nm", "-D", "--defined-only", str(SHIM / "lib" / soname)]
    exported = {line.split()[-1] for line in subprocess.check_output(command, text=True).splitlines()}
    declared = set(re.findall(r"^int (PMI\w+)\(", (SHIM / HEADERS[soname]).read_text(), re.MULTILINE))
    assert exported == declared


def test_headers_are_good_for_c_and_cplusplus(tmp_path: Path) -> None:
    for compiler, suffix in (("gcc", "c"), ("g++", "cc")):
        if shutil.which(compiler):
            source = tmp_path / f"both.{suffix}"
            source.write_text('#include "pmi.h"\n#include "pmi2.h"\nint main() { return PMI_SUCCESS; }\n')
            subprocess.run(
                [compiler, "-Wall", "-Wextra", "-Werror", "-I", str(SHIM), "-c", str(source)], check=True, cwd=tmp_path
            )


# --- every call ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", CALLS)
def test_singleton_is_a_world_of_one(programs: Path, program: str) -> None:
    done = subprocess.run(
        [programs / "asan" / program], capture_output=True, text=True, env={}, check=False, timeout=30
    )
    assert (done.returncode, done.stdout) == (0, f"{program}: OK, 1 ranks\n"), done.stderr


@pytest.mark.parametrize("program", CALLS)
@pytest.mark.parametrize("ranks", ["1", "4"])
@pytest.mark.parametrize("option", [(), ("--pmi", "port")], ids=["fd", "port"])
def test_calls_of_sanitized_library(
    lwkpm_run: LwkpmRun, programs: Path, program: str, ranks: str, option: tuple[str, ...]
) -> None:
    # Leaks are looked for by ptrace, which conenter does to ranks; test_nonsense_... looks for them instead.
    no_leaks = ("-x", "ASAN_OPTIONS=detect_leaks=0")
    done = lwkpm_run(*option, "-n", ranks, *no_leaks, "host://", programs / "asan" / program, ranks)
    assert (done.returncode, done.stdout) == (0, f"{program}: OK, {ranks} ranks\n"), done.stderr


@pytest.mark.parametrize("program", CALLS)
def test_calls_where_the_library_was_not_built(
    lwkpm_run: LwkpmRun, images: dict[str, Image], programs: Path, program: str, *, as_ordinary_user: bool
) -> None:
    for image in ("host://", images["trixie"].rootfs):
        done = lwkpm_run("-n", "3", image, programs / program, "3", user=as_ordinary_user, cwd=programs)
        assert (done.returncode, done.stdout) == (0, f"{program}: OK, 3 ranks\n"), done.stderr


def test_program_of_the_host_in_an_image_file(lwkpm_run: LwkpmRun, demo_image: Path, programs: Path) -> None:
    done = lwkpm_run("-n", "2", demo_image, "./pmi1_kvs", cwd=programs)
    assert (done.returncode, done.stdout) == (0, "pmi1_kvs: OK, 2 ranks\n"), done.stderr


@pytest.mark.parametrize(("program", "status"), [("pmi1_abort", 7), ("pmi2_abort", 1)])
def test_abort_ends_the_job(lwkpm_run: LwkpmRun, programs: Path, program: str, status: int) -> None:
    done = lwkpm_run("-n", "3", "host://", programs / program)
    assert done.returncode == status
    assert "rank 1" in done.stderr


@pytest.mark.parametrize("program", ["pmi1_spawn", "pmi2_spawn"])
def test_spawn(lwkpm_run: LwkpmRun, programs: Path, program: str) -> None:
    done = lwkpm_run("-n", "1", "host://", programs / program, "real")
    assert (done.returncode, done.stdout) == (0, f"{program} child: OK, 2 ranks\n"), done.stderr


# --- Intel MPI -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("intel", INTEL, ids=str)
@pytest.mark.parametrize(("kind", "library"), CHOICES, ids=["pmi1", "pmi2", "missing"])
@pytest.mark.parametrize("ranks", [1, 4])
def test_intel_mpi_told_to_load_a_library(
    lwkpm_run: LwkpmRun,
    images: dict[str, Image],
    intel: Mpi,
    kind: str,
    library: str,
    ranks: int,
    *,
    as_ordinary_user: bool,
) -> None:
    told = ("-x", f"I_MPI_PMI={kind}", "-x", f"I_MPI_PMI_LIBRARY={library}", "-x", "PMI_DEBUG=1")
    done = lwkpm_run(
        *("-n", str(ranks), *intel.env, *told), images[intel.image].rootfs, intel.program("ring"), user=as_ordinary_user
    )
    assert done.returncode == 0, done.stderr
    assert f"ring: {ranks} ranks, token {ranks}, sum OK" in done.stdout
    last = "cmd=finalize_ack" if kind == "pmi1" else "cmd=finalize-response"
    assert len(re.findall(f"^lwkpm pmi < .*{last}", done.stderr, re.MULTILINE)) == ranks


def test_intel_mpi_in_an_image_file(lwkpm_run: LwkpmRun, demo_image: Path, *, as_ordinary_user: bool) -> None:
    told = ("-x", "I_MPI_PMI=pmi2", "-x", "I_MPI_PMI_LIBRARY=libpmi2.so.0", "-x", "PMI_DEBUG=1")
    done = lwkpm_run("-n", "2", *told, demo_image, "ring-impi", user=as_ordinary_user)
    assert done.returncode == 0, done.stderr
    assert "ring: 2 ranks" in done.stdout
    assert "lwkpm pmi <" in done.stderr


# --- other libraries of that name ------------------------------------------------------------------------------------


@pytest.fixture
def foreign(programs: Path, tmp_path: Path) -> Path:
    """A root tree with libc, a program bound to its library by DT_RPATH, and a libpmi.so.0 that is of no use here."""
    names = set(re.findall(r"PMI_\w+(?=\()", (SHIM / "pmi.h").read_text()))
    text = "#include <stdlib.h>\n" + "".join(f"int {name}(void) {{ abort(); }}\n" for name in sorted(names))
    (tmp_path / "foreign.c").write_text(text)
    root = Path(tempfile.mkdtemp(prefix="lwkt-tree-", dir=programs))
    root.chmod(0o755)
    for folder in ("bin", "opt/slurm/lib"):
        (root / folder).mkdir(parents=True)
    library = root / "opt/slurm/lib/libpmi.so.0.0.0"
    command = ["gcc", "-shared", "-fPIC", "-Wl,-soname,libpmi.so.0", "-o", str(library), str(tmp_path / "foreign.c")]
    subprocess.run(command, check=True)
    (root / "opt/slurm/lib/libpmi.so.0").symlink_to("libpmi.so.0.0.0")
    rpath = "-Wl,--disable-new-dtags,-rpath,/opt/slurm/lib"
    compile_program(SOURCES / "pmi1_job.c", root / "bin/job", library, rpath)
    for path in re.findall(r"(/\S+) \(", subprocess.check_output(["ldd", programs / "pmi2_abort"], text=True)):
        if "pmi" not in path:
            (root / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, root / path.lstrip("/"))
    return root


def test_library_that_asks_another_launcher_is_hidden(lwkpm_run: LwkpmRun, foreign: Path) -> None:
    done = lwkpm_run("-n", "2", foreign, "/bin/job", "2", env={"LWKPM_PMI_SHIM": "never"})
    assert done.returncode == 134  # the foreign library is really the one that is found
    done = lwkpm_run("-n", "2", foreign, "/bin/job", "2")
    assert (done.returncode, done.stdout) == (0, "pmi1_job: OK, 2 ranks\n"), done.stderr


def test_program_inside_an_image_file(lwkpm_run: LwkpmRun, foreign: Path, tmp_path: Path) -> None:
    """Nobody can look into the file before it is mounted."""
    shutil.rmtree(foreign / "opt")
    image = tmp_path / "job.sqfs"
    subprocess.run(["mksquashfs", str(foreign), str(image), "-quiet", "-no-progress"], check=True)
    done = lwkpm_run("-n", "2", image, "/bin/job", "2")
    assert (done.returncode, done.stdout) == (0, "pmi1_job: OK, 2 ranks\n"), done.stderr


def test_programs_that_call_no_library_are_left_alone(lwkpm_run: LwkpmRun, demo_image: Path) -> None:
    script = 'echo "${LD_LIBRARY_PATH-unset}"; test -e /run/lwkpm/lib/libpmi.so.0; echo $?'
    assert lwkpm_run("-n", "1", demo_image, "sh", "-c", script).stdout == "unset\n0\n"
    never = lwkpm_run("-n", "1", demo_image, "sh", "-c", script, env={"LWKPM_PMI_SHIM": "never"})
    assert never.stdout == "unset\n1\n"
    forced = lwkpm_run("-n", "1", demo_image, "sh", "-c", script, env={"LWKPM_PMI_SHIM": "always"})
    assert forced.stdout == "/run/lwkpm/lib\n0\n"


# --- servers that err ------------------------------------------------------------------------------------------------


def test_spawn_request_of_pmi1(programs: Path) -> None:
    done, requests = run_client(programs / "asan/pmi1_spawn")
    assert (done.returncode, done.stdout) == (0, "code 0, errors 0 0 5\n"), done.stderr
    first = "nprocs=2\nexecname=/bin/first prog\ntotspawns=2\nspawnssofar=1\narg1=a b\narg2=c=d;e\nargcnt=2\n"
    put = "preput_num=1\npreput_key_0=PARENT_PORT\npreput_val_0=tag=1 x\n"
    info = "info_num=1\ninfo_key_0=wdir\ninfo_val_0=/tmp/x y\n"
    second = "nprocs=1\nexecname=second\ntotspawns=2\nspawnssofar=2\nargcnt=0\ninfo_num=0\n"
    expected = f"mcmd=spawn\n{first}{put}{info}endcmd\nmcmd=spawn\n{second}endcmd\n"
    assert [request.decode() for request in requests if b"spawn" in request] == [expected]


def test_spawn_request_of_pmi2(programs: Path) -> None:
    done, requests = run_client(programs / "asan/pmi2_spawn")
    assert (done.returncode, done.stdout) == (0, "code 0, job job2, errors 0 0 0\n"), done.stderr
    head = "cmd=spawn;ncmds=2;preputcount=1;ppkey0=PORT;ppval0=p;;q;"
    first = "subcmd=A;maxprocs=2;argc=2;argv0=x y;argv1=z;;=;infokeycount=1;infokey0=wdir;infoval0=/tmp;"
    expected = head + first + "subcmd=B;maxprocs=1;argc=0;infokeycount=0;"
    assert [request[6:].decode() for request in requests if b"spawn" in request] == [expected]


def test_identity_over_tcp(programs: Path) -> None:
    _, requests = run_client(programs / "asan/pmi1_fuzz", reply=answer)
    assert requests[0] == b"cmd=initack pmiid=77\n"
    _, requests = run_client(programs / "asan/pmi2_fuzz")
    assert requests[:2] == [
        b"cmd=init pmi_version=2 pmi_subversion=0\n",
        b"37    cmd=fullinit;srcid=77;threaded=FALSE;",
    ]


REFUSALS: dict[str, Callable[[bytes], bytes | None]] = {
    "hangs up": lambda _: None,
    "refuses the version": lambda _: b"cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=-1\n",
    "answers something else": lambda _: b"cmd=put_result rc=0\n",
    "says nothing but a line end": lambda _: b"\n",
    "speaks another language": lambda _: b"HTTP/1.1 400 Bad Request\r\n",
    "sends a line without end": lambda _: b"cmd=" + b"x" * 200_000,
    "hangs up within a line": lambda _: b"cmd=init" + HANG_UP,
    "sends NUL": lambda _: b"cmd=\0response_to_init rc=0\n",
    "frames nonsense": lambda r: INIT_2.encode() + b"\n" if b"cmd=init " in r else b"12x   cmd=fullinit;",
    "frames too much": lambda r: INIT_2.encode() + b"\n" if b"cmd=init " in r else b"999999",
    "has a world without ranks": lambda r: answer(r).replace(b"size=4", b"size=0"),
    "puts us outside": lambda r: answer(r).replace(b"rank=1", b"rank=4"),
    "has too large a world": lambda r: answer(r).replace(b"size=4", b"size=2147483647").replace(b"    11", b"    12"),
}


@pytest.mark.parametrize("case", REFUSALS)
@pytest.mark.parametrize("program", ["pmi1_fuzz", "pmi2_fuzz"])
def test_init_fails_when_the_server(programs: Path, program: str, case: str) -> None:
    done, _ = run_client(programs / "asan" / program, reply=REFUSALS[case])
    assert (done.returncode, done.stdout) == (0, "0 of 1 sessions\n"), done.stderr


@pytest.mark.parametrize(
    "env",
    [
        {"PMI_FD": "99", "PMI_RANK": "0", "PMI_SIZE": "1"},
        {"PMI_FD": "x", "PMI_RANK": "0", "PMI_SIZE": "1"},
        {"PMI_FD": "-1", "PMI_RANK": "0", "PMI_SIZE": "1"},
        {"PMI_FD": "0"},
        {"PMI_PORT": "127.0.0.1:1", "PMI_ID": "1"},
        {"PMI_PORT": "127.0.0.1", "PMI_ID": "1"},
        {"PMI_PORT": "127.0.0.1:x", "PMI_ID": "1"},
        {"PMI_PORT": ":1", "PMI_ID": "1"},
    ],
    ids=str,
)
@pytest.mark.parametrize("program", ["pmi1_fuzz", "pmi2_fuzz"])
def test_init_fails_in_a_broken_environment(programs: Path, program: str, env: dict[str, str]) -> None:
    done = subprocess.run(
        [programs / "asan" / program], env=env, capture_output=True, text=True, check=False, timeout=30, stdin=-3
    )
    assert (done.returncode, done.stdout) == (0, "0 of 1 sessions\n"), done.stderr


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("program", ["pmi1_fuzz", "pmi2_fuzz"])
def test_nonsense_does_no_harm(programs: Path, program: str, seed: int) -> None:
    done, requests = run_client(programs / "asan" / program, "1000", reply=Nonsense(seed))
    assert done.returncode == 0, done.stderr
    joined = re.fullmatch(r"(\d+) of 1000 sessions\n", done.stdout)
    assert joined is not None
    assert int(joined.group(1)) > 500
    assert any(b"cmd=spawn" in request for request in requests)  # some sessions came to the last call
