"""The outcome of every test on one side: a test that crashes or hangs is noted, and the rest runs without it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tools.mpi4py_suite.launch import Attempt, Order, Target, launch

if TYPE_CHECKING:
    from collections.abc import Iterable

SEVERITY = ("skip", "ok", "fail", "error", "crash", "hang", "not run")
GOOD = ("skip", "ok")
MOST_LAUNCHES = 40
AT_START, AT_END = "(start)", "(end)"  # stand for a test's name where no test was running


@dataclass
class Outcomes:
    """Test id -> (outcome, text) of one side, the launches it took and their seconds."""

    tests: dict[str, tuple[str, str]] = field(default_factory=dict)
    launches: int = 0
    seconds: float = 0.0
    library: str = ""

    def note(self, test: str, outcome: str, text: str) -> None:
        """The worst outcome of any rank is a test's."""
        known = self.tests.get(test)
        if known is None or SEVERITY.index(outcome) > SEVERITY.index(known[0]):
            self.tests[test] = (outcome, text if outcome not in GOOD else "")

    def counts(self) -> dict[str, int]:
        """Outcome -> number of tests, without zeros."""
        found = [outcome for outcome, _ in self.tests.values()]
        return {outcome: found.count(outcome) for outcome in SEVERITY if outcome in found}

    def bad(self) -> dict[str, tuple[str, str]]:
        """What is neither ok nor skipped."""
        return {test: outcome for test, outcome in self.tests.items() if outcome[0] not in GOOD}


def sequence(log: Iterable[dict[str, Any]]) -> list[str]:
    """Test ids in the order in which a rank began them."""
    return [str(entry["start"]) for entry in log if "start" in entry]


def unfinished(log: list[dict[str, Any]]) -> str:
    """The test a rank was in; empty when it was in none."""
    last = log[-1] if log else {}
    return str(last.get("start", ""))


def culprit(attempt: Attempt) -> str:
    """The earliest test that some rank did not come out of: others may only have waited for that rank."""
    longest = max((sequence(log) for log in attempt.logs), key=len)
    inside = {unfinished(log) for log in attempt.logs} - {""}
    return next((test for test in longest if test in inside), AT_END if longest else AT_START)


def take(outcomes: Outcomes, attempt: Attempt, stop_at: str) -> None:
    """Note what every rank finished, up to the test `stop_at`: what came after it is run again."""
    for log in attempt.logs:
        outcomes.library = outcomes.library or next((str(e["library"]) for e in log if "library" in e), "")
        for entry in log:
            if stop_at and stop_at in (entry.get("start"), entry.get("end")):
                break
            if "end" in entry:
                outcomes.note(str(entry["end"]), str(entry["outcome"]), str(entry["text"]))


def collect(side: str, target: Target, ranks: int, order: Order, idle_s: float) -> Outcomes:
    """All tests of the order on one side."""
    outcomes = Outcomes()
    while outcomes.launches < MOST_LAUNCHES:
        attempt = launch(side, target, ranks, replace(order, skip=tuple(outcomes.tests)), idle_s)
        outcomes.launches += 1
        outcomes.seconds += attempt.seconds
        blame = culprit(attempt) if attempt.ended != "ended" else ""
        take(outcomes, attempt, blame)
        if not blame:
            return outcomes
        outcomes.note(blame, attempt.ended, attempt.text)
        if blame in (AT_START, AT_END):
            return outcomes
    outcomes.note(AT_END, "not run", f"given up after {MOST_LAUNCHES} launches")
    return outcomes
