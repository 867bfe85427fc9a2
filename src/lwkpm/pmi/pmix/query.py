"""PMIx_Query_info: what runs, who belongs together, what is supported. Imported by the first query.

libpmix asks in its own name (5.0: pmix_query.c, request_help), so who asked is not known.
"""

from __future__ import annotations

from lwkpm.pmi.pmix import constants as c
from lwkpm.pmi.pmix.values import ELEMENTS, encode, ffi, fill_proc, read_proc, text
from lwkpm.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from lwkpm.pmi.pmix.job import Job
    from lwkpm.pmi.pmix.values import Info, Proc
    from lwkpm.pmi.pmix.view import JobView, ProcState

    Query = tuple[list[str], list[Info]]  # keys, qualifiers
    Answer = tuple[int, Any]  # type, data

PROC_INFO = 38
EVENT_JOB_END = -145

NSPACE = "pmix.nspace"
PROCID = "pmix.procid"
CMD_LINE = "pmix.cmd.line"
GROUP_ID = "pmix.grp.id"
JOB_INFO_ARRAY = "pmix.job.arr"
NODE_INFO_ARRAY = "pmix.node.arr"
PROC_INFO_ARRAY = "pmix.proc.arr"
DAEMON_MEMORY = "pmix.dmn.mem"
CLIENT_AVG_MEMORY = "pmix.cl.mem.avg"
MEMORY_UNIT = 1e6  # the Standard counts in Mbytes

# Directives of PMIx_Spawn that the agent acts on, and what a debugger can ask of it.
SPAWN_SUPPORT = ("pmix.wdir", "pmix.host", "pmix.addhost")
DEBUG_SUPPORT = ("pmix.dbg.init", "pmix.qry.ptable", "pmix.qry.lptable", "pmix.jctrl.kill", "pmix.jctrl.sig")
QUALIFIERS = {
    NSPACE: c.STRING,
    PROCID: c.PROC,
    c.RANK: c.PROC_RANK,
    c.PSET_NAME: c.STRING,
    GROUP_ID: c.STRING,
    c.HOSTNAME: c.STRING,
}
PROC_STATES = {"starting": 2, "running": 5, "stopped": 5, "terminated": 20, "aborted": 52, "failed": 53, "killed": 54}
LIVING = ("starting", "running", "stopped")


class World(Value):
    """All that queries are answered from."""

    jobs: Mapping[str, Job]
    psets: Mapping[str, Sequence[Proc]]
    groups: Mapping[str, Sequence[Proc]]
    hostname: str
    view: JobView | None
    asker: str  # namespace

    def nspace(self, qualifiers: Mapping[str, Any]) -> str:
        """The job a query is about: the one named, that of the asker, or the first of the run."""
        named = qualifiers.get(NSPACE) or _proc_of(qualifiers)[0]
        if named:
            return str(named)
        return self.asker if self.asker in self.jobs else next(iter(self.jobs), "")

    def procs(self, nspace: str) -> Sequence[ProcState]:
        """The processes of a job as the agent sees them."""
        return self.view.procs(nspace) if self.view is not None and nspace in self.jobs else ()


def _proc_of(qualifiers: Mapping[str, Any]) -> Proc:
    """The process a query names; ("", wildcard) for none."""
    proc: Proc = qualifiers.get(PROCID, ("", qualifiers.get(c.RANK, c.RANK_WILDCARD)))
    return proc


def answer_queries(world: World, queries: Sequence[Query]) -> tuple[int, list[Info]]:
    """(status, results): success when all keys had an answer, partial success when some had."""
    infos: list[Info] = []
    asked = 0
    for keys, qualifiers in queries:
        named = {key: data for key, kind, data in qualifiers if QUALIFIERS.get(key) == kind}
        for key in keys:
            asked += 1
            found = ANSWERS[key](world, named) if key in ANSWERS else None
            if found is not None:
                infos.append((key, *found))
    if len(infos) == asked:
        return (c.SUCCESS if asked else c.ERR_BAD_PARAM), infos
    return (c.ERR_PARTIAL_SUCCESS if infos else c.ERR_NOT_FOUND), infos


def _list(words: Sequence[str]) -> Answer:
    return c.STRING, ",".join(words)


def _array(kind: int, elements: Sequence[Any]) -> Answer:
    return c.DATA_ARRAY, (kind, list(elements))


def _namespaces(world: World, _qualifiers: Mapping[str, Any]) -> Answer:
    return _list(list(world.jobs))


def _namespace_info(world: World, qualifiers: Mapping[str, Any]) -> Answer | None:
    named = qualifiers.get(NSPACE)
    names = [name for name in world.jobs if named in (None, name)]
    return _array(c.INFO, [_about_job(world, name) for name in names]) if names else None


def _about_job(world: World, nspace: str) -> Info:
    programs = dict.fromkeys(proc.program for proc in world.procs(nspace))
    about: list[Info] = [
        (NSPACE, c.STRING, nspace),
        (CMD_LINE, c.STRING, ":".join(programs)),
        (c.JOB_SIZE, c.UINT32, world.jobs[nspace].size),
    ]
    parent = world.jobs[nspace].parent
    if parent is not None:
        about.append((c.PARENT_ID, c.PROC, parent))
    return JOB_INFO_ARRAY, c.DATA_ARRAY, (c.INFO, about)


def _job_status(world: World, qualifiers: Mapping[str, Any]) -> Answer | None:
    nspace = world.nspace(qualifiers)
    if nspace not in world.jobs:
        return None
    procs = world.procs(nspace)
    alive = any(proc.state in LIVING for proc in procs) or not procs
    return c.STATUS, c.SUCCESS if alive else EVENT_JOB_END


def _proc_table(world: World, qualifiers: Mapping[str, Any]) -> Answer | None:
    nspace = world.nspace(qualifiers)
    procs = world.procs(nspace)
    return _array(PROC_INFO, [(nspace, proc) for proc in procs]) if procs else None


def _local_proc_table(world: World, qualifiers: Mapping[str, Any]) -> Answer | None:
    nspace = world.nspace(qualifiers)
    procs = [(nspace, proc) for proc in world.procs(nspace) if proc.hostname == world.hostname]
    return _array(PROC_INFO, procs) if procs else None


def _num_psets(world: World, _qualifiers: Mapping[str, Any]) -> Answer:
    return c.SIZE, len(world.psets)


def _pset_names(world: World, _qualifiers: Mapping[str, Any]) -> Answer:
    return _list(list(world.psets))


def _pset_members(world: World, qualifiers: Mapping[str, Any]) -> Answer | None:
    members = world.psets.get(str(qualifiers.get(c.PSET_NAME)))
    return None if members is None else _array(c.PROC, members)


def _num_groups(world: World, _qualifiers: Mapping[str, Any]) -> Answer:
    return c.SIZE, len(world.groups)


def _group_names(world: World, _qualifiers: Mapping[str, Any]) -> Answer:
    return _array(c.STRING, list(world.groups))


def _group_members(world: World, qualifiers: Mapping[str, Any]) -> Answer | None:
    members = world.groups.get(str(qualifiers.get(GROUP_ID)))
    return None if members is None else _array(c.PROC, members)


def _memory(world: World, qualifiers: Mapping[str, Any]) -> Answer | None:
    """Memory here: our own, the mean of the ranks', and each rank's, or only that of the rank named."""
    nspace = world.nspace(qualifiers)
    if world.view is None or nspace not in world.jobs:
        return None
    wanted = _proc_of(qualifiers)[1]
    used = {rank: size for rank, size in world.view.memory(nspace).items() if wanted in (c.RANK_WILDCARD, rank)}
    if not used:
        return None
    infos: list[Info] = [
        (c.HOSTNAME, c.STRING, world.hostname),
        (DAEMON_MEMORY, c.FLOAT, own_memory() / MEMORY_UNIT),
        (CLIENT_AVG_MEMORY, c.FLOAT, sum(used.values()) / len(used) / MEMORY_UNIT),
    ]
    for rank, size in sorted(used.items()):
        about: list[Info] = [(PROCID, c.PROC, (nspace, rank)), (CLIENT_AVG_MEMORY, c.FLOAT, size / MEMORY_UNIT)]
        infos.append((PROC_INFO_ARRAY, c.DATA_ARRAY, (c.INFO, about)))
    return _array(c.INFO, [(NODE_INFO_ARRAY, c.DATA_ARRAY, (c.INFO, infos))])


def own_memory() -> int:
    """Resident bytes of this process."""
    import os

    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _peers(world: World, qualifiers: Mapping[str, Any]) -> Answer | None:
    """PMIx_Resolve_peers. Other nodes are left to libpmix, which has their maps."""
    named = qualifiers.get(NSPACE)
    if qualifiers.get(c.HOSTNAME) not in (None, "", world.hostname) or any(job.spread for job in world.jobs.values()):
        return None
    jobs = [(name, job) for name, job in world.jobs.items() if named in (None, "", name)]
    return _array(c.PROC, [(name, rank) for name, job in jobs for rank in range(job.size)]) if jobs else None


def _nodes(world: World, qualifiers: Mapping[str, Any]) -> Answer | None:
    """PMIx_Resolve_nodes; 5.0 itself reads a variable that it never set (pmix_server_locally_resolve_node)."""
    named = qualifiers.get(NSPACE)
    known = named in (None, "") or named in world.jobs
    hosts = dict.fromkeys(host for name, job in world.jobs.items() if named in (None, "", name) for host in job.hosts)
    return _list(list(hosts)) if known else None


def _constant(words: Sequence[str]) -> Callable[[World, Mapping[str, Any]], Answer]:
    return lambda _world, _qualifiers: _list(words)


ANSWERS: dict[str, Callable[[World, Mapping[str, Any]], Answer | None]] = {
    "pmix.qry.ns": _namespaces,
    "pmix.qry.nsinfo": _namespace_info,
    "pmix.qry.jst": _job_status,
    "pmix.qry.ptable": _proc_table,
    "pmix.qry.lptable": _local_proc_table,
    "pmix.qry.psetnum": _num_psets,
    "pmix.qry.psets": _pset_names,
    "pmix.qry.pmems": _pset_members,
    "pmix.qry.pgrpnum": _num_groups,
    "pmix.qry.pgrp": _group_names,
    "pmix.qry.pgrpmems": _group_members,
    "pmix.qry.mem": _memory,
    "pmix.qry.peers": _peers,
    "pmix.qry.node": _nodes,
    "pmix.qry.spawn": _constant(SPAWN_SUPPORT),
    "pmix.qry.debug": _constant(DEBUG_SUPPORT),
    "pmix.qry.quals": _constant(tuple(QUALIFIERS)),
}
ANSWERS["pmix.qry.keys"] = _constant(tuple(ANSWERS))


def _fill_proc_info(element: Any, data: tuple[str, ProcState], keep: list[Any]) -> None:
    nspace, proc = data
    fill_proc(element.proc, (nspace, proc.rank))
    for field, words in (("hostname", proc.hostname), ("executable_name", proc.program)):
        memory = ffi.new("char[]", encode(words))
        keep.append(memory)
        setattr(element, field, memory)
    element.pid = proc.pid
    element.exit_code = proc.exit_code
    element.state = PROC_STATES.get(proc.state, 0)


def _read_proc_info(element: Any) -> tuple[Proc, str, str, int, int, int]:
    hostname, program = text(element.hostname), text(element.executable_name)
    return read_proc(element.proc), hostname, program, element.pid, element.exit_code, element.state


ELEMENTS[PROC_INFO] = ("pmix_proc_info_t", _read_proc_info, _fill_proc_info)
