"""``python -m tools.mpi4py_suite``: mpi4py's test suite under lwkpm-run and under each MPI's own launcher.

Exit status 1 when a test fails under lwkpm-run that does not fail under the own launcher, three times in a row.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.bench_cases import chrooted
from tools.images.build import build_test_image, cache_dir
from tools.images.recipes import MPI4PY
from tools.images.sources import ROOT
from tools.mpi4py_suite.collect import AT_END, AT_START, Outcomes, collect
from tools.mpi4py_suite.compare import Pair, modules_of, table
from tools.mpi4py_suite.launch import DONOR, MARK, PREFIX, RECORDER, TESTS, Order, Target, end_all

if TYPE_CHECKING:
    from collections.abc import Iterator

LAUNCH = Path(__file__).with_name("launch.py")
RANKS = (1, 2, 4)
RETRIES = 2
# Inside of the chroot's mount namespace; /etc/hosts as lwkpm has it: one test looks up its own host's name.
PREPARE = """set -e
mount -t tmpfs tmpfs /dev/shm
cat >/dev/shm/.hosts
[ -e /etc/hosts ] || touch /etc/hosts
mount --bind /dev/shm/.hosts /etc/hosts
"""
BUILT = ROOT / "build" / "mpi4py-outcomes.json"
KEPT = ROOT / "tests" / "mpi4py" / "outcomes.json"


def targets(folder: Path, stack: ExitStack, wanted: list[str]) -> Iterator[Target]:
    """The MPIs of the image; the own launchers work in a chroot with a /dev/shm and an /etc/hosts of their own."""
    root = folder / "rootfs"
    enter = stack.enter_context(chrooted(root))
    subprocess.run([*enter, "sh", "-c", PREPARE], input=Path("/etc/hosts").read_bytes(), check=True)
    for mpi in json.loads((folder / "image.json").read_text())["mpis"]:
        if mpi["name"] != DONOR and (not wanted or any(word in mpi["name"] for word in wanted)):
            yield Target(mpi["name"], mpi["family"], mpi["dir"], mpi["env"], str(root), enter)


def modules(folder: Path, pattern: str) -> tuple[str, ...]:
    """The test modules whose name matches."""
    found = sorted(path.stem for path in (folder / "rootfs" / TESTS.lstrip("/")).glob("test_*.py"))
    return tuple(name for name in found if re.search(pattern, name))


def own_outcomes(folder: Path, target: Target, ranks: int, order: Order, given: argparse.Namespace) -> Outcomes:
    """Of the own launcher, kept beside the image: they change only with it."""
    settings = sha256(b"".join(path.read_bytes() for path in (LAUNCH, RECORDER))).hexdigest()[:8]
    name = f"{target.name}-{ranks}{'-numpy' * order.numpy}-{settings}.json"
    kept = cache_dir() / "own-launchers" / folder.name / name
    whole = not given.modules and not given.exclude
    if whole and not given.fresh and kept.exists():
        return Outcomes(**{**(facts := json.loads(kept.read_text())), "tests": pairs_of(facts["tests"])})
    outcomes = collect("own", target, ranks, order, given.idle)
    if whole:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(asdict(outcomes)))
    return outcomes


def pairs_of(tests: dict[str, list[str]]) -> dict[str, tuple[str, str]]:
    """JSON has no tuples."""
    return {test: (outcome, text) for test, (outcome, text) in tests.items()}


def run_pair(folder: Path, target: Target, ranks: int, order: Order, given: argparse.Namespace) -> Pair:
    """Both sides, and again what is worse under ours."""
    own = own_outcomes(folder, target, ranks, order, given)
    say(target, ranks, "own launcher", own)
    if given.own_only:
        return Pair(target.name, ranks, own, own)
    ours = collect("lwkpm", target, ranks, order, given.idle)
    say(target, ranks, "lwkpm-run", ours)
    pair = Pair(target.name, ranks, own, ours)
    for _ in range(RETRIES):
        retry(pair, target, order, given.idle)
    return pair


def retry(pair: Pair, target: Target, order: Order, idle_s: float) -> None:
    """Run the modules of what is still worse once more under lwkpm-run."""
    tests = pair.worse()
    if not tests:
        return
    again = order.modules if {AT_START, AT_END} & set(tests) else modules_of(tests)
    found = collect("lwkpm", target, pair.ranks, Order(again, numpy=order.numpy), idle_s)
    for test in tests:
        absent = ("ok", "") if test in (AT_START, AT_END) else ("not run", "")
        pair.retries.setdefault(test, []).append(found.tests.get(test, absent)[0])


def say(target: Target, ranks: int, side: str, outcomes: Outcomes) -> None:
    """Progress, on stderr."""
    print(
        time.strftime("%T"),
        f"{target.name} -n {ranks} {side}: {outcomes.counts()} in {outcomes.seconds:.0f} s",
        file=sys.stderr,
    )


def report(pairs: list[Pair]) -> dict[str, Any]:
    """The data file's content: everything that is not ok or skipped, and counts."""
    return {
        "date": dt.datetime.now(tz=dt.timezone.utc).date().isoformat(),
        "suite": MPI4PY.suite_package,
        "cores": len(os.sched_getaffinity(0)),
        "runs": [pair.summary() for pair in pairs],
        "not_ok": [row for pair in pairs for row in pair.rows()],
    }


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`new` with what `old` knows of the runs that `new` has not."""
    done = {(run["mpi"], run["ranks"]) for run in new["runs"]}
    kept = {part: [one for one in old[part] if (one["mpi"], one["ranks"]) not in done] for part in ("runs", "not_ok")}
    both = {part: sorted(kept[part] + new[part], key=lambda one: one["ranks"]) for part in kept}
    return {**new, **both}


def write(path: Path, content: dict[str, Any]) -> None:
    """The data file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def parse_arguments(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="mpi4py_suite", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mpi", action="append", default=[], metavar="NAME", help="part of a name, e.g. mpich-5")
    parser.add_argument("-n", "--ranks", type=int, action="append", metavar="N", help="default: 1, 2 and 4")
    parser.add_argument("--modules", default="", metavar="REGEX", help="e.g. ^test_spawn")
    parser.add_argument("--exclude", default="", metavar="REGEX", help="modules to leave out")
    parser.add_argument("--numpy", action="store_true", help="arrays of NumPy as well (twice as long)")
    parser.add_argument("--own-only", action="store_true", help="only the own launchers")
    parser.add_argument("--fresh", action="store_true", help="run the own launchers although their outcomes are kept")
    parser.add_argument("--idle", type=float, default=60, metavar="S", help="hung after S s without a step (60)")
    parser.add_argument("--jobs", type=int, default=2, metavar="J", help="launches at the same time (2)")
    parser.add_argument("--json", type=Path, metavar="FILE", default=BUILT, help="data file (in build/)")
    parser.add_argument("--keep", action="store_true", help=f"put the outcomes into {KEPT.relative_to(ROOT)}")
    given = parser.parse_args(words)
    if given.keep and (given.modules or given.exclude or given.own_only):
        parser.error("--keep wants whole runs: without --modules, --exclude and --own-only")
    return given


def main(words: list[str]) -> int:
    """0, or 1 when lwkpm-run is worse anywhere."""
    given = parse_arguments(words)
    os.environ[MARK] = PREFIX
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end_all)
    folder = build_test_image("mpi4py")
    names = modules(folder, given.modules)
    if given.exclude:
        names = tuple(name for name in names if not re.search(given.exclude, name))
    order = Order(names, numpy=given.numpy)
    with ExitStack() as stack, ThreadPoolExecutor(given.jobs) as pool:
        found = list(targets(folder, stack, given.mpi))
        chosen = [(target, ranks) for ranks in given.ranks or RANKS for target in found]
        pairs = list(pool.map(lambda one: run_pair(folder, one[0], one[1], order, given), chosen))
    print(table(pairs))
    write(given.json, report(pairs))
    if given.keep:
        write(KEPT, merged(json.loads(KEPT.read_text()), report(pairs)))
    return 1 if any(pair.worse() for pair in pairs) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
