"""Splitting a rank's byte stream into messages.

A message says by its first byte what it is: ``cmd=`` a PMI-1 line, ``mcmd=`` a PMI-1 spawn block, a digit or blank a
PMI-2 frame (6 ASCII bytes of length, then the payload). MPICH right-justifies the length, Slurm's libpmi2
left-justifies it; with at most 5 digits the two can always be told apart.
"""

from __future__ import annotations

LINE, BLOCK, FRAME, FRAME_SLURM = range(4)
LINE_MAX = 65536
FRAME_MAX = 65536
BLOCK_MAX = 262144
HEADER = 6
_BLOCK_END = b"\nendcmd\n"


class WireError(Exception):
    """The stream holds no message: its framing is lost for good."""


class Splitter:
    """Collects bytes and gives complete messages, at most BLOCK_MAX bytes held back."""

    __slots__ = ("_buffer", "_seen")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._seen = 0  # bytes already searched for an end, so that slow dribbling stays linear

    def feed(self, data: bytes) -> None:
        """Append received bytes."""
        self._buffer += data

    def clear(self) -> None:
        """Forget what is incomplete."""
        self._buffer.clear()
        self._seen = 0

    def take(self) -> tuple[int, str] | None:
        """The next message as (kind, latin-1 text without line end or header), None when incomplete."""
        if not self._buffer:
            return None
        first = self._buffer[0]
        if first == 0x63:  # c of cmd=
            return self._take_line()
        if first == 0x20 or 0x30 <= first <= 0x39:
            return self._take_frame()
        if first == 0x6D:  # m of mcmd=
            return self._take_block()
        raise WireError(f"a message cannot begin with byte 0x{first:02x}")

    def _take_line(self) -> tuple[int, str] | None:
        end = self._buffer.find(b"\n", self._seen)
        if end > LINE_MAX or (end < 0 and len(self._buffer) > LINE_MAX):
            raise WireError(f"line longer than {LINE_MAX} bytes")
        if end < 0:
            self._seen = len(self._buffer)
            return None
        return LINE, self._cut(0, end, 1)

    def _take_block(self) -> tuple[int, str] | None:
        end = self._buffer.find(_BLOCK_END, max(0, self._seen - len(_BLOCK_END)))
        if end > BLOCK_MAX or (end < 0 and len(self._buffer) > BLOCK_MAX):
            raise WireError(f"spawn block longer than {BLOCK_MAX} bytes")
        if end < 0:
            self._seen = len(self._buffer)
            return None
        return BLOCK, self._cut(0, end, len(_BLOCK_END))

    def _take_frame(self) -> tuple[int, str] | None:
        if len(self._buffer) < HEADER:
            return None
        header = bytes(self._buffer[:HEADER])
        digits = header.strip(b" ")
        if not digits.isdigit() or int(digits) > FRAME_MAX:
            raise WireError(f"bad frame length {header!r}")
        end = HEADER + int(digits)
        if len(self._buffer) < end:
            return None
        return FRAME_SLURM if header[-1] == 0x20 else FRAME, self._cut(HEADER, end, 0)

    def _cut(self, begin: int, end: int, skip: int) -> str:
        text = self._buffer[begin:end].decode("latin-1")
        del self._buffer[: end + skip]
        self._seen = 0
        return text


def frame(payload: str) -> bytes:
    """A PMI-2 frame; right-justified length, which both client families accept."""
    return b"%6d" % len(payload) + payload.encode("latin-1")


def parse_int(text: str) -> int | None:
    """A plain decimal number of sane length; `int` alone takes blanks, underscores and megabytes of digits."""
    digits = text[1:] if text[:1] == "-" else text
    if not digits.isascii() or not digits.isdigit() or len(digits) > 20:
        return None
    return int(text)
