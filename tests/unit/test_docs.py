from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from lwkpm.cli.catalogue import CATALOGUE
from lwkpm.cli.options import OPTIONS
from lwkpm.cli.parse import AnswerOnly, parse_run
from lwkpm.job.environment import common_entries, rank_entries
from tools.docs import man_page, markdown, pages, roff
from tools.images.sources import ROOT

if TYPE_CHECKING:
    from pathlib import Path

WRITTEN = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ENVIRONMENT = (ROOT / "docs" / "reference" / "environment.md").read_text()
#: What ends the command that a line shows: the shell's own words.
SHELL_WORDS = {"|", "||", "&&", ">", "2>&1"}


def test_checked_in_pages_are_those_that_the_option_table_gives() -> None:
    for path, text in pages().items():
        assert path.read_text() == text, f"{path.name} is out of date: run python -m tools.docs"


def test_every_spelling_of_every_option_is_in_both_pages() -> None:
    page, manual = markdown(), man_page()
    for name in (name for option in OPTIONS for name in option.names):
        assert f"`{name}`" in page
        assert f"\\fB{roff(name)}\\fR" in manual


def test_roff_guards_control_characters_at_the_beginning_of_a_line() -> None:
    assert roff(".TH\n'x\na-b") == "\\&.TH\n\\&'x\na\\-b"


def anchors(text: str) -> set[str]:
    """The names that links may give after #: headings in lower case with dashes."""
    titles = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_commands_and_codes_exist(page: Path) -> None:
    text = page.read_text()
    for line in re.findall(r"^\$ (?:\S*/)?lwkpm-run (.+)$", text, re.MULTILINE):
        words = shlex.split(line)
        end = next((at for at, word in enumerate(words) if word in SHELL_WORDS), len(words))
        try:
            assert parse_run(words[:end], {}).apps
        except AnswerOnly:
            pass
    assert {f"LWKPM-{code}" for code in re.findall(r"\bE0\d\d\b", text)} <= set(CATALOGUE)


def test_environment_page_has_every_variable() -> None:
    common = common_entries(size=1, local_size=1, universe_size=1, jobid="j", jobdir="/j", image="i", spawned=True)
    entries = [*common, *rank_entries(rank=0, local_rank=0)]
    names = {entry.partition("=")[0] for entry in entries}
    sources = [*(ROOT / "src" / "lwkpm").rglob("*.py")]
    names |= {name for path in sources for name in re.findall(r'"(LWKPM_[A-Z_]+[A-Z])"', path.read_text())}
    assert len(names) > 15
    assert [name for name in sorted(names) if f"`{name}`" not in ENVIRONMENT] == []
