"""Where each rank runs: mapping ranks to places and binding them to CPUs (pure; one node).

No MPI library binds its ranks under a foreign launcher, so this is done here. Mapping gives every rank its own CPUs in
turn, from the whole node or, round robin, from each NUMA domain or package; binding says how much of the surroundings
of those CPUs the rank may use. With more ranks than CPUs the turn begins again (oversubscription is no error).
"""

from __future__ import annotations

from lwkpm.errors import UsageError
from lwkpm.job.plan import Proc
from lwkpm.job.topology import parse_cpulist
from lwkpm.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lwkpm.job.spec import Job
    from lwkpm.job.topology import Topology

    Cpus = tuple[int, ...]
    Places = list[list[Cpus]]  # per domain the units (cores or hardware threads) it has

_NODE_WIDE = ("slot", "node", "core", "hwthread")
_WORDS = {"socket": "package", "l3cache": "package", "cpu": "core", "thread": "hwthread", "pu": "hwthread"}
_MAP_BY = ("slot", "node", "numa", "package", "core", "hwthread", "ppr:K:node", "ppr:K:numa", "ppr:K:package")
_BIND_TO = ("none", "hwthread", "core", "numa", "package")
_RANK_BY = ("slot", "node")
_PPR_OBJECTS = ("node", "numa", "package", "core", "hwthread")


class MapBy(Value):
    """A mapping request taken apart: `where` = object, `per` = ranks per object (ppr), `cpus` = explicit list."""

    where: str
    per: int = 0
    cpus: tuple[int, ...] = ()


def map_ranks(job: Job, topology: Topology | None) -> tuple[Proc, ...]:
    """One Proc per rank, in rank order. `topology` may be None when `needs_topology` says so (nothing is bound)."""
    request = parse_map_by(job.map_by)
    _check_word("--rank-by", job.rank_by, _RANK_BY)
    apps = [index for index, app in enumerate(job.apps) for _ in range(app.np or 0)]
    _check_ppn(job, len(apps))
    masks = _masks(job, request, len(apps), topology)
    return tuple(Proc(rank=rank, app=app, local_rank=rank, cpus=masks[rank]) for rank, app in enumerate(apps))


def needs_topology(job: Job, allowed: int) -> bool:
    """Whether cores matter at all, so that a job which binds nothing reads no /sys; `allowed` = CPUs in the mask."""
    request = parse_map_by(job.map_by)
    if request.cpus or request.where not in _NODE_WIDE or request.per:
        return True
    if job.bind_to is not None:
        return _bind_word(job.bind_to) != "none"
    return sum(app.np or 0 for app in job.apps) * job.cpus_per_rank <= allowed


def parse_map_by(text: str) -> MapBy:
    """``slot``, ``numa``, ``ppr:K:node``, ``list:0,2-4``, ..."""
    head, _, rest = text.partition(":")
    if head == "list":
        return MapBy(where="list", cpus=_explicit(text, rest))
    if head == "ppr":
        number, _, where = rest.partition(":")
        where = _WORDS.get(where, where)
        if number.isascii() and number.isdigit() and int(number) > 0 and where in _PPR_OBJECTS:
            return MapBy(where=where, per=int(number))
        raise _bad("--map-by", text, "ppr needs a number and an object, as in ppr:2:node", _MAP_BY)
    if ":" in text:
        raise _bad("--map-by", text, f"{head!r} takes no qualifier here; for PE=C use --cpus-per-rank C", _MAP_BY)
    return MapBy(where=_check_word("--map-by", text, (*_NODE_WIDE, "numa", "package")))


def _explicit(text: str, cpulist: str) -> tuple[int, ...]:
    try:
        return parse_cpulist(cpulist)
    except ValueError as error:
        raise _bad("--map-by", text, str(error), ("list:0,2-4",)) from None


def _check_word(option: str, text: str, words: tuple[str, ...]) -> str:
    word = _WORDS.get(text, text)
    if word in words:
        return word
    raise _bad(option, text, "it is not one of the words this option knows", _MAP_BY if option == "--map-by" else words)


def _bind_word(text: str) -> str:
    return _check_word("--bind-to", text, _BIND_TO)


def _bad(option: str, text: str, why: str, words: tuple[str, ...]) -> UsageError:
    extra = ", list:0,2-4" if words is _MAP_BY else ""
    return UsageError("LWKPM-E012", f"{option}: bad value {text!r}", why, "use one of: " + ", ".join(words) + extra)


def _does_not_fit(what: str, why: str, fix: str) -> UsageError:
    return UsageError("LWKPM-E013", what, why, fix)


def _check_ppn(job: Job, procs: int) -> None:
    if job.ppn is not None and procs > job.ppn:
        raise _does_not_fit(
            f"--ppn {job.ppn} leaves {procs - job.ppn} of {procs} ranks without a place",
            "there is one node",
            f"give --ppn {procs}, or leave it out",
        )


def _masks(job: Job, request: MapBy, procs: int, topology: Topology | None) -> list[Cpus]:
    """The CPUs of every rank; empty tuples = not bound."""
    if topology is None:
        return [()] * procs
    binding = _binding(job, request, procs, topology)
    if request.where == "list":
        turns = _list_turns(job, request, procs, topology)
    else:
        turns = _turns(job, request, procs, _places(request, binding, topology), binding != "none")
    if binding == "none":
        return [()] * procs
    widen = _wideners(topology).get(binding)
    return [tuple(sorted({other for cpu in cpus for other in (widen[cpu] if widen else (cpu,))})) for cpus in turns]


def _binding(job: Job, request: MapBy, procs: int, topology: Topology) -> str:
    """The binding asked for, or the default: what was mapped by if it is listed, cores if all ranks can have some."""
    if job.bind_to is not None:
        return _bind_word(job.bind_to)
    if request.where in ("list", "hwthread"):
        return "hwthread"
    return "core" if procs * job.cpus_per_rank <= len(topology.cores()) else "none"


def _list_turns(job: Job, request: MapBy, procs: int, topology: Topology) -> list[Cpus]:
    """C listed CPUs for each rank in turn."""
    missing = [cpu for cpu in request.cpus if cpu not in topology.core_of_cpu]
    if missing:
        raise _does_not_fit(
            f"--map-by {job.map_by}: CPU {missing[0]} cannot be used",
            f"this process may use the CPUs {_as_list(topology.cpus)}",
            "list only those",
        )
    return _turns(job, MapBy(where="list"), procs, [[(cpu,) for cpu in request.cpus]], True)


def _places(request: MapBy, binding: str, topology: Topology) -> Places:
    """The domains that ranks are dealt to, with the units each has."""
    where, cores = request.where, topology.cores()
    if request.per and where == "core" and binding == "hwthread":
        return [[(cpu,) for cpu in core] for core in cores]
    units = _units(where, binding, cores)
    if request.per and where in ("core", "hwthread"):
        return [[unit] for unit in units]
    if where not in ("numa", "package"):
        return [units]
    of_cpu = topology.numa_of_cpu if where == "numa" else topology.package_of_cpu
    domains: dict[int, list[Cpus]] = {}
    for unit in units:
        domains.setdefault(of_cpu[unit[0]], []).append(unit)
    return [domains[key] for key in sorted(domains)]


def _units(where: str, binding: str, cores: tuple[Cpus, ...]) -> list[Cpus]:
    """What ranks are counted in: cores, or hardware threads (with map-by core: the first of each core)."""
    if where != "hwthread" and binding != "hwthread":
        return list(cores)
    return [core[:1] for core in cores] if where == "core" else [(cpu,) for core in cores for cpu in core]


def _turns(job: Job, request: MapBy, procs: int, places: Places, bound: bool) -> list[Cpus]:
    """The CPUs that fall to each rank: C units of its domain, taken in turn."""
    if request.per and request.per * len(places) < procs:
        raise _does_not_fit(
            f"--map-by {job.map_by} has room for {request.per * len(places)} of {procs} ranks",
            f"there are {len(places)} places ({request.where}) for {request.per} ranks each",
            "raise K, or lower -n",
        )
    need = job.cpus_per_rank
    short = min(len(units) for units in places)
    if bound and need > short:
        raise _does_not_fit(
            f"--cpus-per-rank {need} is more than there is",
            f"a rank mapped by {request.where} has {short} of them to itself",
            "lower --cpus-per-rank, map by something larger, or give --bind-to none",
        )
    dealt = [0] * len(places)
    turns = []
    for rank in range(procs):
        domain = rank // request.per if request.per else rank % len(places)
        units, at = places[domain], dealt[domain] * need
        dealt[domain] += 1
        turns.append(tuple(cpu for step in range(need) for cpu in units[(at + step) % len(units)]))
    return turns


def _wideners(topology: Topology) -> dict[str, dict[int, Cpus]]:
    """For each binding wider than a hardware thread: CPU -> all allowed CPUs of its core, NUMA domain, package."""
    tables = {"core": topology.core_of_cpu, "numa": topology.numa_of_cpu, "package": topology.package_of_cpu}
    wider = {}
    for name, of_cpu in tables.items():
        members: dict[int, list[int]] = {}
        for cpu in topology.cpus:
            members.setdefault(of_cpu[cpu], []).append(cpu)
        wider[name] = {cpu: tuple(members[of_cpu[cpu]]) for cpu in topology.cpus}
    return wider


def _as_list(cpus: tuple[int, ...]) -> str:
    """0, 1, 2, 5 -> ``0-2,5``."""
    out: list[list[int]] = []
    for cpu in cpus:
        if out and cpu == out[-1][1] + 1:
            out[-1][1] = cpu
        else:
            out.append([cpu, cpu])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in out)
