"""Fixtures of every test: lwkpm-run as a process, images built on demand, skips by capability."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tests.capabilities import LWKPM_RUN, ROOT, as_user, missing, user_home

DEMO = ROOT / "build" / "images" / "demo.sqfs"
TEST_IMAGES = ("wheels", "bookworm", "trixie", "sid")


@dataclass(frozen=True)
class Mpi:
    """One MPI library inside one image; `program` gives the path of a compiled test program."""

    image: str
    name: str
    family: str
    version: str
    dir: str
    env: tuple[str, ...]  # ("-x", "NAME=VALUE", ...): what its relocated tree needs

    def program(self, name: str) -> str:
        """Path inside the image."""
        return f"{self.dir}/bin/{name}"

    def __str__(self) -> str:
        return f"{self.image}-{self.name}"


@dataclass(frozen=True)
class Image:
    """A built test image in both forms."""

    rootfs: str
    sqfs: str
    mpis: tuple[Mpi, ...]


class LwkpmRun(Protocol):
    """How the `lwkpm_run` fixture is called."""

    def __call__(
        self,
        *args: str | Path,
        user: bool = False,
        timeout: float = 60,
        env: dict[str, str] | None = None,
        stdin: str | bytes | None = None,
        cwd: str | Path | None = None,
    ) -> subprocess.CompletedProcess[str]: ...


@functools.cache
def load_image(name: str) -> Image:
    """Build the image when the cache has none (minutes), and read its manifest."""
    command = [sys.executable, "-m", "tools.images", name]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    folder = Path(built.stdout.splitlines()[-1])
    facts = json.loads((folder / "image.json").read_text())
    mpis = tuple(read_mpi(name, entry) for entry in facts["mpis"])
    return Image(str(folder / "rootfs"), str(folder / "image.sqfs"), mpis)


def read_mpi(image: str, entry: dict[str, object]) -> Mpi:
    """One manifest entry."""
    env = entry["env"]
    assert isinstance(env, dict)
    flags = tuple(word for key, value in env.items() for word in ("-x", f"{key}={value}"))
    texts = {key: str(entry[key]) for key in ("name", "family", "version", "dir")}
    return Mpi(image=image, env=flags, **texts)


def child_environment(*, user: bool, extra: dict[str, str] | None) -> dict[str, str]:
    """Ours without what a surrounding launcher or test run left, with the right HOME, plus `extra`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PMI", "OMPI_", "I_MPI_", "LWKPM_"))}
    if user and os.geteuid() == 0:
        kept |= {"HOME": user_home(), "USER": "lwktest", "LOGNAME": "lwktest"}
        kept.pop("XDG_RUNTIME_DIR", None)
    return {**kept, **(extra or {})}


@pytest.fixture(scope="session")
def lwkpm_run() -> LwkpmRun:
    """Run lwkpm-run to its end and give back what it printed; never lets it outlive `timeout` seconds."""

    def run(
        *args: str | Path,
        user: bool = False,
        timeout: float = 60,
        env: dict[str, str] | None = None,
        stdin: str | bytes | None = None,
        cwd: str | Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        command = [str(LWKPM_RUN), *map(str, args)]
        given = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            as_user(command) if user else command,
            capture_output=True,
            timeout=timeout,
            env=child_environment(user=user, extra=env),
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            cwd=cwd or (user_home() if user else ROOT),
            check=False,
        )
        out, err = (text.decode(errors="backslashreplace") for text in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    return run


@pytest.fixture(scope="session")
def images() -> dict[str, Image]:
    """All test images by name."""
    return {name: load_image(name) for name in TEST_IMAGES}


@pytest.fixture(scope="session")
def demo_image() -> Path:
    """build/images/demo.sqfs."""
    subprocess.run([sys.executable, "-m", "tools.images", "demo"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return DEMO


@pytest.fixture(params=[False, True], ids=["root", "user"])
def as_ordinary_user(request: pytest.FixtureRequest) -> bool:
    """Both kinds of caller: False as root, True as an ordinary user."""
    user = bool(request.param)
    why = missing("ordinary_user", "user_namespaces") if user else missing("root")
    if why:
        pytest.skip(why)
    return user


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of capability skips."""
    config.addinivalue_line("markers", "needs(*names): skipped, with the reason, when a capability is missing")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs what this machine has not."""
    for mark in item.iter_markers("needs"):
        why = missing(*mark.args)
        if why:
            pytest.skip(why)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A parameter called `mpi` runs a test for every MPI of every image."""
    if "mpi" in metafunc.fixturenames:
        mpis = [mpi for name in TEST_IMAGES for mpi in load_image(name).mpis]
        metafunc.parametrize("mpi", mpis, ids=str)
