"""What the user asked for: the parsed command line as values, before anything was looked up or decided."""

from __future__ import annotations

from lwkpm.value import Value


class EnvRule(Value):
    """One environment request, in command-line order.

    action: ``set`` (name=value), ``pass`` (copy matching names from the caller; glob allowed), ``unset`` (glob).
    """

    action: str
    name: str
    value: str = ""


class Bind(Value):
    """One ``-B src[:dst[:opts]]``; options: ro, rw, rprivate, nofail."""

    source: str
    target: str
    options: tuple[str, ...] = ()


class AppContext(Value):
    """One part of an MPMD job (PMIx: app context). `image` is a URI or path, ``host://`` for no container."""

    image: str
    argv: tuple[str, ...]
    np: int | None = None
    env: tuple[EnvRule, ...] = ()
    clean_env: bool = False
    wdir: str | None = None
    binds: tuple[Bind, ...] = ()
    pset: str = ""  # PMIx process set that its ranks belong to


class Job(Value):
    """One launch. Times in seconds, 0 or None = no limit where it says so."""

    apps: tuple[AppContext, ...]
    ppn: int | None = None
    usize: int | None = None
    map_by: str = "slot"
    bind_to: str | None = None  # None = core if every rank can have one, else none
    rank_by: str = "slot"
    cpus_per_rank: int = 1
    stop_in_init: bool = False  # for a debugger
    tools: bool = False  # PMIx tools of this user may connect
    separate_worlds: bool = False  # one MPI world for each part
    pmi: str = "auto"  # auto, pmix, pmi2, pmi1, port (PMI-1 over TCP)
    label: bool = False
    outfile: str | None = None
    errfile: str | None = None
    stdin: str = "0"  # "0", "all", "none", "tool" or a rank number
    timeout_s: float | None = None
    start_timeout_s: float = 60.0  # 0 = no limit
    kill_delay_s: float = 5.0
    kill_on_failure: bool = True
    forward_signals: tuple[str, ...] = ("HUP", "USR1", "USR2", "TSTP", "CONT")
    pid_namespace: bool = False
    verbosity: int = 0  # -1 quiet, 0, 1 (-v), 2 (-vv: every PMI message)
    json: str | None = None  # "-" = stderr, else a file
    color: str = "auto"
    dry_run: bool = False
    report_bindings: bool = False
    keep: bool = False
