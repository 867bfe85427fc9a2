"""Writes docs/reference/lwkpm-run.md and docs/man/lwkpm-run.1 from the option table: ``python -m tools.docs``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lwkpm import __version__
from lwkpm.cli.options import OPTIONS, Option
from lwkpm.cli.parse import USAGE
from tools.images.sources import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SCOPES = {"job": "the whole job", "app": "each part", "all": "every part"}
MADE_BY = "<!-- Made by `python -m tools.docs` from src/lwkpm/cli/options.py; do not edit. -->"
TABLE_HEAD = ("| option | value | for | what it does |", "|---|---|---|---|")
INTRODUCTION = (
    "Runs an MPI job in a container: N ranks of APP in one container made from IMAGE, whatever MPI the image carries. "
    "IMAGE is a root file system in a directory, a squashfs file, a SIF file, or host:// for no container. "
    "A lone ':' begins a further part with its own IMAGE and APP. Options end at IMAGE."
)
STATUS = (
    "That of the first rank to fail, 128+N if signal N killed it; 124 time limit, 125 lwkpm itself, 126 program not "
    "executable, 127 program or image not found, 130 or 143 interrupted."
)


def groups() -> dict[str, list[Option]]:
    """The options by group, in the table's order."""
    found: dict[str, list[Option]] = {}
    for option in OPTIONS:
        found.setdefault(option.group, []).append(option)
    return found


def markdown() -> str:
    """The reference page."""
    lines = ["# lwkpm-run", "", MADE_BY, ""]
    lines += ["```", USAGE, "```", "", INTRODUCTION, ""]
    lines += ["Names with one dash and several letters may be written with two dashes, and the other way round.", ""]
    for group, options in groups().items():
        lines += [f"## {group[0].upper()}{group[1:]}", "", *TABLE_HEAD]
        lines += [markdown_row(option) for option in options]
        lines.append("")
    return "\n".join([*lines, "## Exit status", "", STATUS, "", "More in [exit-status.md](exit-status.md).", ""])


def markdown_row(option: Option) -> str:
    """One option as a row of the table."""
    names = " ".join(f"`{name}`" for name in option.names)
    value = f"`{option.metavar}`".replace("|", "\\|") if option.metavar else ""
    return f"| {names} | {value} | {SCOPES[option.scope]} | {option.help.replace('|', chr(92) + '|')} |"


def roff(text: str) -> str:
    """Text as roff takes it: no line begins with a control character, dashes stay dashes."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in escaped.split("\n"))


def man_page() -> str:
    """lwkpm-run(1)."""
    lines = [f'.TH LWKPM\\-RUN 1 "" "lwkpm {__version__}"', ".SH NAME"]
    lines += ["lwkpm\\-run \\- run an MPI job in a container", ".SH SYNOPSIS", roff(USAGE)]
    lines += [".SH DESCRIPTION", roff(INTRODUCTION), ".SH OPTIONS"]
    for group, options in groups().items():
        lines.append(f'.SS "{group}"')
        for option in options:
            names = ", ".join(f"\\fB{roff(name)}\\fR" for name in option.names)
            lines += [".TP", f"{names} \\fI{roff(option.metavar)}\\fR" if option.metavar else names, roff(option.help)]
    return "\n".join([*lines, ".SH EXIT STATUS", roff(STATUS), ""])


def pages() -> dict[Path, str]:
    """Every generated file with its text."""
    docs = ROOT / "docs"
    return {docs / "reference" / "lwkpm-run.md": markdown(), docs / "man" / "lwkpm-run.1": man_page()}


def main() -> int:
    """Write all pages."""
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
