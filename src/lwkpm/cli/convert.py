"""How option values are read: one small function per kind, each turning text into a value or a `UsageError`."""

from __future__ import annotations

from lwkpm.cli.options import MAX_PROCS, Option
from lwkpm.errors import UsageError
from lwkpm.job.spec import Bind, EnvRule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_BIND_OPTIONS = ("ro", "rw", "rprivate", "nofail")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_MOST_SECONDS = 10.0 * 365 * 86400  # what select() and friends take without overflow, and more than any job
SIGNALS = (
    *("HUP", "USR1", "USR2", "TSTP", "CONT", "ALRM", "WINCH", "URG", "TTIN", "TTOU", "QUIT", "IO", "PWR"),
    *("CHLD", "PIPE", "VTALRM", "PROF", "XCPU", "XFSZ", "TRAP"),
)
_OWN_SIGNALS = ("INT", "TERM", "KILL", "STOP")


def bad_value(spelled: str, value: str, why: str, fix: str) -> UsageError:
    """The common form of a complaint about an option's value."""
    return UsageError("LWKPM-E003", f"{spelled}: bad value {value!r}", why, fix)


def count(spelled: str, value: str, option: Option) -> int:
    """A whole number from 1 to MAX_PROCS."""
    digits = value.isascii() and value.removeprefix("-").isdigit()
    number = int(value) if digits and len(value) < 10 else 0  # int() refuses 5000 digits, in words of its own
    if 1 <= number <= MAX_PROCS:
        return number
    why = f"{value!r} is not a whole number"
    if digits:
        why = f"it is more than {MAX_PROCS}" if value.lstrip("0")[:1].isdigit() else "it is 0 or negative"
    raise UsageError(
        "LWKPM-E004",
        f"{spelled}: bad number {value!r}",
        why,
        f"give a whole number from 1 to {MAX_PROCS}, for example: {option.names[0]} 4",
    )


def seconds(spelled: str, value: str, _option: Option | None = None) -> float:
    """Seconds, or with a unit: 90, 1.5, 90s, 5m, 2h; 0 means no limit."""
    unit = _UNITS.get(value[-1:], 0.0)
    text = value[:-1] if unit else value
    try:
        number = float(text) * (unit or 1.0)
    except ValueError:
        number = -1.0
    if 0.0 <= number <= _MOST_SECONDS:  # false for nan too
        return number
    hint = "10:00 is srun's form; 10 minutes are 600 or 10m" if ":" in value else "seconds are wanted"
    raise bad_value(spelled, value, hint, "give seconds, or a number with s, m or h: 600, 90s, 10m, 2h (0 = no limit)")


def choice(spelled: str, value: str, option: Option) -> str:
    """One of a few words."""
    if value in option.choices:
        return value
    raise bad_value(spelled, value, "it is not one of the words this option knows", one_of(option.choices))


def one_of(words: tuple[str, ...]) -> str:
    """The "do" part that lists what is possible."""
    return "use one of: " + ", ".join(words)


def text(spelled: str, value: str, option: Option) -> str:
    """Any text but the empty one."""
    if value:
        return value
    raise bad_value(spelled, value, "it is empty", f"give {option.metavar}, or leave {spelled} out")


def pattern(spelled: str, value: str, option: Option) -> str:
    """A file name pattern, tried once so that a wrong letter is found before anything starts."""
    from lwkpm.job.patterns import Where, expand

    expand(text(spelled, value, option), Where(rank=0, size=1, local_rank=0, host="h", job="j"), spelled)
    return value


def stdin(spelled: str, value: str, _option: Option) -> str:
    """'all', 'none', 'tool' or a rank."""
    if value in ("all", "none", "tool") or (value.isascii() and value.isdigit()):
        return value
    raise bad_value(
        spelled, value, "it is neither a rank nor 'all', 'none' or 'tool'", f"write {spelled} 0 (the default)"
    )


def signals(spelled: str, value: str, _option: Option) -> tuple[str, ...]:
    """HUP,SIGUSR1,... without the SIG; 'none' for no signal at all."""
    if value == "none":
        return ()
    names = tuple(name.removeprefix("SIG") for name in value.upper().split(","))
    for name in names:
        if name in _OWN_SIGNALS:
            why = f"{name} ends or stops lwkpm-run itself, which then ends or stops the ranks"
            raise bad_value(spelled, value, why, f"leave {name} out of the list")
        if name not in SIGNALS:
            raise bad_value(spelled, value, f"no signal is named {name!r}", "use names from: " + ", ".join(SIGNALS))
    return names


def env(spelled: str, value: str, _option: Option) -> tuple[EnvRule, ...]:
    """``A=V`` sets, ``A`` or ``A*`` passes from the caller."""
    name, equals, content = value.partition("=")
    return (env_rule(f"{spelled} {value}", name, content if equals else None),)


def env_rule(where: str, name: str, value: str | None) -> EnvRule:
    """One rule; `value` None = pass from the caller. A name may be a glob only when it is passed."""
    if not name or any(letter.isspace() for letter in name):
        raise UsageError(
            "LWKPM-E008",
            f"{where}: bad variable name {name!r}",
            "a name is neither empty nor contains white space",
            "write -x NAME=VALUE, or -x NAME to pass the caller's value",
        )
    if value is None:
        return EnvRule(action="pass", name=name)
    if any(letter in "*?[" for letter in name):
        raise UsageError(
            "LWKPM-E008",
            f"{where}: a pattern cannot be given a value",
            f"{name!r} may match several variables",
            f"name one variable, or pass all of them with -x '{name}'",
        )
    return EnvRule(action="set", name=name, value=value)


def env_list(spelled: str, value: str, _option: Option) -> tuple[EnvRule, ...]:
    """``A,B,C``: all passed from the caller."""
    return tuple(env_rule(f"{spelled} {value}", name, None) for name in value.split(","))


def env_unset(spelled: str, value: str, _option: Option) -> tuple[EnvRule, ...]:
    """``A`` or ``A*``: removed."""
    rule = env_rule(f"{spelled} {value}", value.rstrip("="), None)
    return (EnvRule(action="unset", name=rule.name),)


def env_file(spelled: str, value: str, _option: Option) -> tuple[EnvRule, ...]:
    """The rules in a file."""
    try:
        with open(value, encoding="utf-8", errors="surrogateescape") as file:
            content = file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            "LWKPM-E010",
            f"{spelled}: cannot read {value!r}",
            f"{reason}",
            "give the path of a readable text file with lines NAME=VALUE",
        ) from None
    return parse_env_file(content, value)


def parse_env_file(content: str, path: str) -> tuple[EnvRule, ...]:
    """Lines ``NAME=VALUE`` or ``NAME``; values are taken as they are, without quotes or expansion (as podman does)."""
    rules = []
    for number, line in enumerate(content.splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        try:
            rules.append(env_rule(f"{path}:{number}", name, value if equals else None))
        except UsageError as error:
            raise UsageError("LWKPM-E010", error.what, error.why, "write NAME=VALUE or NAME, one a line") from None
    return tuple(rules)


def bind(spelled: str, value: str, _option: Option) -> tuple[Bind, ...]:
    """``src[:dst[:opts]]``; several separated by commas (apptainer, pyxis); ``type=bind,src=..,dst=..`` (podman)."""
    if value.startswith("type="):
        return (_long_bind(spelled, value),)
    whole: list[str] = []
    for piece in value.split(","):
        if whole and piece in _BIND_OPTIONS:
            whole[-1] += "," + piece
        else:
            whole.append(piece)
    return tuple(_short_bind(spelled, one) for one in whole)


def _short_bind(spelled: str, value: str) -> Bind:
    source, _, rest = value.partition(":")
    target, _, options = rest.partition(":")
    return _checked_bind(spelled, value, source, target, tuple(options.split(",")) if options else ())


def _long_bind(spelled: str, value: str) -> Bind:
    fields: dict[str, str] = {}
    options = []
    for piece in value.split(","):
        name, equals, content = piece.partition("=")
        if equals:
            fields[{"source": "src", "destination": "dst", "target": "dst"}.get(name, name)] = content
        else:
            options.append("ro" if name == "readonly" else name)
    if fields.pop("type", "") != "bind" or set(fields) - {"src", "dst"}:
        raise _bad_bind(spelled, value, "only type=bind with src, dst and options is known")
    return _checked_bind(spelled, value, fields.get("src", ""), fields.get("dst", ""), tuple(options))


def _checked_bind(spelled: str, value: str, source: str, target: str, options: tuple[str, ...]) -> Bind:
    import os.path  # loaded by the interpreter already

    if not source:
        raise _bad_bind(spelled, value, "there is no source path")
    unknown = [word for word in options if word not in _BIND_OPTIONS]
    if unknown:
        raise _bad_bind(spelled, value, f"unknown option {unknown[0]!r}; known are {', '.join(_BIND_OPTIONS)}")
    try:
        source = os.path.abspath(source)
    except OSError:
        raise _bad_bind(spelled, value, "the source is relative, but the current directory was removed") from None
    if not (target or source).startswith("/"):
        raise _bad_bind(spelled, value, f"the path inside the container, {target!r}, is not absolute")
    return Bind(source=source, target=target or source, options=options)


def _bad_bind(spelled: str, value: str, why: str) -> UsageError:
    fix = f"write {spelled} SRC, {spelled} SRC:/DST or {spelled} SRC:/DST:ro"
    return UsageError("LWKPM-E011", f"{spelled}: bad bind {value!r}", why, fix)


KINDS: dict[str, Callable[[str, str, Option], object]] = {
    "count": count,
    "seconds": seconds,
    "choice": choice,
    "text": text,
    "pattern": pattern,
    "stdin": stdin,
    "signals": signals,
    "env": env,
    "env_list": env_list,
    "env_unset": env_unset,
    "env_file": env_file,
    "bind": bind,
    "optional": text,
}
