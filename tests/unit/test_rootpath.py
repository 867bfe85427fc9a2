from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lwkpm.image.rootpath import open_in_root, read_in_root, resolve_in_root, resolve_inside


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A tree with usr/lib/a.txt inside, and a file 'secret' beside the tree."""
    tree = tmp_path / "root"
    (tree / "usr" / "lib").mkdir(parents=True)
    (tree / "usr" / "lib" / "a.txt").write_text("inside")
    (tree / "secret").write_text("the image's own")
    (tmp_path / "secret").write_text("outside")
    return str(tree)


def link(root: str, name: str, target: str) -> None:
    os.symlink(target, f"{root}/{name}")


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("/usr/lib/a.txt", "/usr/lib/a.txt"),
        ("usr//lib/./a.txt", "/usr/lib/a.txt"),
        ("/usr/lib/../lib/a.txt", "/usr/lib/a.txt"),
        ("/../../../../secret", "/secret"),
        ("/", "/"),
        ("..", "/"),
        ("", "/"),
    ],
)
def test_plain_paths(root: str, path: str, inside: str) -> None:
    assert resolve_inside(root, path) == inside
    assert resolve_in_root(root + "/", path) == root + inside


@pytest.mark.parametrize(
    "target",
    ["/usr/lib", "usr/lib", "../../../usr/lib", "/usr/../usr/lib/", "./usr/./lib", "//usr/lib"],
)
def test_links_stay_inside(root: str, target: str) -> None:
    link(root, "lib", target)
    assert resolve_inside(root, "/lib/a.txt") == "/usr/lib/a.txt"
    assert read_in_root(root, "/lib/a.txt", 100) == b"inside"


@pytest.mark.parametrize("target", ["../secret", "/secret", "../../../../../../secret"])
def test_escapes_end_at_the_root(root: str, target: str) -> None:
    link(root, "out", target)
    assert read_in_root(root, "/out", 100) == b"the image's own"


def test_host_files_are_not_reached_by_absolute_links(root: str) -> None:
    link(root, "passwd", "/etc/passwd")
    with pytest.raises(FileNotFoundError):
        resolve_inside(root, "/passwd")


@pytest.mark.parametrize(("name", "target"), [("a", "a"), ("a", "/a/b"), ("a", "./a"), ("a", "../a/x")])
def test_loops_end(root: str, name: str, target: str) -> None:
    link(root, name, target)
    with pytest.raises(OSError, match="symbolic links") as caught:
        resolve_inside(root, "/" + name)
    assert caught.value.errno == errno.ELOOP


def test_links_that_grow_end(root: str) -> None:
    link(root, "bomb", "/".join(["bomb"] * 400))
    with pytest.raises(OSError, match=r"symbolic links|too long"):
        resolve_inside(root, "/bomb")


@pytest.mark.parametrize(
    ("path", "code"),
    [("/nothing", errno.ENOENT), ("/usr/lib/a.txt/b", errno.ENOTDIR), ("/usr/lib/a.txt/../a.txt", errno.ENOTDIR)],
)
def test_errors_are_those_of_open(root: str, path: str, code: int) -> None:
    with pytest.raises(OSError, match=path) as caught:
        resolve_inside(root, path)
    assert caught.value.errno == code


def test_only_regular_files_are_opened(root: str) -> None:
    os.mkfifo(f"{root}/fifo")
    for path in ("/fifo", "/usr", "/"):
        with pytest.raises(OSError, match=path):
            open_in_root(root, path)


def test_a_link_put_there_meanwhile_is_not_followed(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a.txt").write_text("outside")

    def swap(_root: str, _path: str) -> str:
        os.rename(f"{root}/usr", f"{root}/was")
        link(root, "usr", str(tmp_path))
        return "/usr/lib/a.txt"

    monkeypatch.setattr("lwkpm.image.rootpath.resolve_inside", swap)
    with pytest.raises(OSError, match="usr"):
        open_in_root(root, "/usr/lib/a.txt")


def test_descriptors_are_closed(root: str) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    read_in_root(root, "/usr/lib/a.txt", 3)
    for path in ("/usr/lib", "/nothing"):
        with pytest.raises(OSError, match=path):
            open_in_root(root, path)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_the_root_may_be_a_link_of_proc() -> None:
    inside = f"/proc/{os.getpid()}/root"
    assert read_in_root(inside, "/etc/passwd", 5) == Path("/etc/passwd").read_bytes()[:5]
