"""mpi4py in an image: the wheel in the image's Python, and the tests of its source distribution."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tools.images.recipes import SuiteRecipe

SITE = "usr/local/lib/python{python}/dist-packages"
TESTS = "opt/mpi4py/test"  # as /opt/mpi4py/test inside
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


def add_suite(recipe: SuiteRecipe, root: Path, log: Path) -> None:
    """Install the wheels for the image's Python, not for the one that runs this, and unpack the tests."""
    site = root / SITE.format(python=recipe.python)
    digits = recipe.python.replace(".", "")
    target = [
        "--target",
        str(site),
        "--python-version",
        recipe.python,
        "--implementation",
        "cp",
        "--abi",
        f"cp{digits}",
    ]
    kind = ["--platform", f"manylinux2014_{platform.machine()}", "--only-binary", ":all:", "--no-deps"]
    run([*PIP, "install", *target, *kind, *recipe.python_packages], log)
    unpack_tests(sdist_of(recipe.suite_package, root.parent, log), root / TESTS)


def run(command: Iterable[str], log: Path) -> None:
    """Run it with its output in the build's log."""
    with log.open("ab") as stream:
        subprocess.run([*command], check=True, stdout=stream, stderr=subprocess.STDOUT)


def sdist_of(requirement: str, work: Path, log: Path) -> Path:
    """The source distribution. pip asks it for its metadata, and installs a build back end for that (a minute)."""
    folder = Path(tempfile.mkdtemp(dir=work))
    run([*PIP, "download", "--no-deps", "--no-binary", ":all:", "--dest", str(folder), requirement], log)
    return next(folder.glob("*.tar.gz"))


def unpack_tests(sdist: Path, target: Path) -> None:
    """Only the test directory, to `target`; the archive is removed."""
    with tarfile.open(sdist) as archive:
        prefix = sdist.name.removesuffix(".tar.gz") + "/test/"
        for member in [each for each in archive.getmembers() if each.isfile() and each.name.startswith(prefix)]:
            path, source = target / member.name.removeprefix(prefix), archive.extractfile(member)
            path.parent.mkdir(parents=True, exist_ok=True)
            if source is not None:
                path.write_bytes(source.read())
    shutil.rmtree(sdist.parent)
