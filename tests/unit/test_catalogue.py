"""Every error code that the sources use is explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lwkpm
from lwkpm.cli.catalogue import CATALOGUE
from lwkpm.cli.explain import explain, full_code
from lwkpm.errors import UsageError

SOURCES = Path(lwkpm.__file__).parent


def codes_in_sources() -> set[str]:
    texts = (path.read_text() for path in SOURCES.rglob("*.py") if path.name != "catalogue.py")
    return {code for text in texts for code in re.findall(r"LWKPM-E\d+", text)}


def test_every_code_used_is_explained() -> None:
    codes = codes_in_sources()
    assert len(codes) > 20
    assert codes - set(CATALOGUE) == set()


def test_codes_are_sorted_and_texts_are_sentences() -> None:
    assert list(CATALOGUE) == sorted(CATALOGUE)
    assert [code for code, (title, text) in CATALOGUE.items() if title.endswith(".") or text[-1] != "."] == []


@pytest.mark.parametrize("word", ["LWKPM-E001", "E001", "e1", "1", "lwkpm-e001"])
def test_explain_takes_short_forms(word: str) -> None:
    assert full_code(word) == "LWKPM-E001"
    assert explain([word]).startswith("LWKPM-E001: unknown option\n\n")


def test_explain_lists_all_codes() -> None:
    assert len(explain([]).splitlines()) == len(CATALOGUE)


def test_explain_unknown_code() -> None:
    with pytest.raises(UsageError) as caught:
        explain(["E998"])
    assert caught.value.code == "LWKPM-E015"
