"""The entry points: dispatch, messages, statuses."""

from __future__ import annotations

import io
import os

import pytest

from lwkpm import __version__, message
from lwkpm.cli import main as entry
from lwkpm.errors import ImageError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("argv", [["--version"], ["run", "--version"], ["-V"]])
def test_version(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(argv) == 0
    assert capsys.readouterr().out == f"lwkpm {__version__}\n"


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(argv) == 0
    assert "lwkpm run [options] IMAGE APP" in capsys.readouterr().out


def test_run_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run_main(["--help"]) == 0
    assert "--report-bindings" in capsys.readouterr().out


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["explain", "E001"]) == 0
    assert capsys.readouterr().out.startswith("LWKPM-E001: unknown option\n")


def test_an_error_has_three_parts_and_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run_main(["--bindto"]) == 125
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "lwkpm: error: unknown option --bindto\n"
        "  why: the nearest option of lwkpm-run is --bind-to\n"
        "  do:  did you mean --bind-to? all options: lwkpm-run --help\n"
        "  [LWKPM-E001]\n"
    )


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["demo.sqfs"]) == 125
    assert "lwkpm: error: lwkpm has no command 'demo.sqfs'" in capsys.readouterr().err


def test_colour_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.run_main(["--color=always", "--bindto"]) == 125
    assert "lwkpm: \033[31merror:\033[0m" in capsys.readouterr().err


def test_long_parts_are_indented() -> None:
    out = io.StringIO()
    message.print_error(ImageError("LWKPM-E020", "what", "one\ntwo", "do"), color=False, stream=out)
    assert out.getvalue() == "lwkpm: error: what\n  why: one\n       two\n  do:  do\n  [LWKPM-E020]\n"


@pytest.mark.parametrize(
    ("choice", "environ", "terminal", "expected"),
    [
        ("auto", {"TERM": "xterm"}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"TERM": "xterm"}, False, False),
        ("auto", {"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_wants_color(choice: str, environ: dict[str, str], terminal: bool, expected: bool) -> None:
    assert message.wants_color(choice, environ, Terminal() if terminal else io.StringIO()) is expected


def raising(error: BaseException) -> object:
    def run(_words: list[str]) -> int:
        raise error

    return run


def test_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "_run", raising(KeyboardInterrupt()))
    assert entry.run_main([]) == 130


def test_exit_status_of_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "_run", raising(ImageError("LWKPM-E020", "a", "b", "c", 127)))
    assert entry.run_main([]) == 127


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_bug_says_so(debug: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(entry, "_run", raising(ZeroDivisionError("oops")))
    monkeypatch.setitem(os.environ, "LWKPM_DEBUG", debug)
    assert entry.run_main([]) == 125
    err = capsys.readouterr().err
    assert "lwkpm: error: ZeroDivisionError: oops\n  why: this is a bug in lwkpm\n" in err
    assert ("Traceback" in err) is (debug == "1")
