"""File name patterns."""

from __future__ import annotations

import pytest

from lwkpm.errors import UsageError
from lwkpm.job.patterns import Where, expand, is_per_rank

RANK = Where(rank=7, size=101, local_rank=3, host="node07", job="job-1")


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("out", "out"),
        ("out.%r", "out.7"),
        ("out.%R", "out.007"),
        ("%l/%h/%n.txt", "3/node07/job-1.txt"),
        ("%r%r", "77"),
        ("100%%", "100%"),
        ("%%r", "%r"),
        ("%%%r", "%7"),
        ("%%%%", "%%"),
        ("a%%b%%c", "a%b%c"),
        ("", ""),
    ],
)
def test_expand(pattern: str, name: str) -> None:
    assert expand(pattern, RANK) == name


@pytest.mark.parametrize(("size", "name"), [(1, "0"), (10, "0"), (11, "00"), (1000, "000")])
def test_leading_zeros_are_as_wide_as_the_last_rank(size: int, name: str) -> None:
    assert expand("%R", RANK.replace(rank=0, size=size)) == name


@pytest.mark.parametrize(("pattern", "why"), [("out.%q", "%q means nothing"), ("out%", "it ends with a lone %")])
def test_bad_pattern(pattern: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        expand(pattern, RANK, "--errfile")
    assert (caught.value.code, caught.value.why) == ("LWKPM-E014", why)
    assert caught.value.what == f"--errfile: bad pattern {pattern!r}"
    assert "%R rank with leading zeros" in caught.value.fix


@pytest.mark.parametrize(("pattern", "per_rank"), [("a.%r", True), ("a.%R", True), ("a.%l", True), ("a.%%r", False)])
def test_is_per_rank(pattern: str, per_rank: bool) -> None:
    assert is_per_rank(pattern) is per_rank
