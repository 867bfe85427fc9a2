"""Groups, text for the log, requests that make no sense, and a server that ends although its ranks did not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.mpi.pmix_cases import DEBIAN_PYTHON, HERE, compile_c, drive, drive_c, need_binding

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("_cffi_backend", reason="cffi is missing")

BUILT = ["construct 0 context 1", "pmix.qry.pgrpnum 0 1", "destruct 0", "pmix.qry.pgrpnum 0 0"]


def test_groups(tmp_path: Path, library: str, client: dict[str, str], request: pytest.FixtureRequest) -> None:
    report = drive_c(tmp_path, library, 3, "groups.c", "invite", env=client)
    case = request.node.callspec.id
    expected = list(BUILT)
    if "libpmix-5.0" in case and "client-4.2" in case:
        expected[2:] = ["destruct -27", "pmix.qry.pgrpnum 0 1"]  # 4.2 does not name the members, 5.0 asks for them
    if "libpmix-4.2" in case and "client-5.0" in case:
        # 5.0 wants the members from the server, 4.2 does not pass them on.
        expected = ["construct -50 context 0", "pmix.qry.pgrpnum 0 1", "destruct -46", "pmix.qry.pgrpnum 0 1"]
    for rank in range(3):
        lines = [line for line in report["output"][f"lwkpm-test.{rank}"].splitlines() if "PMIX ERROR" not in line]
        met = ["invited 1 to guests", "join 0"] if rank else ["invite 0"]
        assert lines == [*expected, *met]


def test_group_and_event_of_the_python_binding(library: str) -> None:
    need_binding()
    command = [DEBIAN_PYTHON, "-Wignore", str(HERE / "pmix_watcher.py")]
    report = drive(library, 2, "--no-kill", *command, driver="pmix_agent.py")
    line = next(line for line in report["output"]["lwkpm-test.0"].splitlines() if line.startswith("REPORT "))
    assert json.loads(line[7:]) == [0, [-200], 0, 0]
    assert report["codes"] == {"lwkpm-test.0": 0, "lwkpm-test.1": 3}


NONSENSE = """spawn none -27
spawn less -27
spawn missing -190
publish huge -29
publish empty 0
lookup text -46
lookup past -46
lookup never -46
unpublish -46
signal half -27
pset nameless -47
nothing known -47
connect rank -46
connect job -44
log nothing -27
credential -47
allocate -47
"""


def test_nonsense_is_answered_and_harms_nobody(tmp_path: Path, library: str, client: dict[str, str]) -> None:
    report = drive_c(tmp_path, library, 2, "nonsense.c", env=client)
    assert report["output"] == {"lwkpm-test.0": "publish 0\n", "lwkpm-test.1": NONSENSE}
    assert report["codes"] == {"lwkpm-test.0": 0, "lwkpm-test.1": 0}


LOG = """pmix.log.stdout 0
pmix.log.stderr 0
pmix.log.syslog 0
pmix.log.jrec -47
lwkpm.unknown -47
both -52
"""


def test_text_for_the_log(tmp_path: Path, library: str, client: dict[str, str]) -> None:
    report = drive_c(tmp_path, library, 1, "log.c", env=client)
    assert report["output"]["lwkpm-test.0"] == LOG
    said = [(event["stream"], event["message"]) for event in report["events"] if event["event"] == "PmixLog"]
    assert said == [(stream, "said") for stream in ("stdout", "stderr", "syslog", "stdout")]


def test_server_ends_when_ranks_are_killed_in_a_fence(tmp_path: Path, library: str, client: dict[str, str]) -> None:
    program = compile_c(tmp_path, "hang.c")
    patience = {"LWKPM_TEST_PATIENCE_S": "1", "MALLOC_PERTURB_": "165"}  # freed memory is overwritten
    words = [f"{name}={value}" for name, value in client.items()]
    for _ in range(5):  # without `park`, and with PMIx_server_finalize, one in four crashed
        report = drive(library, 3, "/usr/bin/env", *words, str(program), env=patience, driver="pmix_agent.py")
        assert set(report["codes"].values()) == {-9}
