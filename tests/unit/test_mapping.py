"""Mapping and binding, on machines made up for the purpose."""

from __future__ import annotations

import os

import pytest

from lwkpm.agent.topology import read_topology
from lwkpm.errors import UsageError
from lwkpm.job.mapping import map_ranks, needs_topology
from lwkpm.job.spec import AppContext, Job
from lwkpm.job.topology import Topology, make_topology, parse_cpulist


def machine(packages: int = 2, cores: int = 4, threads: int = 2) -> Topology:
    """CPU numbers as Linux gives them: first threads of all cores, then second threads."""
    total = packages * cores
    cpus = range(total * threads)
    return Topology(
        cpus=tuple(cpus),
        core_of_cpu={cpu: cpu % total for cpu in cpus},
        package_of_cpu={cpu: cpu % total // cores for cpu in cpus},
        numa_of_cpu={cpu: cpu % total // cores for cpu in cpus},
    )


def job(procs: int, **fields: object) -> Job:
    return Job(apps=(AppContext(image="i", argv=("a",), np=procs),), **fields)  # type: ignore[arg-type]


def masks(procs: int, topology: Topology, **fields: object) -> list[tuple[int, ...]]:
    return [proc.cpus for proc in map_ranks(job(procs, **fields), topology)]


@pytest.mark.parametrize(
    ("procs", "fields", "expected"),
    [
        (2, {}, [(0, 8), (1, 9)]),
        (9, {}, [()] * 9),
        (3, {"cpus_per_rank": 2}, [(0, 1, 8, 9), (2, 3, 10, 11), (4, 5, 12, 13)]),
        (2, {"bind_to": "none"}, [(), ()]),
        (2, {"bind_to": "hwthread"}, [(0,), (8,)]),
        (2, {"map_by": "hwthread"}, [(0,), (8,)]),
        (2, {"map_by": "core", "bind_to": "hwthread"}, [(0,), (1,)]),
        (3, {"map_by": "numa"}, [(0, 8), (4, 12), (1, 9)]),
        (2, {"map_by": "package", "bind_to": "package"}, [(0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)]),
        (2, {"map_by": "socket", "bind_to": "socket"}, [(0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)]),
        (3, {"map_by": "ppr:2:numa"}, [(0, 8), (1, 9), (4, 12)]),
        (2, {"map_by": "ppr:2:node"}, [(0, 8), (1, 9)]),
        (3, {"map_by": "ppr:2:core", "bind_to": "core"}, [(0, 8), (0, 8), (1, 9)]),
        (3, {"map_by": "list:5,1-2"}, [(5,), (1,), (2,)]),
        (2, {"map_by": "list:5,1-3", "cpus_per_rank": 2}, [(1, 5), (2, 3)]),
        (3, {"map_by": "list:0-1"}, [(0,), (1,), (0,)]),
        (2, {"map_by": "list:0-1", "bind_to": "core"}, [(0, 8), (1, 9)]),
        (9, {"bind_to": "core"}, [(n % 8, n % 8 + 8) for n in range(9)]),
        (2, {"cpus_per_rank": 99}, [(), ()]),
    ],
)
def test_masks(procs: int, fields: dict[str, object], expected: list[tuple[int, ...]]) -> None:
    assert [proc.cpus for proc in map_ranks(job(procs, **fields), machine())] == expected


def test_only_allowed_cpus_are_used() -> None:
    narrow = machine().replace(cpus=(2, 3, 10))
    assert masks(2, narrow) == [(2, 10), (3,)]
    assert masks(3, narrow) == [(), (), ()]
    assert masks(1, narrow, bind_to="package") == [(2, 3, 10)]


def test_parts_follow_each_other() -> None:
    apps = tuple(AppContext(image="i", argv=("a",), np=np) for np in (2, 1))
    procs = map_ranks(Job(apps=apps), machine())
    assert [(proc.rank, proc.app, proc.local_rank, proc.node) for proc in procs] == [
        (0, 0, 0, 0),
        (1, 0, 1, 0),
        (2, 1, 2, 0),
    ]


def test_without_topology_nothing_is_bound() -> None:
    assert [proc.cpus for proc in map_ranks(job(3), None)] == [(), (), ()]


@pytest.mark.parametrize(
    ("procs", "fields", "needed"),
    [
        (2, {}, True),
        (3, {}, False),
        (3, {"bind_to": "core"}, True),
        (1, {"bind_to": "none"}, False),
        (9, {"map_by": "ppr:1:numa"}, True),
        (9, {"map_by": "list:0"}, True),
    ],
)
def test_needs_topology(procs: int, fields: dict[str, object], needed: bool) -> None:
    assert needs_topology(job(procs, **fields), allowed=2) is needed


@pytest.mark.parametrize(
    ("procs", "fields", "code", "what", "in_fix"),
    [
        (1, {"map_by": "board"}, "E012", "--map-by: bad value 'board'", "slot, node, numa"),
        (1, {"map_by": "ppr:0:node"}, "E012", "--map-by: bad value 'ppr:0:node'", "ppr:K:node"),
        (1, {"map_by": "ppr:2"}, "E012", "--map-by: bad value 'ppr:2'", "ppr:K:node"),
        (1, {"map_by": "slot:PE=4"}, "E012", "--map-by: bad value 'slot:PE=4'", "slot"),
        (1, {"map_by": "list:"}, "E012", "--map-by: bad value 'list:'", "list:0,2-4"),
        (1, {"map_by": "list:4-2"}, "E012", "--map-by: bad value 'list:4-2'", "list:0,2-4"),
        (1, {"bind_to": "board"}, "E012", "--bind-to: bad value 'board'", "none, hwthread, core, numa, package"),
        (1, {"rank_by": "fill"}, "E012", "--rank-by: bad value 'fill'", "slot, node"),
        (1, {"map_by": "list:99"}, "E013", "--map-by list:99: CPU 99 cannot be used", "list only those"),
        (5, {"map_by": "ppr:2:numa"}, "E013", "--map-by ppr:2:numa has room for 4 of 5 ranks", "raise K"),
        (4, {"ppn": 2}, "E013", "--ppn 2 leaves 2 of 4 ranks without a place", "--ppn 4"),
        (
            1,
            {"cpus_per_rank": 9, "bind_to": "core"},
            "E013",
            "--cpus-per-rank 9 is more than there is",
            "--bind-to none",
        ),
    ],
)
def test_bad_requests(procs: int, fields: dict[str, object], code: str, what: str, in_fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        map_ranks(job(procs, **fields), machine())
    assert (caught.value.code, caught.value.what) == (f"LWKPM-{code}", what)
    assert in_fix in caught.value.fix


@pytest.mark.parametrize(("text", "cpus"), [("0", (0,)), ("0,2-4\n", (0, 2, 3, 4)), ("7-7", (7,))])
def test_cpulist(text: str, cpus: tuple[int, ...]) -> None:
    assert parse_cpulist(text) == cpus


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "3-1", "0,,1", "0-99999999"])
def test_bad_cpulist(text: str) -> None:
    with pytest.raises(ValueError, match="CPU"):
        parse_cpulist(text)


def test_topology_from_sysfs_texts() -> None:
    made = make_topology((1, 2, 3), {1: "1,3", 3: "1,3"}, {1: "1"}, {0: "0-1", 5: "2-3", 6: "\n"})
    assert (made.core_of_cpu, made.package_of_cpu) == ({1: 1, 2: 2, 3: 1}, {1: 1, 2: 0, 3: 0})
    assert made.numa_of_cpu == {1: 0, 2: 5, 3: 5}


def test_topology_of_this_machine() -> None:
    topology = read_topology()
    assert topology.cpus == tuple(sorted(os.sched_getaffinity(0)))
    assert sorted(cpu for core in topology.cores() for cpu in core) == list(topology.cpus)
