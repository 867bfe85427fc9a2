"""Queries: what runs, process sets, memory, and keys that are not."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from tests.mpi.pmix_cases import DEBIAN_PYTHON, HERE, drive, drive_c, need_binding

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("_cffi_backend", reason="cffi is missing")

QUERIES = {
    "pmix.qry.ns,pmix.qry.psetnum,pmix.qry.psets": "? 0\npmix.qry.ns lwkpm-test\npmix.qry.psetnum 2\n"
    "pmix.qry.psets a,b",
    "pmix.qry.nsinfo": "? 0\npmix.qry.nsinfo array\n  pmix.job.arr array\n    pmix.nspace lwkpm-test\n"
    "    pmix.cmd.line {program}\n    pmix.job.size 3",
    "pmix.qry.jst": "? 0\npmix.qry.jst status 0",
    "pmix.qry.jst;pmix.nspace=other": "? -46",
    "pmix.qry.ptable;pmix.nspace=lwkpm-test": "? 0\npmix.qry.ptable array\n"
    + "\n".join(f"  lwkpm-test.{rank} ask state 5 code 0 pid 1" for rank in range(3)),
    "pmix.qry.pmems;pmix.pset.nm=b": "? 0\npmix.qry.pmems array\n  lwkpm-test.1\n  lwkpm-test.2",
    "pmix.qry.pmems;pmix.pset.nm=c": "? -46",
    "pmix.qry.pgrp,pmix.qry.pgrpnum": "? 0\npmix.qry.pgrp array\npmix.qry.pgrpnum 0",
    "nonsense": "? -46",
    "nonsense,pmix.qry.ns": "? -52",
}


def test_queries_of_a_client(tmp_path: Path, library: str) -> None:
    # A fence at their end: all run as long as one asks.
    report = drive_c(tmp_path, library, 3, "ask.c", *QUERIES, options=("--pset", "a=0", "--pset", "b=1,2"))
    said = report["output"]["lwkpm-test.2"]
    assert said.strip() == "\n".join(QUERIES.values()).format(program=tmp_path / "ask")


def test_memory_is_told_per_node_and_per_rank(tmp_path: Path, library: str) -> None:
    query = "pmix.qry.mem;pmix.nspace=lwkpm-test"
    report = drive_c(tmp_path, library, 2, "ask.c", query, f"{query};pmix.rank=1")
    lines = [line.strip() for line in report["output"]["lwkpm-test.0"].splitlines()]
    assert lines[:4] == ["? 0", "pmix.qry.mem array", "pmix.node.arr array", f"pmix.hname {socket.gethostname()}"]
    assert float(lines[4].removeprefix("pmix.dmn.mem ")) > 5
    one, two = (
        ("pmix.proc.arr array", "pmix.procid lwkpm-test.0", "pmix.cl.mem.avg 1.0"),
        (
            "pmix.proc.arr array",
            "pmix.procid lwkpm-test.1",
            "pmix.cl.mem.avg 2.0",
        ),
    )
    assert lines[5:12] == ["pmix.cl.mem.avg 1.5", *one, *two]
    assert lines[-4:] == ["pmix.cl.mem.avg 2.0", *two]


def test_queries_of_the_python_binding(library: str) -> None:
    need_binding()
    queries = [{"keys": ["pmix.qry.ns", "pmix.qry.spawn"]}, {"keys": ["nonsense"]}]
    report = drive(
        library, 1, DEBIAN_PYTHON, "-Wignore", str(HERE / "pmix_asker.py"), json.dumps(queries), driver="pmix_agent.py"
    )
    line = next(line for line in report["output"]["lwkpm-test.0"].splitlines() if line.startswith("REPORT "))
    first, second = json.loads(line[7:])[1]
    assert first == [0, [["pmix.qry.ns", "lwkpm-test"], ["pmix.qry.spawn", "pmix.wdir,pmix.host,pmix.addhost"]]]
    assert second[0] == -46


def test_process_set_of_a_rank(tmp_path: Path, library: str) -> None:
    options = ("--pset", "app://even=0,2")
    report = drive_c(tmp_path, library, 3, "psets.c", options=options)
    assert set(report["output"].values()) == {"0 0 app://even\n1 0 \n2 0 app://even\n"}
