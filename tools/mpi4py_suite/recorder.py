"""One rank: runs mpi4py's tests by mpi4py's own test/main.py and writes what became of each, line by line.

Copied beside the order and started inside an image: ``python3 recorder.py ORDER.json``. Nothing of this project can be
imported here. The order: {"tests": directory, "modules": [names], "skip": [test ids], "numpy": bool}. Written, as
``rank-RANK.jsonl`` beside it: {"start": id}, {"end": id, "outcome": ..., "text": ...}, at last {"done": tests}. The
exit status is 0 whatever the tests say: a launcher would kill the other ranks, and their outcomes would be lost.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import unittest
from typing import Any

TEXT_LENGTH = 300


class Recorder(unittest.TestResult):
    """A result that writes every step to a file before the next one."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.stream = open(path, "w", encoding="utf-8")  # noqa: SIM115
        self.outcome, self.text, self.started_s = "", "", 0.0

    def write(self, **entry: object) -> None:
        self.stream.write(json.dumps(entry) + "\n")
        self.stream.flush()

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        self.outcome, self.text, self.started_s = "ok", "", time.monotonic()
        self.write(start=test.id())
        super().startTest(test)

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        seconds = round(time.monotonic() - self.started_s, 3)
        self.write(end=test.id(), outcome=self.outcome, text=self.text, s=seconds)
        super().stopTest(test)

    def note(self, test: object, outcome: str, error: Any) -> None:
        """The first bad thing of a test counts; fixtures of classes and modules fail outside of any test."""
        kind, value = error[0], error[1]
        text = f"{kind.__name__}: {value}".replace("\n", " ")[:TEXT_LENGTH]
        if not isinstance(test, unittest.TestCase):
            self.write(start=str(test))
            self.write(end=str(test), outcome=outcome, text=text, s=0.0)
        elif self.outcome in ("ok", "skip"):
            self.outcome, self.text = outcome, text

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        self.note(test, "error", err)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        self.note(test, "fail", err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:  # noqa: ARG002, N802
        if err is not None:
            self.note(test, "fail" if issubclass(err[0], test.failureException) else "error", err)

    def addSkip(self, test: object, reason: str) -> None:  # noqa: N802
        if isinstance(test, unittest.TestCase) and self.outcome == "ok":
            self.outcome, self.text = "skip", reason[:TEXT_LENGTH]

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: ARG002, N802
        self.outcome, self.text = "fail", "unexpected success"


def flatten(tests: Any, skip: set[str]) -> list[unittest.TestCase]:
    """All test cases in their order, without those to skip."""
    if not isinstance(tests, unittest.TestSuite):
        return [] if tests.id() in skip else [tests]
    return [test for each in tests for test in flatten(each, skip)]


def load(order: dict[str, Any]) -> unittest.TestSuite:
    """The tests as test/main.py finds them when told the modules."""
    sys.path.insert(0, order["tests"])
    main = importlib.import_module("main")

    class Program(main.TestProgram):  # type: ignore[misc,name-defined]
        def runTests(self) -> None:  # noqa: N802
            """Loading is all that is wanted of it."""

    flags = [] if order["numpy"] else ["--no-numpy"]
    names = [word for name in order["modules"] for word in ("-i", rf"^{name}\.py$")]
    program = Program(module=None, argv=["main.py", "-q", *flags, *names])
    return unittest.TestSuite(flatten(program.test, set(order["skip"])))


def run(path: str) -> None:
    """All tests of the order at `path`."""
    with open(path, encoding="utf-8") as stream:
        order = json.load(stream)
    sys.dont_write_bytecode = True
    tests = load(order)
    rank = importlib.import_module("mpi4py.MPI").COMM_WORLD.Get_rank()
    recorder = Recorder(os.path.join(os.path.dirname(path), f"rank-{rank}.jsonl"))
    library = importlib.import_module("mpi4py.MPI").Get_library_version()
    recorder.write(library=library.partition("\n")[0].partition("\0")[0].strip())
    tests.run(recorder)
    recorder.write(done=recorder.testsRun)


if __name__ == "__main__":
    run(sys.argv[1])
