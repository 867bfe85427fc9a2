"""Groups, text for the log, and a server that ends although its ranks did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.mpi.pmix_cases import compile_c, drive, drive_c

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
    patience = {"LWKPM_TEST_PATIENCE_S": "1"}
    words = [f"{name}={value}" for name, value in client.items()]
    for _ in range(5):  # PMIx_server_finalize crashed in one of four
        report = drive(library, 3, "/usr/bin/env", *words, str(program), env=patience, driver="pmix_agent.py")
        assert set(report["codes"].values()) == {-9}
