"""Both sides of every run beside each other, what differs between them, and the data file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tools.mpi4py_suite.collect import GOOD, Outcomes

OK, FLAKY, WORSE, SAME, BETTER = "ok", "flaky", "worse", "fails too", "only own fails"


@dataclass
class Pair:
    """One MPI at one number of ranks on both sides; `retries` are the further outcomes of tests worse under ours."""

    mpi: str
    ranks: int
    own: Outcomes
    ours: Outcomes
    retries: dict[str, list[str]] = field(default_factory=dict)

    def suspects(self) -> list[str]:
        """Tests that fail under lwkpm-run and not under the own launcher."""
        own = self.own.bad()
        return [test for test in self.ours.bad() if test not in own]

    def verdict(self, test: str) -> str:
        """What a test that is not ok on both sides amounts to."""
        if test not in self.ours.bad():
            return BETTER
        if test in self.own.bad():
            return SAME
        return FLAKY if any(outcome in GOOD for outcome in self.retries.get(test, [])) else WORSE

    def worse(self) -> list[str]:
        """The tests for which this comparison fails."""
        return [test for test in self.suspects() if self.verdict(test) == WORSE]

    def rows(self) -> list[dict[str, Any]]:
        """Data of every test that is not ok or skipped on both sides."""
        return [self.row(test) for test in sorted({**self.own.bad(), **self.ours.bad()})]

    def row(self, test: str) -> dict[str, Any]:
        """Data of one test."""
        own, ours = (side.tests.get(test, ("absent", "")) for side in (self.own, self.ours))
        facts: dict[str, Any] = {
            "mpi": self.mpi,
            "ranks": self.ranks,
            "test": test,
            "own": own[0],
            "lwkpm": ours[0],
            "verdict": self.verdict(test),
            "text": ours[1] or own[1],
        }
        return {**facts, "retries": self.retries[test]} if test in self.retries else facts

    def summary(self) -> dict[str, Any]:
        """Data of the whole run."""
        facts: dict[str, Any] = {"mpi": self.mpi, "ranks": self.ranks, "library": self.ours.library or self.own.library}
        for name, side in (("own", self.own), ("lwkpm", self.ours)):
            facts[name] = {"counts": side.counts(), "launches": side.launches, "seconds": round(side.seconds, 1)}
        return facts


def modules_of(tests: list[str]) -> tuple[str, ...]:
    """The modules of test ids: what is run again to see whether a failure comes back."""
    return tuple(dict.fromkeys(test.partition(".")[0] for test in tests))


def table(pairs: list[Pair]) -> str:
    """The side-by-side report."""
    lines = [
        "| MPI | ranks | own launcher | s | lwkpm-run | s | worse |",
        "|---|---:|---|---:|---|---:|---:|",
    ]
    lines += [
        f"| {pair.mpi} | {pair.ranks} | {shown(pair.own)} | {pair.own.seconds:.0f} | {shown(pair.ours)} "
        f"| {pair.ours.seconds:.0f} | {len(pair.worse())} |"
        for pair in pairs
    ]
    rows = [row for pair in pairs for row in pair.rows()]
    if rows:
        lines += ["", "| MPI | ranks | test | own launcher | lwkpm-run | verdict |", "|---|---:|---|---|---|---|"]
    lines += [
        f"| {row['mpi']} | {row['ranks']} | {row['test']} | {row['own']} | {row['lwkpm']} | {row['verdict']} |"
        for row in rows
    ]
    return "\n".join(lines)


def shown(side: Outcomes) -> str:
    """``1800 ok, 20 skip``."""
    return ", ".join(f"{count} {outcome}" for outcome, count in reversed(side.counts().items())) or "nothing ran"
