"""File name patterns of ``--outfile`` and ``--errfile``."""

from __future__ import annotations

from lwkpm.errors import UsageError
from lwkpm.value import Value

LETTERS = {
    "r": "rank",
    "R": "rank with leading zeros, as wide as the last rank",
    "l": "rank on its node",
    "h": "host name",
    "n": "job name",
    "%": "a percent sign",
}


class Where(Value):
    """What a pattern is filled in from; `size` = number of ranks, for the zeros of %R."""

    rank: int
    size: int
    local_rank: int
    host: str
    job: str


def expand(pattern: str, where: Where, option: str = "--outfile") -> str:
    """The file's name for one rank."""
    values = {
        "r": str(where.rank),
        "R": str(where.rank).zfill(len(str(max(where.size - 1, 0)))),
        "l": str(where.local_rank),
        "h": where.host,
        "n": where.job,
        "%": "%",
    }
    head, *rest = pattern.split("%")
    out = [head]
    pieces = iter(rest)
    for piece in pieces:
        if piece:
            out.append(_value(values, piece[0], pattern, option) + piece[1:])
            continue
        literal = next(pieces, None)  # "%%" leaves an empty piece before what follows it
        if literal is None:
            raise _bad_letter("", pattern, option)
        out.append("%" + literal)
    return "".join(out)


def is_per_rank(pattern: str) -> bool:
    """Whether each rank gets a file of its own, as far as one node can tell."""
    plain = pattern.replace("%%", "")
    return any(letter in plain for letter in ("%r", "%R", "%l"))


def _value(values: dict[str, str], letter: str, pattern: str, option: str) -> str:
    if letter not in values:
        raise _bad_letter(letter, pattern, option)
    return values[letter]


def _bad_letter(letter: str, pattern: str, option: str) -> UsageError:
    known = ", ".join(f"%{name} {meaning}" for name, meaning in LETTERS.items())
    found = f"%{letter} means nothing" if letter else "it ends with a lone %"
    return UsageError("LWKPM-E014", f"{option}: bad pattern {pattern!r}", found, f"use {known}")
