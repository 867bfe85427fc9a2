"""What the site does not allow: user namespaces, loop devices and FUSE, directories of others."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.container.test_bad_input import check
from tests.sifwriter import EXT3, write_sif

if TYPE_CHECKING:
    from tests.container.place import Place

HERE = Path(__file__).parent
# A limit of the caller's own user namespace, so that the machine's stays as it is; then without its capabilities.
NO_MORE = 'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --inh-caps=-all --ambient-caps=-all -- "$@"'
WAYS = {
    "limit": ("unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", NO_MORE, "sh"),
    "seccomp": ("/usr/bin/python3", HERE / "without_unshare.py"),
}


@pytest.mark.needs("user_namespaces")
@pytest.mark.parametrize(("way", "said"), [("limit", "max_user_namespaces is 0"), ("seccomp", "seccomp=unconfined")])
def test_user_namespaces_are_blocked(place: Place, way: str, said: str) -> None:
    done = place.run("-n", "2", place.image, "true", user=True, prefix=WAYS[way])
    check(place, done, 125, said)
    assert "LWKPM-E032" in done.stderr
    assert done.stderr.count("lwkpm: error:") == 1


@pytest.mark.needs("user_namespaces")
@pytest.mark.parametrize("way", sorted(WAYS))
def test_without_a_container_no_namespace_is_needed(place: Place, way: str) -> None:
    done = place.run("-n", "2", "host://", "echo", "there", user=True, prefix=WAYS[way])
    assert (done.returncode, done.stdout) == (0, "there\nthere\n"), done.stderr


def image_of(place: Place, kind: str) -> str:
    return str(place.image) if kind == "image" else kind


@pytest.mark.parametrize("kind", ["image", "host://"])
def test_current_directory_was_removed(place: Place, as_ordinary_user: bool, kind: str) -> None:
    leave = ("sh", "-c", 'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@"', place.path / "gone")
    done = place.run("-n", "2", image_of(place, kind), "pwd", user=as_ordinary_user, prefix=leave)
    check(place, done, 126, "no longer exists")
    done = place.run("-n", "2", "-w", "/", image_of(place, kind), "pwd", user=as_ordinary_user, prefix=leave)
    assert (done.returncode, done.stdout) == (0, "/\n/\n"), done.stderr
    check(place, place.run("-n", "1", "./demo.sqfs", "pwd", user=as_ordinary_user, prefix=leave), 127, "./demo.sqfs")


@pytest.mark.needs("root", "user_namespaces")
@pytest.mark.parametrize("kind", ["image", "host://"])
@pytest.mark.parametrize("inner", ["", "inner"], ids=["itself", "above"])
def test_current_directory_of_somebody_else(place: Place, kind: str, inner: str) -> None:
    closed = place.path / "closed"
    (closed / inner).mkdir(parents=True)
    closed.chmod(0o700)
    where = closed / inner
    check(place, place.run("-n", "2", image_of(place, kind), "pwd", user=True, cwd=where), 126, str(where))
    done = place.run("-n", "1", "-w", where, image_of(place, kind), "pwd", user=True)
    check(place, done, 126, str(where))
    done = place.run("-n", "1", "-w", "/", image_of(place, kind), "pwd", user=True, cwd=where)
    assert (done.returncode, done.stdout) == (0, "/\n"), done.stderr


@pytest.mark.needs("root", "user_namespaces")
def test_current_directory_that_can_only_be_read(place: Place) -> None:
    where = place.path / "fixed"
    where.mkdir(mode=0o755)
    script = "pwd; : >file || exit 9"
    done = place.run("-n", "1", place.image, "sh", "-c", script, user=True, cwd=where)
    # dash ends with 2 at once when it cannot open a file of a special built-in
    assert (done.returncode, done.stdout) == (2, f"{where}\n"), done.stderr
    assert "Permission denied" in done.stderr
    check(place, place.run("-n", "1", "--outfile", "o.%r", place.image, "pwd", user=True, cwd=where), 125, "o.0")


def test_directory_that_the_image_hides_gives_way_to_home(place: Place) -> None:
    assert place.run("-n", "1", place.image, "pwd", user=False, cwd="/usr/share").stdout.strip() == os.environ["HOME"]


@pytest.mark.needs("user_namespaces")
def test_ext3_is_for_root(place: Place) -> None:
    tree = place.path / "empty"
    tree.mkdir()
    payload = place.path / "tree.ext3"
    subprocess.run(["mke2fs", "-q", "-t", "ext3", "-d", str(tree), str(payload), "4M"], check=True)
    image = write_sif(place.path / "ext3.sif", payload, fs=EXT3)
    check(place, place.run("-n", "1", image, "true", user=True), 125, "only root can mount")
