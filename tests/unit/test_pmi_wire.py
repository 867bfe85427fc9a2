"""Framing: what a byte stream is cut into, whatever the chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwkpm.pmi.wire import (
    BLOCK,
    BLOCK_MAX,
    FRAME,
    FRAME_MAX,
    FRAME_SLURM,
    LINE,
    LINE_MAX,
    Splitter,
    WireError,
    frame,
    parse_int,
)

MIXED = (
    b"cmd=init pmi_version=2 pmi_subversion=0\n"
    b"    23cmd=fullinit;pmirank=0;"
    b"16    cmd=kvs-fence;\n\n"
    b"mcmd=spawn\nnprocs=1\nexecname=a b\nendcmd\n"
    b"cmd=finalize\n"
)
EXPECTED = [
    (LINE, "cmd=init pmi_version=2 pmi_subversion=0"),
    (FRAME, "cmd=fullinit;pmirank=0;"),
    (FRAME_SLURM, "cmd=kvs-fence;\n\n"),
    (BLOCK, "mcmd=spawn\nnprocs=1\nexecname=a b"),
    (LINE, "cmd=finalize"),
]


def split(chunks: list[bytes]) -> list[tuple[int, str]]:
    splitter, messages = Splitter(), []
    for chunk in chunks:
        splitter.feed(chunk)
        while (message := splitter.take()) is not None:
            messages.append(message)
    return messages


def test_all_kinds_in_one_read() -> None:
    assert split([MIXED]) == EXPECTED


def test_one_byte_at_a_time() -> None:
    assert split([MIXED[place : place + 1] for place in range(len(MIXED))]) == EXPECTED


@given(st.lists(st.integers(0, len(MIXED)), max_size=12).map(sorted))
def test_any_chunking(cuts: list[int]) -> None:
    ends = [0, *cuts, len(MIXED)]
    assert split([MIXED[begin:end] for begin, end in zip(ends, ends[1:])]) == EXPECTED


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"\n",
        b"\x00",
        b"1 2   abc",
        b"      ",
        b" 65537x",
        b"999999",
        b"-00001",
        b"00 x00",
        b"c" * (LINE_MAX + 1),
        b"cmd=" + b"x" * LINE_MAX + b"\n",
        b"mcmd=spawn\n" + b"a=b\n" * (BLOCK_MAX // 4),
    ],
)
def test_bytes_that_are_no_message(data: bytes) -> None:
    with pytest.raises(WireError):
        split([data])


def test_longest_messages_pass() -> None:
    line = b"cmd=" + b"x" * (LINE_MAX - 4)
    payload = "y" * FRAME_MAX
    assert split([line + b"\n", frame(payload)]) == [(LINE, line.decode()), (FRAME, payload)]


def test_clear_forgets_the_incomplete() -> None:
    splitter = Splitter()
    splitter.feed(b"cmd=ini")
    assert splitter.take() is None
    splitter.clear()
    splitter.feed(b"cmd=finalize\n")
    assert splitter.take() == (LINE, "cmd=finalize")


def test_frame_is_right_justified() -> None:
    assert frame("cmd=x;\xe9") == b"     7cmd=x;\xe9"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-1", -1),
        ("2147483647", 2147483647),
        ("", None),
        ("-", None),
        ("1_0", None),
        (" 1", None),
        ("+1", None),
        ("\u0661", None),
        ("²", None),
        ("9" * 5000, None),
        ("1.0", None),
    ],
)
def test_parse_int(text: str, number: int | None) -> None:
    assert parse_int(text) == number
