"""Dynamic processes with real libraries: spawn, names, connect and accept, and two libraries in one run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.conftest import TEST_IMAGES, load_image

if TYPE_CHECKING:
    from tests.conftest import Image, LwkpmRun, Mpi

EVERY = [mpi for name in TEST_IMAGES for mpi in load_image(name).mpis]
#: Libraries that cannot: each was seen to fail in the same image under its own launcher too.
NO_SPAWN = {
    "wheels-mpich-3.4.3": "segmentation fault in the children's MPI_Init",
    "bookworm-mpich-4.0.2": "no MPI_Open_port with its ucx netmod, and its spawn needs one",
    "trixie-mpich-4.3.0": "no MPI_Open_port with its ucx netmod, and its spawn needs one",
    "trixie-openmpi-5.0.7": "its tcp transport finds no reachable interfaces between two worlds",
    "wheels-impi-2021.13.1": "its shm fabric cannot spawn, and the wheel brings no libfabric",
    "wheels-impi-2021.19.0": "its shm fabric cannot spawn, and the wheel brings no libfabric",
}
NO_PORTS = {
    **NO_SPAWN,
    "wheels-mpich-4.3.2": "MPI_Open_port is an error with its ucx netmod",
    "wheels-mpich-5.0.2": "MPI_Open_port is an error with its ucx netmod",
    "sid-mpich-5.0.2": "MPI_Open_port is an error with its ucx netmod",
}
CHILD = re.compile(r"^child (\d+) of (\d+), app (\d+), arguments (\d+) '(.*)', sum (\d+)$", re.MULTILINE)
SPAWNERS = [mpi for mpi in EVERY if str(mpi) not in NO_SPAWN]
#: One of each wire: PMI-1, PMIx.
TWO = [mpi for mpi in EVERY if str(mpi) in ("wheels-mpich-5.0.2", "wheels-openmpi-5.0.11")]


def named(mpis: list[Mpi]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("library", mpis, ids=str)


def spawn(lwkpm_run: LwkpmRun, images: dict[str, Image], mpi: Mpi, *words: str, ranks: int = 2) -> tuple[int, str, str]:
    command = (images[mpi.image].rootfs, mpi.program("spawn"), *words)
    done = lwkpm_run("-n", str(ranks), "-t", "50", *mpi.env, *command, timeout=90)
    return done.returncode, done.stdout, done.stderr


@named(SPAWNERS)
def test_children_form_a_world_with_a_parent(lwkpm_run: LwkpmRun, images: dict[str, Image], library: Mpi) -> None:
    status, out, err = spawn(lwkpm_run, images, library, "one", "3")
    assert status == 0, out + err
    assert sorted(CHILD.findall(out)) == [(str(n), "3", "0", "2", "two words", "5") for n in range(3)]
    assert re.search(r"^parents 2, universe \d+, sum 5$", out, re.MULTILINE), out


@named(SPAWNERS)
def test_spawn_multiple_numbers_its_parts(lwkpm_run: LwkpmRun, images: dict[str, Image], library: Mpi) -> None:
    status, out, err = spawn(lwkpm_run, images, library, "multiple")
    assert status == 0, out + err
    wanted = [("0", "3", "0", "2", "two words", "5"), *((str(n), "3", "1", "2", "a=b;c", "5") for n in (1, 2))]
    assert sorted(CHILD.findall(out)) == wanted


@named(TWO)
def test_a_missing_program_is_an_error_of_the_spawn_only(
    lwkpm_run: LwkpmRun, images: dict[str, Image], library: Mpi
) -> None:
    status, out, err = spawn(lwkpm_run, images, library, "program", "nosuch", ranks=1)
    assert status == 0, out + err
    assert "the spawn failed" in out
    assert "rank 0 could not spawn: no program 'nosuch'" in err


@named(TWO)
@pytest.mark.parametrize(("what", "code", "said"), [("abort", 9, "9"), ("exit", 7, "exited with status 7")])
def test_a_failing_child_ends_the_run_with_its_status(
    lwkpm_run: LwkpmRun, images: dict[str, Image], library: Mpi, what: str, code: int, said: str
) -> None:
    status, out, err = spawn(lwkpm_run, images, library, what)
    assert status == code, out + err
    assert "rank 0 of spawned job 1 (pid " in err
    assert said in err


@named(TWO)
def test_spawning_again_and_again(lwkpm_run: LwkpmRun, images: dict[str, Image], library: Mpi) -> None:
    status, out, err = spawn(lwkpm_run, images, library, "twice")
    assert status == 0, out + err
    assert len(CHILD.findall(out)) == 2


@named(TWO)
@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("wdir", "/tmp", "child in /tmp, "),
        ("env", "SPAWN_MARK=a b", "SPAWN_MARK a b,"),
        ("path", "/nowhere", "child in"),
    ],
)
def test_info_keys(
    lwkpm_run: LwkpmRun, images: dict[str, Image], library: Mpi, key: str, value: str, told: str
) -> None:
    status, out, err = spawn(lwkpm_run, images, library, "info", key, value)
    assert status == 0, out + err
    assert told in out


@pytest.mark.parametrize("key", ["lwkpm_image", "env"])
def test_children_in_another_image(lwkpm_run: LwkpmRun, images: dict[str, Image], key: str) -> None:
    mpi = next(mpi for mpi in TWO if mpi.family == ("mpich" if key == "lwkpm_image" else "openmpi"))
    source = images[mpi.image].sqfs  # the same content, but another container
    value = source if key == "lwkpm_image" else f"LWKPM_IMAGE={source}"
    status, out, err = spawn(lwkpm_run, images, mpi, "info", key, value)
    assert status == 0, out + err
    assert len(CHILD.findall(out)) == 1


@named(TWO)
def test_an_image_that_is_not_there_is_an_error_of_the_spawn_only(
    lwkpm_run: LwkpmRun, images: dict[str, Image], library: Mpi
) -> None:
    status, out, err = spawn(lwkpm_run, images, library, "info", "env", "LWKPM_IMAGE=/no/such.sqfs")
    assert status == 0, out + err
    assert "the spawn failed" in out
    assert "/no/such.sqfs" in err


@named([mpi for mpi in EVERY if str(mpi) not in NO_PORTS])
def test_two_worlds_meet_by_a_published_name(lwkpm_run: LwkpmRun, images: dict[str, Image], library: Mpi) -> None:
    part = (images[library.image].rootfs, library.program("connect"))
    parts = ("-n", "2", *part, "accept", "there", ":", "-n", "3", *part, "connect", "there")
    done = lwkpm_run("-t", "50", "--separate-worlds", *with_env(library, parts), timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(done.stdout.split("\n")) == ["", "accept: sum 5", "connect: sum 5"]


def with_env(mpi: Mpi, words: tuple[str, ...]) -> tuple[str, ...]:
    """The variables an MPI needs, before each part of the command line."""
    at = words.index(":") + 1
    return (*mpi.env, *words[:at], *mpi.env, *words[at:])


def two_rings(images: dict[str, Image]) -> tuple[str, ...]:
    one, other = (next(mpi for mpi in TWO if mpi.family == family) for family in ("mpich", "openmpi"))
    parts = [("-n", "2", images[mpi.image].rootfs, mpi.program("ring")) for mpi in (one, other)]
    return (*parts[0], ":", *parts[1])


def test_two_libraries_in_one_world_are_an_error(lwkpm_run: LwkpmRun, images: dict[str, Image]) -> None:
    done = lwkpm_run(*two_rings(images))
    assert done.returncode == 125
    assert "they cannot be one MPI world" in done.stderr
    assert "--separate-worlds" in done.stderr
    assert "LWKPM-E064" in done.stderr


def test_two_libraries_in_separate_worlds(lwkpm_run: LwkpmRun, images: dict[str, Image]) -> None:
    done = lwkpm_run("-l", "--separate-worlds", *two_rings(images))
    assert done.returncode == 0, done.stderr
    lines = sorted(done.stdout.splitlines())
    assert lines[0].startswith("[0] ring: 2 ranks, token 2, sum OK, library MPICH")
    assert lines[1].startswith("[1.0] ring: 2 ranks, token 2, sum OK, library Open MPI")
    assert len(lines) == 2
