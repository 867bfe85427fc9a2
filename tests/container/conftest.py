"""Fixtures of the tests that start containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.container.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(demo_image: Path) -> Iterator[Place]:
    """A Place, removed at the end."""
    made = Place(demo_image)
    yield made
    made.remove()
