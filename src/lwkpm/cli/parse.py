"""``lwkpm-run``'s command line -> `Job`, without argparse (whose import alone takes 10 ms).

`[options] [--] IMAGE APP [ARGS] [: [options] IMAGE APP [ARGS] ...]`: options end at IMAGE, so an application's own
options never clash with ours; a single ``:`` begins the next part of an MPMD job.
"""

from __future__ import annotations

from lwkpm.cli import convert
from lwkpm.cli.options import BY_KEY, MAX_PROCS, Option, key_of
from lwkpm.errors import UsageError
from lwkpm.job.spec import AppContext, Bind, EnvRule, Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

USAGE = "lwkpm-run -n N [options] [--] IMAGE APP [ARGS] [: [options] IMAGE APP [ARGS] ...]"
_MOST_VERBOSE = 2


class AnswerOnly(Exception):  # noqa: N818  not an error
    """``--help`` or ``--version``: `topic` says which; nothing is run."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.topic = topic


class _Part:
    """One app context while it is read."""

    def __init__(self, number: int, image: str | None) -> None:
        self.number = number
        self.image = image
        self.np: int | None = None
        self.wdir: str | None = None
        self.pset = ""
        self.env: list[EnvRule] = []
        self.binds: list[Bind] = []
        self.clean_env = False
        self.argv: tuple[str, ...] = ()


class _Reader:
    """Walks once over argv; collects the parts, what is meant for all of them, and the job's own fields."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = argv
        self.at = 0
        self.parts: list[_Part] = []
        self.job: dict[str, Any] = {}
        self.env: list[EnvRule] = []
        self.clean_env = False
        self.image: str | None = None  # of the last --image

    def read(self) -> None:
        """All parts."""
        while not self.parts or self.at < len(self.argv) or self.argv[-1] == ":":
            part = _Part(len(self.parts) + 1, self.image)
            self.parts.append(part)
            self._options(part)
            self._program(part)
            if self.at >= len(self.argv):
                break
            self.at += 1  # the ":"

    def _options(self, part: _Part) -> None:
        while self.at < len(self.argv):
            word = self.argv[self.at]
            if word in (":", "-") or not word.startswith("-"):
                return
            self.at += 1
            if word == "--":
                return
            self._one(part, word)

    def _one(self, part: _Part, word: str) -> None:
        spelled, equals, attached = word.partition("=")
        option = BY_KEY.get(key_of(spelled))
        if option is None:
            raise unknown_option(spelled)
        if option.scope == "job" and part.number > 1:
            raise _misplaced(spelled)
        self._store(part, option, self._value(option, spelled, attached if equals else None))

    def _value(self, option: Option, spelled: str, attached: str | None) -> object:
        if option.kind == "optional":
            return "-" if attached is None else convert.KINDS["optional"](spelled, attached, option)
        if option.kind in convert.KINDS:
            value = self._next(option, spelled) if attached is None else attached
            if option.kind == "env" and "=" not in value and key_of(spelled) in ("env", "genv"):
                value = self._pair(spelled, value)
            return convert.KINDS[option.kind](spelled, value, option)
        if attached is not None:
            raise UsageError(
                "LWKPM-E002",
                f"{spelled} takes no value, but was given {attached!r}",
                f"{spelled}: {option.help}",
                f"write {spelled} alone, or leave it out",
            )
        return True

    def _next(self, option: Option, spelled: str) -> str:
        """The following word, unless it is an option itself (`-n -1` stays a bad number, not a missing one)."""
        word = self.argv[self.at] if self.at < len(self.argv) else None
        if word is None or (word.startswith("-") and key_of(word.partition("=")[0]) in BY_KEY):
            found = "the command line ends there" if word is None else f"what follows, {word}, is an option"
            raise UsageError(
                "LWKPM-E002",
                f"{spelled} needs a value ({option.metavar})",
                f"{found}",
                f"write {spelled} {option.metavar} ({option.help})",
            )
        self.at += 1
        return word

    def _pair(self, spelled: str, name: str) -> str:
        """Hydra's ``-genv A V`` (and ``-env A V``); ``--env A`` with two dashes passes A, as podman does."""
        if spelled.startswith("--") and key_of(spelled) == "env":
            return name
        if self.at >= len(self.argv):
            raise UsageError(
                "LWKPM-E002",
                f"{spelled} {name} needs a value",
                f"{spelled} takes a name and a value, and the command line ends there",
                f"write {spelled} {name}=VALUE, or -x {name} to pass the caller's value",
            )
        self.at += 1
        return f"{name}={self.argv[self.at - 1]}"

    def _store(self, part: _Part, option: Option, value: Any) -> None:
        target: Any = self if option.scope == "all" else part
        if option.kind in ("help", "version"):
            raise AnswerOnly(option.kind)
        if option.dest in ("env", "binds"):
            getattr(target, option.dest).extend(value)
        elif option.scope != "job":
            setattr(target, option.dest, value)
            self.image = part.image
        elif option.dest == "verbosity":
            self.job["verbosity"] = self._verbosity(option.kind)
        elif option.dest == "no_kill":
            self.job["kill_on_failure"] = False
        else:
            self.job[option.dest] = value

    def _verbosity(self, kind: str) -> int:
        before: int = max(self.job.get("verbosity", 0), 0)
        return {"quiet": -1, "most": _MOST_VERBOSE}.get(kind, min(before + 1, _MOST_VERBOSE))

    def _program(self, part: _Part) -> None:
        words = []
        while self.at < len(self.argv) and self.argv[self.at] != ":":
            words.append(self.argv[self.at])
            self.at += 1
        named = part.image is None
        if named:
            part.image = words.pop(0) if words else None
        part.argv = tuple(words)
        _check_part(part, named)


def parse_run(argv: Sequence[str], environ: Mapping[str, str]) -> Job:
    """The job asked for by `argv` (without the program's name) and MPIEXEC_TIMEOUT."""
    reader = _Reader(argv)
    reader.read()
    apps = tuple(_app(part, reader) for part in reader.parts)
    _check_total(apps)
    fields = reader.job
    if "timeout_s" not in fields:
        fields["timeout_s"] = _environment_timeout(environ)
    if fields["timeout_s"] == 0:
        fields["timeout_s"] = None
    job = Job(apps=apps, **fields)
    if job.stop_in_init and job.pmi == "port":
        why = "a client on a TCP port says who it is only when it has been answered"
        raise UsageError("LWKPM-E003", "--stop-in-init does not go with --pmi port", why, "leave one of them out")
    _check_stdin(job, sum(app.np or 0 for app in apps))
    return job


def _app(part: _Part, reader: _Reader) -> AppContext:
    return AppContext(
        image=part.image or "",
        argv=part.argv,
        np=part.np,
        env=(*reader.env, *part.env),
        clean_env=part.clean_env or reader.clean_env,
        wdir=part.wdir,
        binds=tuple(part.binds),
        pset=part.pset,
    )


def _check_part(part: _Part, named: bool) -> None:
    where = f" in part {part.number}" if part.number > 1 else ""
    if not part.image:
        raise UsageError(
            "LWKPM-E005",
            f"no image{where}",
            "after the options, an image and a program are expected" + _colon_hint(part),
            f"usage: {USAGE}; for no container: host://",
        )
    if not part.argv or not part.argv[0]:
        why = f"{part.image!r} was taken as the image" if named else f"the image {part.image!r} came from --image"
        raise UsageError(
            "LWKPM-E006",
            f"no program{where}",
            f"{why}, and nothing follows it",
            f"name the program to run: lwkpm-run -n {part.np or 4} IMAGE PROGRAM (host:// = no container)",
        )
    if part.argv[0].startswith("-"):
        raise UsageError(
            "LWKPM-E006",
            f"the program{where} would be {part.argv[0]!r}, which looks like an option",
            f"options end at the image, {part.image!r}",
            f"put {part.argv[0]} before the image",
        )
    if part.np is None:
        raise UsageError(
            "LWKPM-E004",
            f"how many processes{where}?",
            f"there is no -n before {part.argv[0]!r}",
            f"add -n, for example: lwkpm-run -n 4 {part.image} {part.argv[0]}",
        )


def _colon_hint(part: _Part) -> str:
    return "; a lone ':' begins a new part, even as an argument of a program" if part.number > 1 else ""


def _check_total(apps: tuple[AppContext, ...]) -> None:
    total = sum(app.np or 0 for app in apps)
    if total > MAX_PROCS:
        raise UsageError(
            "LWKPM-E004",
            f"{total} processes in all are too many",
            f"the parts' -n add up to more than {MAX_PROCS}",
            "lower the -n of the parts",
        )


def _check_stdin(job: Job, total: int) -> None:
    if job.stdin == "tool" and not job.tools:
        raise convert.bad_value("--stdin", "tool", "no PMIx tool may connect to this job", "give --tools as well")
    if job.stdin.isdigit() and int(job.stdin) >= total:
        raise convert.bad_value(
            "--stdin", job.stdin, f"the job has ranks 0 to {total - 1}", "name one of them, 'all' or 'none'"
        )


def _environment_timeout(environ: Mapping[str, str]) -> float | None:
    text = environ.get("MPIEXEC_TIMEOUT", "")
    if not text or text == "-1":  # Hydra: negative = no limit
        return None
    try:
        return convert.seconds("MPIEXEC_TIMEOUT", text)
    except UsageError as error:
        fix = "unset MPIEXEC_TIMEOUT, set it to seconds, or give --timeout SEC"
        raise UsageError("LWKPM-E016", f"the variable {error.what}", error.why, fix) from None


def _misplaced(spelled: str) -> UsageError:
    return UsageError(
        "LWKPM-E007",
        f"{spelled} is for the whole job, but stands after a ':'",
        "only -n, --image, environment, -w and -B may differ between the parts",
        f"put {spelled} before the first image",
    )


def unknown_option(spelled: str) -> UsageError:
    """The error for an option nobody here knows: whose it is, or the nearest one."""
    from lwkpm.cli.foreign import look_up

    what = f"unknown option {spelled}"
    see = "all options: lwkpm-run --help"
    foreign = look_up(spelled)
    if foreign is not None:
        why = f"it is an option of {foreign.owner}, and lwkpm-run has none of that name"
        return UsageError("LWKPM-E001", what, why, f"{foreign.instead}; {see}")
    short = BY_KEY.get(spelled[:2])
    if short is not None and short.kind == "count" and spelled[2:].isdigit():
        return UsageError(
            "LWKPM-E001", what, "a value is not glued to its option", f"write {spelled[:2]} {spelled[2:]}"
        )
    near = nearest(spelled)
    if near is None:
        return UsageError("LWKPM-E001", what, "lwkpm-run has no option like it", see)
    return UsageError("LWKPM-E001", what, f"the nearest option of lwkpm-run is {near}", f"did you mean {near}? {see}")


def nearest(spelled: str) -> str | None:
    """The known spelling most like this one, or None."""
    import difflib  # 4 ms, only on the way to an error

    names = [key for key in BY_KEY if not key.startswith("-")]
    close = difflib.get_close_matches(spelled.lstrip("-").lower(), names, n=1, cutoff=0.5)
    return "--" + close[0] if close else None
