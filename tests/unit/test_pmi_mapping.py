"""PMI_process_mapping: known texts, and a round trip through an independent reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwkpm.pmi.mapping import MAPPING_MAX, process_mapping


def expand(text: str) -> list[int]:
    """Node ids by rank, read the way MPICH does."""
    assert text.startswith("(vector,(")
    assert text.endswith("))")
    nodes = []
    for triple in text[len("(vector,(") : -2].split("),("):
        first, count, each = map(int, triple.split(","))
        nodes += [node for node in range(first, first + count) for _ in range(each)]
    return nodes


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ([0, 0, 0, 0], "(vector,(0,1,4))"),
        ([0, 0, 1, 1], "(vector,(0,2,2))"),
        ([0, 1, 0, 1], "(vector,(0,2,1),(0,2,1))"),
        ([0, 1, 2, 3], "(vector,(0,4,1))"),
        ([0, 0, 0, 1, 1], "(vector,(0,1,3),(1,1,2))"),
        ([1, 0], "(vector,(1,1,1),(0,1,1))"),
        ([0], "(vector,(0,1,1))"),
    ],
)
def test_known_texts(nodes: list[int], text: str) -> None:
    assert process_mapping(nodes) == text


def test_nothing_for_no_ranks() -> None:
    assert process_mapping([]) is None


def test_too_long_is_not_told() -> None:
    scattered = [rank * 2 % 401 for rank in range(400)]
    assert process_mapping(scattered) is None


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_round_trip(nodes: list[int]) -> None:
    text = process_mapping(nodes)
    assert text is not None
    assert len(text) <= MAPPING_MAX
    assert expand(text) == nodes
