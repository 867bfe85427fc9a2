"""Jobs that grow: spawn, what the children know of their parent, and worlds that meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.mpi.pmix_cases import drive_mpi

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
