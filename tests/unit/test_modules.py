"""The archive of compiled modules: used when it fits, never when it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.capabilities import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import sys
sys.dont_write_bytecode = {dont_write}
sys.path.insert(0, {place!r})
from lwkpm import modules
modules.install()
import lwkpm.errors, lwkpm.image.squashfs
modules.refresh()
for module in (lwkpm.errors, lwkpm.image, lwkpm.image.squashfs):
    print(type(module.__spec__.loader).__name__, module.__file__, getattr(module, "ADDED", ""))
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src" / "lwkpm", tmp_path / "lwkpm", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "lwkpm" / "__pycache__").mkdir()
    return tmp_path


def loaders(tree: Path, *, dont_write: bool = False) -> list[str]:
    """What loaded an ordinary module, a package and a module in it, from a tree in a new process."""
    code = PROGRAM.format(place=str(tree), dont_write=dont_write)
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[1] for row in rows] == [
        f"{tree}/lwkpm/{name}" for name in ("errors.py", "image/__init__.py", "image/squashfs.py")
    ]
    return [":".join((row[0], *row[2:])) for row in rows]


def archive(tree: Path) -> Path:
    (found,) = (tree / "lwkpm" / "__pycache__").glob("*.modules*")
    return found


def test_the_second_process_takes_all_from_the_archive(tree: Path) -> None:
    assert loaders(tree) == ["SourceFileLoader"] * 3
    written = archive(tree).stat().st_mtime_ns
    assert loaders(tree) == ["Archive"] * 3
    assert archive(tree).stat().st_mtime_ns == written


def test_an_edited_module_is_taken_from_its_source(tree: Path) -> None:
    loaders(tree)
    with (tree / "lwkpm" / "errors.py").open("a") as source:
        source.write("ADDED = 1\n")
    assert loaders(tree) == ["SourceFileLoader:1", "Archive", "Archive"]
    assert loaders(tree) == ["Archive:1", "Archive", "Archive"]


def test_a_removed_package_is_not_found_in_the_archive(tree: Path) -> None:
    loaders(tree)
    (tree / "lwkpm" / "image" / "squashfs.py").unlink()
    with pytest.raises(subprocess.CalledProcessError):
        loaders(tree)


@pytest.mark.parametrize("keep", [0, 7, 8, 100, -1])
def test_a_cut_archive_is_written_anew(tree: Path, keep: int) -> None:
    loaders(tree)
    archive(tree).write_bytes(archive(tree).read_bytes()[:keep])
    assert loaders(tree) == ["SourceFileLoader"] * 3
    assert loaders(tree) == ["Archive"] * 3


def test_nonsense_in_its_place_is_written_over(tree: Path) -> None:
    loaders(tree)
    archive(tree).write_bytes((200).to_bytes(8, "little") + os.urandom(5000))
    assert loaders(tree) == ["SourceFileLoader"] * 3
    assert loaders(tree) == ["Archive"] * 3


def test_an_archive_of_another_place_is_not_used(tree: Path, tmp_path: Path) -> None:
    loaders(tree)
    moved = tmp_path / "elsewhere"
    shutil.copytree(tree / "lwkpm", moved / "lwkpm")  # with the times of its files
    assert loaders(moved, dont_write=True) == ["SourceFileLoader"] * 3


def test_nothing_is_written_where_python_may_not_write_bytecode(tree: Path) -> None:
    loaders(tree, dont_write=True)
    assert not list((tree / "lwkpm" / "__pycache__").glob("*.modules*"))
