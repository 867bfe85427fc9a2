"""How errors look on the terminal."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from lwkpm.errors import LwkpmError

_RED, _BOLD, _PLAIN = "\033[31m", "\033[1m", "\033[0m"


def print_error(error: LwkpmError, color: bool, stream: TextIO | None = None) -> None:
    """The three parts and the code, on stderr; lines of a long part are indented under its first."""
    red, bold, plain = (_RED, _BOLD, _PLAIN) if color else ("", "", "")
    text = (
        f"lwkpm: {red}error:{plain} {bold}{error.what}{plain}\n"
        f"  why: {_indented(error.why)}\n"
        f"  do:  {_indented(error.fix)}\n"
        f"  [{error.code}]\n"
    )
    (stream or sys.stderr).write(text)


def _indented(text: str) -> str:
    return text.strip().replace("\n", "\n       ")


def wants_color(choice: str, environ: Mapping[str, str], stream: TextIO) -> bool:
    """``--color``, then NO_COLOR and FORCE_COLOR (not empty = set), then whether `stream` is a terminal."""
    if choice in ("always", "never"):
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and environ.get("TERM", "dumb") != "dumb"
