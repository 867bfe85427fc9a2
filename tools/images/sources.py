"""The C programs that go into images, and how they are compiled."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RING = ROOT / "examples" / "ring.c"
TEST_PROGRAMS = ROOT / "tests" / "mpi" / "programs"
CFLAGS = ("-O2", "-g0", "-Wall", "-Wextra")


def programs(*, with_tests: bool) -> list[Path]:
    """The ring, and for test images the programs of the tests."""
    return [RING, *(sorted(TEST_PROGRAMS.glob("*.c")) if with_tests else [])]
