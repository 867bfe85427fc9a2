"""The text of ``--help``, made from the option table."""

from __future__ import annotations

from lwkpm.cli.options import OPTIONS, Option
from lwkpm.cli.parse import USAGE

_COLUMN = 30
_WIDTH = 100

_HEAD = f"""usage: {USAGE}

Runs an MPI job in a container: N ranks of APP in one container made from IMAGE, whatever MPI the image carries.
IMAGE is a directory, a squashfs file, a SIF file, or host:// for no container.
"""

_TAIL = """
A lone ':' begins a further part with its own IMAGE and APP. Options end at IMAGE.
Exit status: that of the first rank to fail (128+N if signal N killed it); 124 time limit, 125 lwkpm, 126 program not
executable, 127 program or image not found, 130/143 interrupted. 'lwkpm explain CODE' tells more about an error.
"""


def run_help() -> str:
    """The whole text."""
    groups: dict[str, list[Option]] = {}
    for option in OPTIONS:
        groups.setdefault(option.group, []).append(option)
    blocks = [f"\n{name}:\n" + "".join(_entry(option) for option in options) for name, options in groups.items()]
    return _HEAD + "".join(blocks) + _TAIL


def _entry(option: Option) -> str:
    shown = ", ".join(option.names[:2]) + ("" if option.metavar.startswith("[=") or not option.metavar else " ")
    left = f"  {shown}{option.metavar}"
    lines = _wrapped(option.help + _aliases(option))
    if len(left) > _COLUMN - 2:
        lines.insert(0, "")
    start = left.ljust(_COLUMN) + lines[0]
    return "\n".join([start.rstrip(), *(" " * _COLUMN + line for line in lines[1:])]) + "\n"


def _aliases(option: Option) -> str:
    return f" (also {' '.join(option.names[2:])})" if len(option.names) > 2 else ""


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and _COLUMN + len(lines[-1]) + len(word) >= _WIDTH:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines
