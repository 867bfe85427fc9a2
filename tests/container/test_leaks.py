"""Many launches leave nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.container.place import Place


@pytest.mark.parametrize(
    ("launches", "program", "status"),
    [(200, ("true",), 0), (20, ("ring-openmpi",), 0), (20, ("ring-mpich",), 0), (20, ("sh", "-c", "exit 7"), 7)],
)
def test_launches_leave_nothing(place: Place, launches: int, program: tuple[str, ...], status: int) -> None:
    for _ in range(launches):
        done = place.run("-n", "2", place.image, *program)
        assert done.returncode == status, done.stderr
    place.assert_clean()
