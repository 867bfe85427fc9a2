"""The environment an image asks for, from its metadata files.

``/.singularity.d/env/*.sh`` are shell scripts. They are not run: only assignments at top level are read
(``export A=x``, ``: ${A:=x}``, ``: "${A:=x}"``), with ``$A``, ``${A}`` and ``${A:-x}`` expanded from what was read
before. A line that needs more of a shell is left out, as is everything inside if, for, case and functions.
``/ch/environment`` (Charliecloud) has plain ``A=x`` lines.
"""

from __future__ import annotations

import os

from lwkpm.image.rootpath import read_in_root, resolve_in_root

SCRIPTS = "/.singularity.d/env"
CHARLIECLOUD = "/ch/environment"

MAX_SCRIPTS = 64
MAX_BYTES = 65536
MAX_VALUE = 32768
MAX_VARIABLES = 1024

OPENERS = ("if", "for", "while", "until", "case")
CLOSERS = ("fi", "done", "esac", "}")


class _UnparsedError(Exception):
    """The line needs a real shell."""


def read_environment(root: str) -> dict[str, str]:
    """The variables set by the metadata of the tree at `root` (a directory such as /proc/PID/root)."""
    found: dict[str, str] = {}
    for path in _scripts(root):
        _read_script(_read_text(root, path), found)
    for line in _read_text(root, CHARLIECLOUD).splitlines():
        name, _, value = line.partition("=")
        if _is_name(name) and len(found) < MAX_VARIABLES:
            found[name] = value[1:-1] if len(value) > 1 and value[0] == value[-1] == "'" else value
    return found


def _scripts(root: str) -> list[str]:
    """The scripts in the order a shell's glob gives them."""
    from lwkpm.image.nearest import list_names

    try:
        names = list_names(resolve_in_root(root, SCRIPTS))
    except OSError:
        return []
    return [f"{SCRIPTS}/{name}" for name in sorted(names) if name.endswith(".sh")][:MAX_SCRIPTS]


def _read_text(root: str, path: str) -> str:
    try:
        return os.fsdecode(read_in_root(root, path, MAX_BYTES))
    except OSError:
        return ""


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier()


def _read_script(text: str, found: dict[str, str]) -> None:
    """Add the assignments of one script to `found`."""
    depth = 0
    for line in map(str.strip, text.splitlines()):
        words = line.replace(";", " ").split()
        first, last = (words[0], words[-1]) if words else ("", "")
        opens = first in OPENERS or last == "{"
        if depth == 0 and not opens:
            _read_line(line, found)
        depth = max(0, depth + opens - (first in CLOSERS or (opens and last in CLOSERS)))


def _read_line(line: str, found: dict[str, str]) -> None:
    """Add what one top-level line sets; nothing at all when part of it is not understood."""
    command, _, rest = line.partition(" ")
    try:
        if command == "export":
            given = _assignments(rest.strip(), found)
        elif command == ":":
            given = _default(rest.strip(), found)
        else:
            return
    except _UnparsedError:
        return
    for name, value in given.items():
        if len(found) < MAX_VARIABLES and len(value) <= MAX_VALUE:
            found[name] = value


def _assignments(text: str, found: dict[str, str]) -> dict[str, str]:
    """``A=x B="y z"`` behind export. A bare name marks a variable for export and sets nothing."""
    given: dict[str, str] = {}
    while text and text[0] not in ";#":
        name, equals, rest = text.partition("=")
        if not equals or not _is_name(name):
            raise _UnparsedError
        given[name], used = _word({**found, **given}, rest)
        text = rest[used:].lstrip(" \t")
    return given


def _default(text: str, found: dict[str, str]) -> dict[str, str]:
    """``${A:=x}``, quoted or not, behind the colon command."""
    text = text.strip('"')
    name, assign, rest = text.removeprefix("${").partition("=")
    name = name.removesuffix(":")
    if not text.startswith("${") or not assign or not rest.endswith("}") or not _is_name(name):
        raise _UnparsedError
    value, used = _word(found, rest[:-1])
    if used != len(rest) - 1:
        raise _UnparsedError
    return {} if found.get(name) else {name: value}


def _word(known: dict[str, str], text: str) -> tuple[str, int]:
    """(value, characters used) of the shell word at the start of `text`."""
    out: list[str] = []
    at, quote = 0, ""
    while at < len(text):
        char = text[at]
        if not quote and char in " \t;#":
            break
        if char == quote:
            quote, at = "", at + 1
        elif char in "'\"" and not quote:
            quote, at = char, at + 1
        elif quote == "'":
            out.append(char)
            at += 1
        elif char == "\\":
            piece, at = _escape(text, at, bool(quote))
            out.append(piece)
        elif char == "$":
            piece, at = _expand(known, text, at + 1)
            out.append(piece)
        elif char == "`" or (not quote and char in "&|<>(){}*?[]~"):
            raise _UnparsedError
        else:
            out.append(char)
            at += 1
    if quote:
        raise _UnparsedError  # the string goes on in the next line
    return "".join(out), at


def _escape(text: str, at: int, quoted: bool) -> tuple[str, int]:
    """What a backslash and its next character stand for; in double quotes it protects only four characters."""
    following = text[at + 1 : at + 2]
    if not following:
        raise _UnparsedError
    return (following if not quoted or following in '$`"\\' else "\\" + following), at + 2


def _expand(known: dict[str, str], text: str, at: int) -> tuple[str, int]:
    """(value, next position) of the expansion behind the dollar sign before `at`."""
    if text[at : at + 1] != "{":
        end = at
        while end < len(text) and _is_name(text[at : end + 1]):
            end += 1
        if end == at:
            raise _UnparsedError  # $( ), $1, $? ...
        return known.get(text[at:end], ""), end
    end = text.find("}", at)
    name, given, fallback = text[at + 1 : end].partition(":-")
    if end < 0 or not _is_name(name) or "$" in fallback or "`" in fallback:
        raise _UnparsedError
    return known.get(name) or (fallback.replace('"', "").replace("'", "") if given else ""), end + 1
