"""An ordinary user with neither loop devices nor FUSE: the image is unpacked once, and never used half."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.container.place import finish, wait_until
from tests.container.test_bad_input import check
from tests.sifwriter import write_sif

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.container.place import Place, Process

pytestmark = pytest.mark.needs("user_namespaces", "mksquashfs")

# The tree's first directories, as after a moment, and then nothing until it is killed.
STUCK = """#!/bin/sh
while [ "$1" != -d ]; do shift; done
/bin/mkdir -p "$2/usr/bin" "$2/etc"
/bin/chmod 555 "$2/usr"
exec /bin/sleep 60
"""
COUNTED = """#!/bin/sh
echo once >>"${0%/*}/count"
exec /usr/bin/unsquashfs "$@"
"""


class Site:
    """A user's cache, and a PATH with unsquashfs and without squashfuse."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.tools = place.path / "tools"
        self.tools.mkdir()
        self.tools.chmod(0o777)
        self.cache = place.path / "cache"
        self.unpacked = self.cache / "unpacked"

    def install(self, script: str) -> None:
        """An unsquashfs of ours."""
        path = self.tools / "unsquashfs"
        path.write_text(script)
        path.chmod(0o755)

    def start(self, *args: str | Path) -> Process:
        prefix = ("env", f"PATH={self.tools}:/{self.place.mark}", f"LWKPM_CACHE={self.cache}")
        return self.place.start(*args, user=True, prefix=prefix)

    def run(self, *args: str | Path) -> subprocess.CompletedProcess[str]:
        return finish(self.start(*args))

    def copies(self) -> list[Path]:
        """What the cache holds besides locks."""
        return [path for path in self.unpacked.glob("*") if path.suffix != ".lock"]


@pytest.fixture
def site(place: Place) -> Iterator[Site]:
    """One user's machine."""
    made = Site(place)
    made.install(COUNTED)
    yield made
    for folder in (path for path in made.unpacked.rglob("*") if path.is_dir() and not path.is_symlink()):
        folder.chmod(0o700)


@pytest.mark.parametrize("kind", ["squashfs", "sif"])
def test_an_image_is_unpacked_once(site: Site, kind: str) -> None:
    place = site.place
    image = place.image if kind == "squashfs" else write_sif(place.path / "demo.sif", place.image)
    done = site.run("-n", "4", image, "ring-mpich")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ring: 4 ranks, token 4, sum OK, library MPICH Version: 5")
    copy = [path.stat().st_ino for path in site.copies()]
    assert len(copy) == 1
    (site.tools / "unsquashfs").unlink()
    again = site.run("-n", "4", image, "ring-mpich")
    assert (again.returncode, again.stdout) == (0, done.stdout), again.stderr
    assert [path.stat().st_ino for path in site.copies()] == copy
    place.assert_clean()


def test_two_jobs_at_once_unpack_once(site: Site) -> None:
    jobs = [site.start("-n", "2", site.place.image, "ring-mpich") for _ in range(2)]
    assert [finish(job).returncode for job in jobs] == [0, 0]
    assert (site.tools / "count").read_text().split() == ["once"]
    assert len(site.copies()) == 1


def test_another_file_of_the_same_name_is_unpacked_anew(site: Site) -> None:
    place = site.place
    host_programs = [word for tree in ("/bin", "/lib", "/lib64", "/usr") for word in ("-B", tree)]
    show: list[str | Path] = ["-n", "1", *host_programs, place.image, "cat", "/file"]
    for text in ("first\n", "second\n"):
        tree = place.path / "tree"
        (tree / "bin").mkdir(parents=True)
        (tree / "file").write_text(text)
        place.image.unlink()
        subprocess.run(["mksquashfs", str(tree), str(place.image), "-quiet", "-no-progress"], check=True)
        shutil.rmtree(tree)
        done = site.run(*show)
        assert (done.returncode, done.stdout) == (0, text), done.stderr
    assert len(site.copies()) == 2


def test_killed_while_unpacking(site: Site) -> None:
    site.install(STUCK)
    job = site.start("-n", "1", site.place.image, "true")
    assert wait_until(lambda: any((path / "usr").exists() for path in site.copies()))
    job.kill()
    finish(job)
    assert wait_until(lambda: not site.place.pids()), "unsquashfs outlived lwkpm-run"
    assert [path.suffix for path in site.copies()] == [".part"]
    site.install(COUNTED)
    done = site.run("-n", "2", site.place.image, "ring-mpich")
    assert done.returncode == 0, done.stderr
    assert [path.suffix for path in site.copies()] == [""]
    site.place.assert_clean()


def test_unsquashfs_fails(site: Site) -> None:
    site.install('#!/bin/sh\necho "Write on output file failed" >&2; echo "FATAL ERROR: writer" >&2; exit 1\n')
    done = site.run("-n", "1", site.place.image, "true")
    check(site.place, done, 125, "Write on output file failed; FATAL ERROR: writer")
    assert "LWKPM-E038" in done.stderr
    assert site.copies() == []


def test_no_unsquashfs(site: Site) -> None:
    (site.tools / "unsquashfs").unlink()
    check(site.place, site.run("-n", "1", site.place.image, "true"), 125, "install squashfs-tools")


@pytest.mark.needs("root")
def test_cache_is_full(site: Site) -> None:
    site.cache.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20M,mode=1777", "tmpfs", str(site.cache)], check=True)
    try:
        done = site.run("-n", "1", site.place.image, "true")
        left = site.copies()
    finally:
        subprocess.run(["umount", str(site.cache)], check=True)
    check(site.place, done, 125, "No space left on device")
    assert left == []


def test_cache_cannot_be_made(site: Site) -> None:
    os.chmod(site.place.path, 0o755)
    check(site.place, site.run("-n", "1", site.place.image, "true"), 125, "LWKPM_CACHE")
