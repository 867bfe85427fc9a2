from __future__ import annotations

from lwkpm.cli.options import OPTIONS
from tools.docs import man_page, markdown, pages, roff


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
