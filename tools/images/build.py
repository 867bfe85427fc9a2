"""Makes images, or finds them already made: a build is keyed by its recipe, its programs and these tools."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tools.images.debian import bootstrap, installed_versions, pack
from tools.images.recipes import DEMO, TEST_RECIPES, Recipe, SuiteRecipe
from tools.images.sources import ROOT, programs
from tools.images.suite import add_suite
from tools.images.wheels import add_wheels

if TYPE_CHECKING:
    from collections.abc import Iterator

DEMO_DIR = ROOT / "build" / "images"
KEPT_BUILDS = 2  # of one name in the cache: two checkouts side by side do not evict each other


def cache_dir() -> Path:
    """Where test images live between runs; a root-owned cache must be readable by the ordinary test user."""
    given = os.environ.get("LWKPM_TEST_CACHE")
    if given:
        return Path(given)
    return Path("/var/cache/lwkpm-tests") if os.geteuid() == 0 else Path.home() / ".cache" / "lwkpm-tests"


def sources_of(recipe: Recipe) -> list[Path]:
    """The programs of an image: the demo and suites have the ring only."""
    return programs(with_tests=recipe is not DEMO and not isinstance(recipe, SuiteRecipe))


def recipe_key(recipe: Recipe) -> str:
    """12 hex digits over everything that decides the image's content."""
    digest = hashlib.sha256(repr(recipe).encode())
    names = ("debian.py", "sources.py", "wheels.py", *(["suite.py"] if isinstance(recipe, SuiteRecipe) else []))
    makers = [Path(__file__).with_name(name) for name in names]
    for path in (*sources_of(recipe), *makers):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One builder per image at a time, across processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def make_tree(recipe: Recipe, work: Path) -> Path:
    """The root tree at WORK/rootfs with all programs; build output goes to WORK/build.log."""
    root, log = work / "rootfs", work / "build.log"
    sources = sources_of(recipe)
    bootstrap(recipe, root, sources, log)
    add_wheels(recipe.wheels, root, sources, log)
    if isinstance(recipe, SuiteRecipe):
        add_suite(recipe, root, log)
    for path, text in recipe.scripts.items():
        script = root / path.lstrip("/")
        script.write_text(text)
        script.chmod(0o755)
    return root


def describe(recipe: Recipe, root: Path) -> list[dict[str, object]]:
    """The MPIs of an image as tests read them: name, family, version, dir, env."""
    entries: list[dict[str, object]] = [
        {"family": mpi.family, "version": mpi.version, "dir": mpi.prefix, "env": dict(mpi.env)} for mpi in recipe.wheels
    ]
    versions = installed_versions(root) if recipe.debian else {}
    entries += [
        {"family": mpi.family, "version": versions[mpi.package], "dir": mpi.prefix, "env": dict(mpi.env)}
        for mpi in recipe.debian
    ]
    return [{"name": f"{entry['family']}-{entry['version']}", **entry} for entry in entries]


def write_manifest(recipe: Recipe, root: Path, path: Path, started_s: float) -> None:
    """The JSON next to an image."""
    facts = {
        "name": recipe.name,
        "suite": recipe.suite,
        "key": recipe_key(recipe),
        "mpis": describe(recipe, root),
        "build_seconds": round(time.monotonic() - started_s, 1),
    }
    path.write_text(json.dumps(facts, indent=1) + "\n")


def build_test_image(name: str) -> Path:
    """The image's directory (rootfs/, image.sqfs, image.json), made when the cache has none."""
    recipe, cache = TEST_RECIPES[name], cache_dir()
    final = cache / f"{name}-{recipe_key(recipe)}"
    with locked(cache / f"{name}.lock"):
        if (final / "image.json").exists():
            return final
        started_s, work = time.monotonic(), cache / f"{name}.new"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        root = make_tree(recipe, work)
        pack(root, work / "image.sqfs", "zstd")
        write_manifest(recipe, root, work / "image.json", started_s)
        work.chmod(0o755)
        work.rename(final)
        evict(cache, name, final)
    return final


def evict(cache: Path, name: str, newest: Path) -> None:
    """Drop old builds of one image."""
    old = sorted(cache.glob(f"{name}-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in [path for path in old if path != newest][KEPT_BUILDS - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def build_demo() -> Path:
    """build/images/demo.sqfs, made again only when its recipe changed."""
    target, manifest = DEMO_DIR / "demo.sqfs", DEMO_DIR / "demo.json"
    with locked(DEMO_DIR / "demo.lock"):
        if target.exists() and manifest.exists() and json.loads(manifest.read_text())["key"] == recipe_key(DEMO):
            return target
        started_s, work = time.monotonic(), DEMO_DIR / "demo.new"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        root = make_tree(DEMO, work)
        for mpi in DEMO.wheels:
            place_demo_program(root, mpi.family, mpi.prefix)
        pack(root, work / "demo.sqfs", "lz4")
        write_manifest(DEMO, root, manifest, started_s)
        (work / "demo.sqfs").rename(target)
        shutil.rmtree(work)
    return target


def place_demo_program(root: Path, family: str, prefix: str) -> None:
    """A link in PATH; the RPATH follows the program, not the link."""
    link = root / "usr" / "local" / "bin" / f"ring-{family}"
    if not link.exists():
        link.symlink_to(f"{prefix}/bin/ring")
