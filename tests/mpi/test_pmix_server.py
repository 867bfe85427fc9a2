"""The PMIx server with real clients and no container: two libpmix versions as server, three PMIx versions as client."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.mpi.pmix_cases import SOURCE, drive, drive_client, drive_mpi, openmpi

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("_cffi_backend", reason="cffi is missing")


def ranks_of(report: dict[str, Any], event: str) -> list[int]:
    return sorted(entry["rank"] for entry in report["events"] if entry["event"] == event)


def only(report: dict[str, Any], event: str) -> dict[str, Any]:
    found = [entry for entry in report["events"] if entry["event"] == event]
    assert len(found) == 1, report["events"]
    return dict(found[0])


def test_openmpi_world(tmp_path: Path, library: str, version: str) -> None:
    report = drive_mpi(tmp_path, library, version, 4, "pmix_programs/attributes.c")
    assert report["output"] == [
        f"rank {rank} of 4: sum 6 node 4 appnum {int(rank == 3)} universe 7\n" for rank in range(4)
    ]
    assert report["codes"] == [0] * 4
    assert ranks_of(report, "PmixConnected") == ranks_of(report, "PmixFinalized") == [0, 1, 2, 3]


def test_blocking_calls_while_clients_connect_do_not_deadlock(tmp_path: Path, library: str, version: str) -> None:
    report = drive_mpi(tmp_path, library, version, 4, "pmix_programs/attributes.c", ("--busy",))
    assert report["codes"] == [0] * 4


def test_openmpi_publishes_a_name(tmp_path: Path, library: str, version: str) -> None:
    report = drive_mpi(tmp_path, library, version, 2, "programs/publish.c")
    assert report["output"] == ["publish: OK\n", ""]


def test_openmpi_accepts_and_connects_twice(tmp_path: Path, library: str, version: str) -> None:
    report = drive_mpi(tmp_path, library, version, 2, "pmix_programs/accept.c")
    assert report["output"] == ["meeting 1: 1\nmeeting 2: 1\n"] * 2


def test_openmpi_abort_carries_its_code(tmp_path: Path, library: str, version: str) -> None:
    report = drive_mpi(tmp_path, library, version, 3, "programs/abort7.c")
    abort = only(report, "PmixAborted")
    assert (abort["rank"], abort["status"], abort["targets"]) == (1, 7, [])
    assert report["codes"][1] == 7


def test_openmpi_sessions(tmp_path: Path) -> None:
    library = openmpi("5.0.11") / "lib" / "openmpi" / "libpmix.so.2"  # a 4.2 server cannot give 5.0 its group members
    report = drive_mpi(tmp_path, str(library), "5.0.11", 3, "pmix_programs/session.c")
    assert report["output"] == [f"session {rank} of 3: sum 3\n" for rank in range(3)]


def test_inherited_settings_do_not_reach_the_server(
    tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "show"
    program.write_text("#!/bin/sh\nenv | grep ^PMIX_\n")
    program.chmod(0o755)
    settings = {"PMIX_MCA_gds": "nonsense", "PMIX_MCA_psec": "none", "PMIX_RANK": "77"}
    report = drive(library, 2, str(program), env=settings)
    shown = dict(line.split("=", 1) for line in report["output"][1].splitlines())
    assert shown["PMIX_GDS_MODULE"] == "hash"
    assert shown["PMIX_SECURITY_MODE"] == "native"
    assert shown["PMIX_RANK"] == "1"
    assert shown["PMIX_MCA_gds"] == "nonsense"  # and ours is as it was after the start
    assert "PMIX_OUTPUT_STDERR_FD" not in shown


def test_binary_data_passes_a_fence(library: str) -> None:
    report = drive_client(library, 3, "exchange")
    assert [client["same"] for client in report["clients"]] == [True] * 3
    assert [client["statuses"] for client in report["clients"]] == [[0, 0, 0]] * 3
    assert [client["pmix.lrank"] for client in report["clients"]] == [0, 1, 2]
    assert [client["pmix.appnum"] for client in report["clients"]] == [0, 0, 1]
    assert report["host_fences"] == []


def test_fence_with_another_node_goes_through_the_handler(library: str) -> None:
    report = drive_client(library, 2, "exchange", ("--remote",))
    assert len(report["host_fences"]) == 1
    assert report["host_fences"][0] > 0
    first, second = report["clients"]
    assert first["same"]  # rank 1 is here
    assert second["got"] == "-46"  # rank 2 is not: direct modex, PMIX_ERR_NOT_FOUND


def test_publish_and_lookup(library: str) -> None:
    report = drive_client(library, 2, "lookup")
    assert len(report["clients"]) == 2
    for client in report["clients"]:
        assert client["absent"] == client["gone"] == -46
        assert client["again"] == -53
        assert client["published"] == client["unpublished"] == 0
        assert client["found"] == "port of 0; a=b"


def test_query_names_the_job(library: str) -> None:
    report = drive_client(library, 1, "query")
    assert report["clients"] == [{"init": 0, "status": 0, "found": ["lwkpm-test"], "finalize": 0}]


def test_abort_with_code_and_message(library: str) -> None:
    abort = only(drive_client(library, 2, "abort"), "PmixAborted")
    assert (abort["rank"], abort["status"], abort["message"]) == (1, 42, "the test wants it")
    assert abort["targets"] == []


def run_script(library: str, script: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-c", script, library], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


MANY_RANKS = """
import sys, tempfile, time
from lwkpm.pmi.pmix.server import PmixServer
with tempfile.TemporaryDirectory() as folder:
    server = PmixServer(sys.argv[1], folder, "node0")
    server.start()
    started = time.perf_counter()
    server.register_job("many", appnums=[0] * 256, local_ranks=range(256), universe_size=256, hostname="node0",
                        uid=1, gid=1)
    for rank in range(256):
        server.register_client("many", rank, 1, 1)
    found = [server.environment("many", rank) for rank in range(256)]
    took = time.perf_counter() - started
    same = all(sorted(found[rank]) == sorted(server.setup_fork("many", rank)) for rank in range(256))
    server.stop()
    server.stop()
print(same, took)
"""


def test_environment_of_256_ranks_is_what_setup_fork_gives(library: str) -> None:
    same, took = run_script(library, MANY_RANKS).split()
    assert same == "True"
    assert float(took) < 1.0  # 15 ms on a quiet machine


ONE_PER_PROCESS = """
import os, sys, tempfile
from lwkpm.pmi.pmix.server import PmixServer
before = set(os.listdir("/proc/self/fd"))
with tempfile.TemporaryDirectory() as folder:
    server = PmixServer(sys.argv[1], folder, "node0")
    server.start()
    ours = {str(fd) for name, fd in vars(server).items() if name.endswith("_fd")}
    server.register_job("job", appnums=[0], local_ranks=[0], universe_size=1, hostname="node0", uid=1, gid=1)
    server.notify(-182, "job")
    server.stop()
after = [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]
kinds = [os.readlink(f"/proc/self/fd/{fd}").split(":")[0] for fd in after if fd not in before and fd not in ours]
print(len(ours), len(ours & set(after)), *kinds)
try:
    server = PmixServer(sys.argv[1], "/tmp", "node0")
    server.start()
except RuntimeError as error:
    print(error)
"""


def test_stop_leaves_no_descriptor_and_no_second_server_is_made(library: str, request: pytest.FixtureRequest) -> None:
    counts, refusal = run_script(library, ONE_PER_PROCESS).splitlines()
    opened, left_of_ours, *left_of_library = counts.split()
    assert int(opened) >= 2
    assert left_of_ours == "0"
    # 4.2.2 leaves a pipe of its own in one of eight loaded runs (measured: 16 of 140; 5.0.11: 0 of 60). The process
    # has one server in its life, so that is one pipe, and no way to know it from outside.
    assert left_of_library in ([], ["pipe", "pipe"] if "4.2" in request.node.callspec.id else [])
    assert "one PmixServer only" in refusal


UNKNOWN = """
import sys
from lwkpm.errors import PmiError
from lwkpm.pmi.pmix.server import PmixServer
server = PmixServer(sys.argv[1], "/tmp", "node0")
server.start()
try:
    server._check(-27, "PMIx_anything")
except PmiError as error:
    print(error.code, error.why)
server.stop()
"""


def test_refusal_names_status_library_and_version(library: str) -> None:
    said = run_script(library, UNKNOWN)
    assert said.startswith("LWKPM-E052 ")
    assert "-27" in said
    assert library in said
