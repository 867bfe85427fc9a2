"""Jobs that grow: spawn, what the children know of their parent, and worlds that meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.mpi.pmix_cases import drive_c, drive_mpi

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("_cffi_backend", reason="cffi is missing")


def spawn(tmp_path: Path, library: str, version: str, ranks: int, *arguments: str) -> dict[str, Any]:
    source = "pmix_programs/spawn.c"
    return drive_mpi(tmp_path, library, version, ranks, source, arguments=arguments, driver="pmix_agent.py")


def requests(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [event for event in report["events"] if event["event"] == "PmixSpawnRequested"]


def test_openmpi_spawns_twice_and_parts(tmp_path: Path, library: str, version: str) -> None:
    report = spawn(tmp_path, library, version, 2)
    assert set(report["codes"].values()) == {0}
    assert [report["output"][f"lwkpm-test.{rank}"] for rank in range(2)] == [
        f"parent: {rank} of 4 sum 6\n" * 2 for rank in range(2)
    ]
    for job in (1, 2):
        assert [report["output"][f"lwkpm-test-{job}.{rank}"] for rank in range(2)] == [
            f"child: {2 + rank} of 4 sum 6\n" for rank in range(2)
        ]
    assert [event["nspace"] for event in requests(report)] == ["lwkpm-test"] * 2


def test_spawn_of_a_missing_program_is_an_error_that_harms_nobody(tmp_path: Path, library: str, version: str) -> None:
    ranks = 2 if version >= "5" else 1  # 4.1 tells only the root of the failure, the others wait for ever
    report = spawn(tmp_path, library, version, ranks, "/no/such/program")
    assert report["codes"] == {f"lwkpm-test.{rank}": 0 for rank in range(ranks)}
    assert [text.splitlines() for text in report["output"].values()] == [["refused", "refused"]] * ranks
    assert len(requests(report)) == 2


def test_openmpi_survives_a_killed_rank(tmp_path: Path, library: str) -> None:
    # Shared memory only: nothing but our event tells of the death.
    settings = {"OMPI_MCA_mpi_ft_enable": "1", "OMPI_MCA_btl": "self,sm"}
    report = drive_mpi(
        tmp_path,
        library,
        "5.0.11",
        4,
        "pmix_programs/survive.c",
        ("--no-kill",),
        driver="pmix_agent.py",
        settings=settings,
    )
    assert [report["output"][f"lwkpm-test.{rank}"] for rank in (0, 2, 3)] == [
        f"survive {rank} of 4: noticed, 3 left\n" for rank in (0, 2, 3)
    ]
    assert report["codes"] == {"lwkpm-test.0": 0, "lwkpm-test.1": -9, "lwkpm-test.2": 0, "lwkpm-test.3": 0}


ENDINGS = """event -201 lwkpm-test-1 0 code 0
event -145 lwkpm-test-1 -2 code 0
event -201 lwkpm-test-2 0 code 7
event -145 lwkpm-test-2 -2 code 7
event -200 lwkpm-test-3 0 code 3
event -201 lwkpm-test-3 0 code 3
event -145 lwkpm-test-3 -2 code 3
event -402 lwkpm-test-4 0 code 137
event -201 lwkpm-test-4 0 code 137
event -145 lwkpm-test-4 -2 code 137
event -7 lwkpm-test-5 0 code 9
event -201 lwkpm-test-5 0 code 9
event -145 lwkpm-test-5 -2 code 9"""


def test_every_way_to_end_is_told_to_those_who_asked(tmp_path: Path, library: str) -> None:
    report = drive_c(tmp_path, library, 1, "watch.c")
    lines = report["output"]["lwkpm-test.0"].splitlines()
    assert [line for line in lines if line.startswith("event")] == ENDINGS.splitlines()
    rest = [line for line in lines if not line.startswith("event")]
    assert rest == ["registered 1", "fine 0", "seven 0", "unfinished 0", "killed 0", "aborted 0"]


MET = "connect 0\nsize 2\nnumber 101\ndisconnect 0\n"


@pytest.mark.parametrize("mode", ["plain", "limit"])
def test_spawned_job_connects_with_its_parents(tmp_path: Path, library: str, mode: str) -> None:
    report = drive_c(tmp_path, library, 2, "connect.c", mode)
    assert [report["output"][f"lwkpm-test.{rank}"] for rank in range(2)] == [MET] * 2
    assert [report["output"][f"lwkpm-test-1.{rank}"] for rank in range(2)] == ["parent lwkpm-test 0\n" + MET] * 2


def test_connect_with_one_that_dies_is_an_error_for_the_others(tmp_path: Path, library: str) -> None:
    report = drive_c(tmp_path, library, 2, "connect.c", "die")
    ends = [text.splitlines()[-1] for name, text in report["output"].items() if name != "lwkpm-test-1.1"]
    assert len(ends) == 3
    # Partial success (-52) when libpmix saw it die while others waited, connection lost (-61) when it was gone before;
    # when it dies in between libpmix says success without asking us, and the end of the connection is the error.
    assert set(ends) <= {"connect -52", "connect -61", "disconnect -61"}
    assert len(set(ends)) == 1


def test_connect_with_an_unknown_job_is_an_error(tmp_path: Path, library: str) -> None:
    report = drive_c(tmp_path, library, 2, "connect.c", "stranger")
    assert [report["output"][f"lwkpm-test.{rank}"] for rank in range(2)] == ["connect -44\n"] * 2
