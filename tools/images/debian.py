"""Debian trees by mmdebstrap, for root and for an ordinary user alike, and squashfs files of them."""

from __future__ import annotations

import os
import subprocess
from shlex import quote
from typing import TYPE_CHECKING

from tools.images.recipes import DPKG_EXCLUDES, DebianMpi, Recipe
from tools.images.sources import CFLAGS

if TYPE_CHECKING:
    from pathlib import Path

VERSIONS_FILE = "opt/versions"  # "PACKAGE VERSION" lines, written inside the tree


def compile_hooks(recipe: Recipe, programs: list[Path]) -> list[str]:
    """Shell hooks that compile the programs inside the tree, note the versions and remove the compiler again."""
    hooks = ['mkdir -p "$1/opt/src"', f'cp {" ".join(quote(str(path)) for path in programs)} "$1/opt/src/"']
    hooks += [compile_hook(mpi, programs) for mpi in recipe.debian]
    packages = " ".join(mpi.package for mpi in recipe.debian)
    show = "dpkg-query --show --showformat='${Package} ${Version}\\n' " + packages
    hooks.append(f'chroot "$1" {show} >"$1/{VERSIONS_FILE}"')
    hooks.append(f'chroot "$1" apt-mark auto {" ".join(recipe.build_packages)} >/dev/null')
    hooks.append('chroot "$1" apt-get -y -q purge --autoremove gcc libc6-dev')
    hooks.append('rm -rf "$1/opt/src"')
    return hooks


def compile_hook(mpi: DebianMpi, programs: list[Path]) -> str:
    """One hook for one MPI: all programs to PREFIX/bin."""
    flags = " ".join(CFLAGS)
    steps = [f"mkdir -p {mpi.prefix}/bin"]
    steps += [f"{mpi.compiler} {flags} -o {mpi.prefix}/bin/{path.stem} /opt/src/{path.name}" for path in programs]
    return f'chroot "$1" sh -c {quote("set -e; " + "; ".join(steps))}'


def bootstrap(recipe: Recipe, root: Path, programs: list[Path], log: Path) -> None:
    """Make the tree at `root`. Through tar, because an ordinary user cannot own a tree that mmdebstrap leaves."""
    command = ["mmdebstrap", "--variant=minbase", "--format=tar", '--aptopt=Acquire::Retries "3"']
    command += [f"--dpkgopt=path-exclude={path}" for path in DPKG_EXCLUDES]
    command += [f"--aptopt={option}" for option in recipe.apt_options]
    packages = (*recipe.packages, *recipe.build_packages)
    command += [f"--include={','.join(packages)}"] if packages else []
    if recipe.debian:
        command += [f"--customize-hook={hook}" for hook in compile_hooks(recipe, programs)]
    root.mkdir(parents=True)
    with log.open("ab") as stream:
        maker = subprocess.Popen([*command, recipe.suite, "-"], stdout=subprocess.PIPE, stderr=stream)
        unpack = subprocess.run(
            ["tar", "-x", "-C", str(root), "--exclude=./dev/*"], stdin=maker.stdout, stderr=stream, check=False
        )
    if maker.wait() != 0 or unpack.returncode != 0:
        raise SystemExit(f"image {recipe.name}: mmdebstrap failed, its log is {log}")
    # mmdebstrap copies the building machine's; a container gets its own from the launcher or has none.
    (root / "etc" / "resolv.conf").write_text("")
    (root / "etc" / "hostname").write_text("container\n")


def installed_versions(root: Path) -> dict[str, str]:
    """Upstream versions by package name, for example ``{"mpich": "4.0.2"}``."""
    lines = (root / VERSIONS_FILE).read_text().splitlines()
    return {name: upstream_version(full) for name, full in (line.split() for line in lines)}


def upstream_version(full: str) -> str:
    """``1:5.0.7+ds-3`` is version 5.0.7."""
    return full.rpartition(":")[2].partition("-")[0].partition("+")[0].replace("~", "")


#: How mksquashfs compresses. Each launch mounts the image anew and reads its first pages again: lz4 takes 2 ms less of
#: a launch than zstd, and a tenth more room.
COMPRESSION = {"zstd": ("-comp", "zstd", "-Xcompression-level", "3"), "lz4": ("-comp", "lz4", "-Xhc")}


def pack(root: Path, target: Path, kind: str) -> None:
    """A squashfs of the tree, compressed by `kind`; every file is root's, whoever built it."""
    owner = [] if os.geteuid() == 0 else ["-all-root"]
    compression = COMPRESSION[kind]
    subprocess.run(
        ["mksquashfs", str(root), str(target), "-noappend", "-quiet", "-no-progress", *compression, *owner], check=True
    )
