"""The command line of lwkpm-run: what is accepted, and what is said when it is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lwkpm.cli.foreign import FOREIGN
from lwkpm.cli.help import run_help
from lwkpm.cli.options import BY_KEY, OPTIONS, key_of
from lwkpm.cli.parse import AnswerOnly, nearest, parse_run
from lwkpm.errors import UsageError
from lwkpm.job.spec import Bind, EnvRule, Job


def parse(line: str, **environ: str) -> Job:
    return parse_run(line.split(), environ)


def test_the_common_case() -> None:
    job = parse("-n 4 demo.sqfs ring -n 7 --label x:y")
    assert len(job.apps) == 1
    assert (job.apps[0].image, job.apps[0].np) == ("demo.sqfs", 4)
    assert job.apps[0].argv == ("ring", "-n", "7", "--label", "x:y")
    assert job == Job(apps=job.apps)


@pytest.mark.parametrize("spelling", ["-n 4", "-np 4", "--np 4", "--n 4", "--ntasks 4", "--np=4", "-np=4", "-n=4"])
def test_spellings_of_n(spelling: str) -> None:
    assert parse(f"{spelling} i a").apps[0].np == 4


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ("--ppn 2", "ppn", 2),
        ("-ppn 2", "ppn", 2),
        ("-N 2", "ppn", 2),
        ("-usize 9", "usize", 9),
        ("-map-by numa", "map_by", "numa"),
        ("--bind-to=core", "bind_to", "core"),
        ("--rank-by node", "rank_by", "node"),
        ("--cpus-per-task 3", "cpus_per_rank", 3),
        ("--pmi pmix", "pmi", "pmix"),
        ("-l", "label", True),
        ("-prepend-rank", "label", True),
        ("--tag-output", "label", True),
        ("-outfile-pattern o.%r", "outfile", "o.%r"),
        ("--errfile=e.%R", "errfile", "e.%R"),
        ("--stdin all", "stdin", "all"),
        ("--stdin 3", "stdin", "3"),
        ("-t 90", "timeout_s", 90.0),
        ("--timeout 1.5", "timeout_s", 1.5),
        ("--timeout 2m", "timeout_s", 120.0),
        ("--timeout 1h", "timeout_s", 3600.0),
        ("--timeout 0", "timeout_s", None),
        ("--start-timeout 0", "start_timeout_s", 0.0),
        ("--kill-delay 0.5s", "kill_delay_s", 0.5),
        ("--no-kill", "kill_on_failure", False),
        ("--signal-forward USR1,sigwinch", "forward_signals", ("USR1", "WINCH")),
        ("--forward-signals none", "forward_signals", ()),
        ("--pidns", "pid_namespace", True),
        ("-v", "verbosity", 1),
        ("-v -v", "verbosity", 2),
        ("-v -v -v", "verbosity", 2),
        ("-vv", "verbosity", 2),
        ("-q", "verbosity", -1),
        ("-q -v", "verbosity", 1),
        ("--json", "json", "-"),
        ("--json=out.json", "json", "out.json"),
        ("--color never", "color", "never"),
        ("--dry-run", "dry_run", True),
        ("--report-bindings", "report_bindings", True),
        ("--keep", "keep", True),
    ],
)
def test_options_of_the_job(options: str, field: str, value: object) -> None:
    job = parse(f"-n 4 {options} i a")
    assert getattr(job, field) == value
    assert job.replace(**{field: getattr(Job, field)}) == Job(apps=job.apps)


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ("-x A", [("pass", "A", "")]),
        ("-x A=v", [("set", "A", "v")]),
        ("-x A=", [("set", "A", "")]),
        ("-x A=b=c", [("set", "A", "b=c")]),
        ("-x=A=v", [("set", "A", "v")]),
        ("-x A*", [("pass", "A*", "")]),
        ("--env A", [("pass", "A", "")]),
        ("-env A v", [("set", "A", "v")]),
        ("-genv A v", [("set", "A", "v")]),
        ("-genv A=v", [("set", "A", "v")]),
        ("-genv A -n", [("set", "A", "-n")]),
        ("--genv A v", [("set", "A", "v")]),
        ("-genvlist A,B", [("pass", "A", ""), ("pass", "B", "")]),
        ("--unset-env A*", [("unset", "A*", "")]),
        ("-x A=1 --unset-env A -x A=2", [("set", "A", "1"), ("unset", "A", ""), ("set", "A", "2")]),
    ],
)
def test_environment_options(options: str, rules: list[tuple[str, str, str]]) -> None:
    expected = tuple(EnvRule(action=action, name=name, value=value) for action, name, value in rules)
    assert parse(f"-n 1 {options} i a").apps[0].env == expected


def test_env_file(tmp_path: Path) -> None:
    path = tmp_path / "vars"
    path.write_text("# note\n\nA=1 2\nB\n  C='q'  \n")
    rules = parse(f"-n 1 --env-file {path} i a").apps[0].env
    assert [(rule.action, rule.name, rule.value) for rule in rules] == [
        ("set", "A", "1 2"),
        ("pass", "B", ""),
        ("set", "C", "'q'"),
    ]


@pytest.mark.parametrize(
    ("value", "binds"),
    [
        ("/a", [("/a", "/a", ())]),
        ("/a:/b", [("/a", "/b", ())]),
        ("/a:/b:ro", [("/a", "/b", ("ro",))]),
        ("/a:/b:ro,nofail,/c", [("/a", "/b", ("ro", "nofail")), ("/c", "/c", ())]),
        ("/a,/c:/d", [("/a", "/a", ()), ("/c", "/d", ())]),
        ("/a/../b/", [("/b", "/b", ())]),
        ("type=bind,src=/a,dst=/b,ro", [("/a", "/b", ("ro",))]),
        ("type=bind,source=/a,target=/b,readonly", [("/a", "/b", ("ro",))]),
    ],
)
def test_binds(value: str, binds: list[tuple[str, str, tuple[str, ...]]]) -> None:
    expected = tuple(Bind(source=source, target=target, options=options) for source, target, options in binds)
    assert parse(f"-n 1 -B {value} i a").apps[0].binds == expected


def test_relative_bind_source_is_the_callers() -> None:
    assert parse("-n 1 -B data:/d i a").apps[0].binds == (Bind(source=f"{os.getcwd()}/data", target="/d"),)


def test_parts() -> None:
    job = parse("-l -n 1 -x A=1 -w /a i a x : -np 2 -B /b --clean-env j b : -n 3 -genv G g k c")
    assert [(app.image, app.argv, app.np) for app in job.apps] == [
        ("i", ("a", "x"), 1),
        ("j", ("b",), 2),
        ("k", ("c",), 3),
    ]
    assert [[rule.name for rule in app.env] for app in job.apps] == [["G", "A"], ["G"], ["G"]]
    assert [app.wdir for app in job.apps] == ["/a", None, None]
    assert [len(app.binds) for app in job.apps] == [0, 1, 0]
    assert [app.clean_env for app in job.apps] == [False, True, False]


def test_genvnone_is_for_all_parts() -> None:
    assert [app.clean_env for app in parse("-genvnone -n 1 i a : -n 1 i a").apps] == [True, True]


def test_image_option_holds_until_the_next() -> None:
    job = parse("-n 1 --image i a : -n 1 b : -n 1 --image=j c : -n 1 d")
    assert [(app.image, app.argv) for app in job.apps] == [("i", ("a",)), ("i", ("b",)), ("j", ("c",)), ("j", ("d",))]


def test_two_dashes_end_the_options() -> None:
    assert parse("-n 1 -- -odd-image a").apps[0].image == "-odd-image"


@pytest.mark.parametrize(("value", "expected"), [("60", 60.0), ("-1", None), ("", None), ("0", None)])
def test_mpiexec_timeout(value: str, expected: float | None) -> None:
    assert parse("-n 1 i a", MPIEXEC_TIMEOUT=value).timeout_s == expected


def test_option_wins_over_mpiexec_timeout() -> None:
    assert parse("-n 1 -t 5 i a", MPIEXEC_TIMEOUT="nonsense").timeout_s == 5.0


@pytest.mark.parametrize(("line", "topic"), [("--help", "help"), ("-h", "help"), ("-n 4 --version", "version")])
def test_answers(line: str, topic: str) -> None:
    with pytest.raises(AnswerOnly) as caught:
        parse(line)
    assert caught.value.topic == topic


# line, code, what, part of why, part of fix
WRONG = [
    (
        "--bindto core -n 1 i a",
        "E001",
        "unknown option --bindto",
        "nearest option of lwkpm-run is --bind-to",
        "--bind-to?",
    ),
    ("--lable -n 1 i a", "E001", "unknown option --lable", "nearest", "did you mean --label?"),
    ("-time 3 i a", "E001", "unknown option -time", "an option of srun", "use --timeout SEC"),
    ("--lab -n 1 i a", "E001", "unknown option --lab", "nearest", "--label"),
    ("--qqqqqqq i a", "E001", "unknown option --qqqqqqq", "no option like it", "lwkpm-run --help"),
    ("-H a,b -n 1 i a", "E001", "unknown option -H", "Open MPI mpirun, Hydra", "leave it out: this version"),
    ("--mca btl self -n 1 i a", "E001", "unknown option --mca", "Open MPI mpirun", "-x OMPI_MCA_NAME=VALUE"),
    ("--oversubscribe -n 1 i a", "E001", "unknown option --oversubscribe", "Open MPI", "leave it out"),
    ("-c 4 i a", "E001", "unknown option -c", "srun", "--cpus-per-rank C"),
    ("--nv -n 1 i a", "E001", "unknown option --nv", "apptainer", "-B SRC:DST"),
    ("-n4 i a", "E001", "unknown option -n4", "not glued", "write -n 4"),
    ("-n", "E002", "-n needs a value (N)", "the command line ends there", "write -n N"),
    ("-n --label i a", "E002", "-n needs a value (N)", "what follows, --label, is an option", "write -n N"),
    ("-n 1 -genv A", "E002", "-genv A needs a value", "takes a name and a value", "-genv A=VALUE"),
    (
        "--label=yes -n 1 i a",
        "E002",
        "--label takes no value, but was given 'yes'",
        "--label: begin",
        "write --label alone",
    ),
    ("-n 1 --stdin some i a", "E003", "--stdin: bad value 'some'", "neither a rank nor", "--stdin 0"),
    ("-n 2 --stdin 2 i a", "E003", "--stdin: bad value '2'", "ranks 0 to 1", "'all' or 'none'"),
    ("-n 1 -t 10:00 i a", "E003", "-t: bad value '10:00'", "10 minutes are 600 or 10m", "600, 90s, 10m, 2h"),
    ("-n 1 -t -5 i a", "E003", "-t: bad value '-5'", "seconds are wanted", "give seconds"),
    ("-n 1 -t nan i a", "E003", "-t: bad value 'nan'", "seconds are wanted", "give seconds"),
    ("-n 1 -t 1e400 i a", "E003", "-t: bad value '1e400'", "seconds are wanted", "give seconds"),
    ("-n 1 --pmi pmi3 i a", "E003", "--pmi: bad value 'pmi3'", "not one of the words", "auto, pmix, pmi2, pmi1"),
    ("-n 1 --color maybe i a", "E003", "--color: bad value 'maybe'", "not one of", "auto, always, never"),
    ("-n 1 --signal-forward FOO i a", "E003", "--signal-forward: bad value 'FOO'", "named 'FOO'", "HUP, USR1"),
    ("-n 1 --signal-forward KILL i a", "E003", "--signal-forward: bad value 'KILL'", "ends or stops", "leave KILL out"),
    ("-n 1 --json= i a", "E003", "--json: bad value ''", "it is empty", "leave --json out"),
    ("-n 0 i a", "E004", "-n: bad number '0'", "0 or negative", "from 1 to 1048576"),
    ("-np -3 i a", "E004", "-np: bad number '-3'", "0 or negative", "from 1 to 1048576"),
    ("-n four i a", "E004", "-n: bad number 'four'", "not a whole number", "-n 4"),
    ("-n 1.5 i a", "E004", "-n: bad number '1.5'", "not a whole number", "-n 4"),
    ("-n \u00b2 i a", "E004", "-n: bad number '\u00b2'", "not a whole number", "-n 4"),
    ("-n 1048577 i a", "E004", "-n: bad number '1048577'", "more than 1048576", "from 1 to"),
    ("-n " + "9" * 5000 + " i a", "E004", "-n: bad number '" + "9" * 5000 + "'", "more than 1048576", "from 1 to"),
    ("-n 1048576 i a : -n 1 i a", "E004", "1048577 processes in all are too many", "add up", "lower the -n"),
    ("i a", "E004", "how many processes?", "no -n before 'a'", "lwkpm-run -n 4 i a"),
    ("-n 1 i a : j b", "E004", "how many processes in part 2?", "no -n before 'b'", "lwkpm-run -n 4 j b"),
    ("--ppn 0 -n 1 i a", "E004", "--ppn: bad number '0'", "0 or negative", "--ppn 4"),
    ("", "E005", "no image", "an image and a program are expected", "usage: lwkpm-run"),
    ("-n 2", "E005", "no image", "an image and a program are expected", "host://"),
    ("-n 2 i a :", "E005", "no image in part 2", "a lone ':' begins a new part", "usage"),
    ("-n 2 : i a", "E005", "no image", "expected", "usage"),
    ("-n 2 i", "E006", "no program", "'i' was taken as the image", "lwkpm-run -n 2 IMAGE PROGRAM"),
    ("-n 2 --image i", "E006", "no program", "the image 'i' came from --image", "IMAGE PROGRAM"),
    (
        "i -n 2 a",
        "E006",
        "the program would be '-n', which looks like an option",
        "end at the image, 'i'",
        "before the image",
    ),
    (
        "-n 1 i a : -n 1 --label j b",
        "E007",
        "--label is for the whole job, but stands after a ':'",
        "only -n",
        "before the first",
    ),
    ("-n 1 -x =v i a", "E008", "-x =v: bad variable name ''", "neither empty", "-x NAME=VALUE"),
    ("-n 1 -x A*=v i a", "E008", "-x A*=v: a pattern cannot be given a value", "several variables", "-x 'A*'"),
    ("-n 1 -genvlist A,,B i a", "E008", "-genvlist A,,B: bad variable name ''", "neither empty", "-x NAME"),
    ("-n 1 --env-file /nope i a", "E010", "--env-file: cannot read '/nope'", "No such file", "readable text file"),
    ("-n 1 -B /a:b i a", "E011", "-B: bad bind '/a:b'", "'b', is not absolute", "-B SRC:/DST"),
    ("-n 1 -B /a:/b:z i a", "E011", "-B: bad bind '/a:/b:z'", "unknown option 'z'; known are ro, rw", "-B SRC"),
    ("-n 1 -B :/b i a", "E011", "-B: bad bind ':/b'", "no source path", "-B SRC"),
    (
        "-n 1 --mount type=tmpfs,dst=/b i a",
        "E011",
        "--mount: bad bind 'type=tmpfs,dst=/b'",
        "only type=bind",
        "--mount SRC",
    ),
    ("-n 1 --outfile o.%z i a", "E014", "--outfile: bad pattern 'o.%z'", "%z means nothing", "%r rank"),
]


@pytest.mark.parametrize(
    ("line", "code", "what", "why", "fix"), WRONG, ids=[row[0][:40] or "(nothing)" for row in WRONG]
)
def test_wrong_usage(line: str, code: str, what: str, why: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line)
    error = caught.value
    assert (error.code, error.what, error.exit_status) == (f"LWKPM-{code}", what, 125)
    assert why in error.why
    assert fix in error.fix


def test_empty_values_are_refused() -> None:
    for argv in (["-n", "1", "-w", "", "i", "a"], ["-n", "1", "", "a"], ["-n", "1", "i", ""], ["-n", "", "i", "a"]):
        with pytest.raises(UsageError):
            parse_run(argv, {})


def test_wrong_mpiexec_timeout() -> None:
    with pytest.raises(UsageError) as caught:
        parse("-n 1 i a", MPIEXEC_TIMEOUT="soon")
    assert (caught.value.code, caught.value.what) == ("LWKPM-E016", "the variable MPIEXEC_TIMEOUT: bad value 'soon'")


def test_wrong_line_of_an_env_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "vars"
    path.write_text("A=1\nB C=2\n")
    with pytest.raises(UsageError) as caught:
        parse(f"-n 1 --env-file {path} i a")
    assert (caught.value.code, caught.value.what) == ("LWKPM-E010", f"{path}:2: bad variable name 'B C'")


def test_every_option_has_help_and_spellings_are_unique() -> None:
    assert [option.names[0] for option in OPTIONS if not option.help or not option.group] == []
    spellings = [key for option in OPTIONS for key in {key_of(name) for name in option.names}]
    assert len(spellings) == len(set(spellings)) == len(BY_KEY)
    assert [name for name in FOREIGN if key_of(name) in BY_KEY] == []


def test_help_names_every_spelling() -> None:
    text = run_help()
    assert [name for option in OPTIONS for name in option.names if name not in text] == []
    assert max(map(len, text.splitlines())) <= 120


def test_nearest_ignores_case_and_dashes() -> None:
    assert nearest("-LABEL") == "--label"
    assert nearest("--zzzz") is None


HEAVY = ("argparse", "re", "typing", "dataclasses", "json", "logging", "enum", "difflib", "fnmatch", "pathlib")


def test_the_run_path_imports_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules); from lwkpm.cli import main, parse; from lwkpm.job import environment,"
        "mapping; job = parse.parse_run(['-n', '2', '-x', 'A*', '-genv', 'B', 'c', '-B', '/a', 'i', 'a'], {});"
        "environment.app_environment({'A': '1'}, job.apps[0], False, {}); mapping.map_ranks(job, None);"
        "print(*(set(sys.modules) - before))"
    )
    source = str(Path(__file__).parents[2] / "src")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {source!r}); {code}"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert set(done.stdout.split()) & set(HEAVY) == set()
