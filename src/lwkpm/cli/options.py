"""The one option table of ``lwkpm-run``: the parser, the help text, completion and the docs all read it.

Spellings with one dash and several letters are accepted with two dashes as well, and the other way round (Hydra and
Intel MPI do so). The letters -c -e -m -o -p -s stay free on purpose: their meanings differ between launchers.
"""

from __future__ import annotations

from lwkpm.value import Value

MAX_PROCS = 1 << 20  # PMI and PMIx carry ranks as 32-bit numbers; more than this on one command line is a typing error


class Option(Value):
    """One option: `names` (first = the one shown), `dest` = field filled, `kind` = how its value is read."""

    names: tuple[str, ...]
    dest: str
    kind: str = "flag"
    metavar: str = ""
    help: str
    group: str
    scope: str = "job"  # job: once, in the first part; app: each part of an MPMD job; all: given once, meant for all
    choices: tuple[str, ...] = ()


class Foreign(Value):
    """An option known from another launcher: `owner` = whose it is, `instead` = what to do here."""

    owner: str
    instead: str


OPTIONS: tuple[Option, ...] = (
    Option(
        names=("-n", "-np", "--np", "--n", "--ntasks"),
        dest="np",
        kind="count",
        metavar="N",
        scope="app",
        group="processes",
        help="number of processes (ranks) of this part",
    ),
    Option(
        names=("--image",),
        dest="image",
        kind="text",
        metavar="URI",
        scope="app",
        group="processes",
        help="the image, for this part and those after it; IMAGE is then left out",
    ),
    Option(
        names=("--ppn", "-ppn", "-N", "--npernode", "--ntasks-per-node", "--tasks-per-node", "--perhost"),
        dest="ppn",
        kind="count",
        metavar="K",
        group="processes",
        help="processes per node",
    ),
    Option(
        names=("--usize", "-usize"),
        dest="usize",
        kind="count",
        metavar="N",
        group="processes",
        help="universe size told to the MPI library (default: the CPUs there are, at least the processes)",
    ),
    Option(
        names=("--separate-worlds",),
        dest="separate_worlds",
        group="processes",
        help="an MPI world of its own for each part between ':', so that parts may use different MPI libraries",
    ),
    Option(
        names=("--pset",),
        dest="pset",
        kind="text",
        metavar="NAME",
        scope="app",
        group="processes",
        help="the PMIx process set that the ranks of this part belong to",
    ),
    Option(
        names=("-x", "--env", "-env"),
        dest="env",
        kind="env",
        metavar="A[=V]",
        scope="app",
        group="environment",
        help="set A to V, or pass A (or A*) from the caller; also as 'A V' when spelled -env",
    ),
    Option(
        names=("-genv",),
        dest="env",
        kind="env",
        metavar="A V | A=V",
        scope="all",
        group="environment",
        help="set A to V in every part",
    ),
    Option(
        names=("-genvlist", "--envlist"),
        dest="env",
        kind="env_list",
        metavar="A,B",
        scope="all",
        group="environment",
        help="pass A and B from the caller in every part",
    ),
    Option(
        names=("--env-file",),
        dest="env",
        kind="env_file",
        metavar="FILE",
        scope="app",
        group="environment",
        help="lines NAME=VALUE (set) or NAME (pass); # begins a comment",
    ),
    Option(
        names=("--unset-env",),
        dest="env",
        kind="env_unset",
        metavar="A",
        scope="app",
        group="environment",
        help="remove A (or A*)",
    ),
    Option(
        names=("--clean-env", "--cleanenv"),
        dest="clean_env",
        scope="app",
        group="environment",
        help="start from an empty environment instead of the caller's",
    ),
    Option(
        names=("-genvnone",),
        dest="clean_env",
        scope="all",
        group="environment",
        help="the same for every part",
    ),
    Option(
        names=("-w", "--wdir", "-wd", "--cwd", "--pwd", "--workdir", "--chdir", "--container-workdir"),
        dest="wdir",
        kind="text",
        metavar="DIR",
        scope="app",
        group="container",
        help="working directory inside the container",
    ),
    Option(
        names=("-B", "--bind", "--mount", "--container-mounts"),
        dest="binds",
        kind="bind",
        metavar="SRC[:DST[:OPTS]]",
        scope="app",
        group="container",
        help="make SRC visible as DST; options: ro, rw, rprivate, nofail",
    ),
    Option(
        names=("--pidns",),
        dest="pid_namespace",
        group="container",
        help="give the container a pid namespace of its own",
    ),
    Option(
        names=("--keep",),
        dest="keep",
        group="container",
        help="keep the job directory and print its path",
    ),
    Option(
        names=("--map-by", "-map-by"),
        dest="map_by",
        kind="text",
        metavar="HOW",
        group="placement",
        help="slot, node, numa, package, core, hwthread, ppr:K:node or list:0,2-4 (default: slot)",
    ),
    Option(
        names=("--bind-to", "-bind-to"),
        dest="bind_to",
        kind="text",
        metavar="WHAT",
        group="placement",
        help="none, hwthread, core, numa or package (default: core if there are enough, else none)",
    ),
    Option(
        names=("--rank-by", "-rank-by"),
        dest="rank_by",
        kind="text",
        metavar="HOW",
        group="placement",
        help="slot or node (default: slot)",
    ),
    Option(
        names=("--cpus-per-rank", "--cpus-per-task", "--cpus-per-proc"),
        dest="cpus_per_rank",
        kind="count",
        metavar="C",
        group="placement",
        help="cores (or hardware threads) for each rank (default: 1)",
    ),
    Option(
        names=("--report-bindings", "-report-bindings"),
        dest="report_bindings",
        group="placement",
        help="print where each rank runs, on stderr",
    ),
    Option(
        names=("-l", "--label", "--tag-output", "-prepend-rank", "--label-io"),
        dest="label",
        group="output",
        help="begin every line with its rank: '[3] '",
    ),
    Option(
        names=("--outfile", "-outfile-pattern"),
        dest="outfile",
        kind="pattern",
        metavar="P",
        group="output",
        help="stdout into files; %r rank, %R with leading zeros, %l local rank, %h host, %n job, %% a %",
    ),
    Option(
        names=("--errfile", "-errfile-pattern"),
        dest="errfile",
        kind="pattern",
        metavar="P",
        group="output",
        help="stderr into files",
    ),
    Option(
        names=("--stdin",),
        dest="stdin",
        kind="stdin",
        metavar="WHO",
        group="output",
        help="who reads stdin: a rank, 'all' or 'none' (default: 0); 'tool': ranks read what a PMIx tool sends",
    ),
    Option(
        names=("-t", "--timeout"),
        dest="timeout_s",
        kind="seconds",
        metavar="SEC",
        group="time and signals",
        help="end the job after SEC seconds (also 90s, 5m, 2h; 0 = no limit; default: MPIEXEC_TIMEOUT)",
    ),
    Option(
        names=("--start-timeout", "--spawn-timeout"),
        dest="start_timeout_s",
        kind="seconds",
        metavar="SEC",
        group="time and signals",
        help="by when MPI ranks must have reached their PMI server (0 = no limit; default: 60)",
    ),
    Option(
        names=("--kill-delay",),
        dest="kill_delay_s",
        kind="seconds",
        metavar="SEC",
        group="time and signals",
        help="between TERM and KILL when the job is ended (default: 5)",
    ),
    Option(
        names=("--no-kill", "-disable-auto-cleanup"),
        dest="no_kill",
        group="time and signals",
        help="let the other ranks go on when one fails",
    ),
    Option(
        names=("--tools",),
        dest="tools",
        group="time and signals",
        help="let PMIx tools of this user connect: queries, output, job control",
    ),
    Option(
        names=("--stop-in-init",),
        dest="stop_in_init",
        group="time and signals",
        help="let the ranks wait in MPI_Init for a debugger (MPIR interface) or for kill -CONT of lwkpm-run",
    ),
    Option(
        names=("--signal-forward", "--forward-signals"),
        dest="forward_signals",
        kind="signals",
        metavar="LIST",
        group="time and signals",
        help="signals passed on to the ranks (default: HUP,USR1,USR2,TSTP,CONT; 'none')",
    ),
    Option(
        names=("--pmi", "--mpi"),
        dest="pmi",
        kind="choice",
        metavar="WHICH",
        choices=("auto", "pmix", "pmi2", "pmi1", "port"),
        group="PMI",
        help="auto (all at once), pmix, pmi2, pmi1, or port (PMI-1 over TCP, where descriptors get lost)",
    ),
    Option(
        names=("-v", "--verbose"),
        dest="verbosity",
        kind="more",
        group="information",
        help="say what is done; -vv also shows every PMI message",
    ),
    Option(names=("-vv",), dest="verbosity", kind="most", group="information", help="as -v -v"),
    Option(names=("-q", "--quiet"), dest="verbosity", kind="quiet", group="information", help="errors only"),
    Option(
        names=("--color", "--colour"),
        dest="color",
        kind="choice",
        metavar="WHEN",
        choices=("auto", "always", "never"),
        group="information",
        help="auto, always or never (auto heeds NO_COLOR and FORCE_COLOR)",
    ),
    Option(
        names=("--json",),
        dest="json",
        kind="optional",
        metavar="[=FILE]",
        group="information",
        help="events, one JSON object a line, on stderr or into FILE",
    ),
    Option(
        names=("--dry-run", "--do-not-launch", "--test-only"),
        dest="dry_run",
        group="information",
        help="print the plan and do nothing",
    ),
    Option(names=("-h", "--help"), dest="help", kind="help", group="information", help="this text"),
    Option(names=("-V", "--version"), dest="version", kind="version", group="information", help="the version"),
)


def key_of(spelling: str) -> str:
    """What a spelling is looked up by: one letter as it is, longer names without their dashes."""
    bare = spelling.lstrip("-")
    return bare if len(bare) > 1 and not spelling.startswith("---") else spelling


BY_KEY: dict[str, Option] = {key_of(name): option for option in OPTIONS for name in option.names}
