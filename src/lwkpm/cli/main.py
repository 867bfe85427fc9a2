"""``lwkpm COMMAND ...`` and ``lwkpm-run ...`` (= ``lwkpm run ...``); they import what they need late."""

from __future__ import annotations

import os
import sys

from lwkpm.errors import EXIT_LAUNCHER, LwkpmError, UsageError
from lwkpm.message import print_error, wants_color

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXIT_INTERRUPTED = 130
COERCED = ("C.UTF-8", "C.utf8", "UTF-8")

USAGE = """usage: lwkpm run [options] IMAGE APP [ARGS]   run an MPI job in a container (also: lwkpm-run)
       lwkpm explain [CODE]                   what an error code means and what to do
       lwkpm --version
"""


def main(argv: Sequence[str] | None = None) -> int:
    """``lwkpm``: the exit status of the command."""
    words = list(sys.argv[1:] if argv is None else argv)
    return _guarded(lambda: _dispatch(words), words)


def run_main(argv: Sequence[str] | None = None) -> int:
    """``lwkpm-run``: the exit status of the job."""
    words = list(sys.argv[1:] if argv is None else argv)
    return _guarded(lambda: _run(words), words)


def _dispatch(words: list[str]) -> int:
    command = words[0] if words else "--help"
    known = {"run": _run, "explain": _explain, "--version": _version, "-V": _version, "--help": _usage, "-h": _usage}
    if command in known:
        return known[command](words[1:])
    raise UsageError(
        "LWKPM-E015",
        f"lwkpm has no command {command!r}",
        "the commands are run and explain",
        "to start a job: lwkpm run -n 4 IMAGE PROGRAM",
    )


def _run(words: list[str]) -> int:
    from lwkpm.cli.parse import AnswerOnly, parse_run

    try:
        job = parse_run(words, os.environ)
    except AnswerOnly as answer:
        return _version([]) if answer.topic == "version" else _run_help()
    from lwkpm.cli.run import run

    _undo_coercion()
    return run(job, os.environ)


def _undo_coercion() -> None:
    """Take out the LC_CTYPE that Python sets where the locale is C (PEP 538): ranks get the caller's environment."""
    if os.environ.get("LC_CTYPE") in COERCED:
        with open("/proc/self/environ", "rb") as file:
            given = file.read()
        if b"\0LC_CTYPE=" not in b"\0" + given:
            del os.environ["LC_CTYPE"]


def _run_help() -> int:
    from lwkpm.cli.help import run_help

    sys.stdout.write(run_help())
    return 0


def _explain(words: list[str]) -> int:
    from lwkpm.cli.explain import explain

    sys.stdout.write(explain(words))
    return 0


def _version(_words: list[str]) -> int:
    from lwkpm import __version__

    sys.stdout.write(f"lwkpm {__version__}\n")
    return 0


def _usage(_words: list[str]) -> int:
    sys.stdout.write(USAGE)
    return 0


def _guarded(command: Callable[[], int], words: Sequence[str]) -> int:
    """Runs a command; turns whatever it raises into a message and a status."""
    try:
        return _flushed(command())
    except LwkpmError as error:
        print_error(error, wants_color(_peek_color(words), os.environ, sys.stderr))
        return error.exit_status
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (
        BrokenPipeError
    ):  # `lwkpm-run --help | head`: nobody reads on, and the interpreter's last flush must not fail
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_LAUNCHER
    except Exception as error:  # noqa: BLE001  the last resort, which says that it is a bug
        _print_bug(error)
        return EXIT_LAUNCHER


def _flushed(status: int) -> int:
    sys.stdout.flush()  # here, where a closed pipe is still handled
    return status


def _peek_color(words: Sequence[str]) -> str:
    """The ``--color`` of a command line that may be too wrong to be parsed."""
    for word, following in zip(words, [*words[1:], ""]):
        name, _, value = word.partition("=")
        if name in ("--color", "--colour"):
            return value or following
    return "auto"


def _print_bug(error: Exception) -> None:
    if os.environ.get("LWKPM_DEBUG") == "1":
        import traceback

        traceback.print_exc()
    sys.stderr.write(
        f"lwkpm: error: {type(error).__name__}: {error}\n"
        "  why: this is a bug in lwkpm\n"
        "  do:  run it again with LWKPM_DEBUG=1 and report the traceback it then prints\n"
        "  [LWKPM-E099]\n"
    )
