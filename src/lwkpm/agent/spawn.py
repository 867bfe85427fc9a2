"""Processes that processes ask for: what was asked, whatever the protocol, and the plan that comes of it."""

from __future__ import annotations

import os

from lwkpm.agent.prepare import Planner, make_names
from lwkpm.container.host import read_host
from lwkpm.errors import EXIT_NOT_FOUND, ProgramError, UsageError
from lwkpm.image.program import check_program
from lwkpm.image.rootpath import resolve_in_root
from lwkpm.job.mapping import map_ranks, needs_topology
from lwkpm.job.spec import EnvRule
from lwkpm.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lwkpm.agent.namespace import Namespace
    from lwkpm.agent.rank import Rank
    from lwkpm.job.plan import AppPlan, ContainerPlan, Plan, Proc
    from lwkpm.job.spec import AppContext, Job
    from lwkpm.job.topology import Topology

MOST_SPAWNED = 4096  # of one request: a rank's nonsense must not eat the node's process table
IMAGE_VARIABLE = "LWKPM_IMAGE"  # in the key env: Open MPI passes no keys that it does not know
LOCAL_NAMES = ("localhost", "127.0.0.1")


class Command(Value):
    """One command of a request. `env` are ``NAME=value`` entries, `info` the info keys that are for us."""

    program: str
    arguments: tuple[str, ...] = ()
    processes: int
    env: tuple[str, ...] = ()
    cwd: str = ""
    info: Mapping[str, str]


class SpawnRequest(Value):
    """What a rank waits for. `answer(namespace, trouble)` is called once: the new world, or None and one word why.

    `preput`: key-value pairs for the new world's space (PMI-1 and PMI-2).
    """

    parent: Rank
    commands: tuple[Command, ...]
    preput: tuple[tuple[str, str], ...] = ()
    answer: Callable[[Namespace | None, str], None]


def plan_spawn(
    request: SpawnRequest, containers: Sequence[ContainerPlan], busy_cpus: Sequence[int], environ: Mapping[str, str]
) -> Plan:
    """The new world's plan: in the parent's container unless ``lwkpm_image`` names another.

    What is not said is as with the parent: environment rules, binds, working directory. `containers` are those there
    are, `busy_cpus` belong to ranks that run. Raises `LwkpmError`.
    """
    parent = request.parent
    plan = parent.namespace.plan
    mother = plan.job.apps[min(parent.proc.app, len(plan.job.apps) - 1)]
    _check(request.commands, plan.hostname)
    apps = tuple(_app_context(command, mother, plan.apps[parent.proc.app]) for command in request.commands)
    job = plan.job.replace(apps=apps, ppn=None, separate_worlds=False)
    host = read_host(plan.jobdir, plan.apps[parent.proc.app].cwd, environ)
    planner = Planner(job, plan.jobid, host, environ, containers=containers, spawned=True)
    procs = _place(job, busy_cpus)
    planned = [planner.plan_app(app, size=len(procs)) for app in apps]
    return planner.world(make_names(), planned, procs)


def _check(commands: Sequence[Command], hostname: str) -> None:
    total = sum(command.processes for command in commands)
    if not commands or min(command.processes for command in commands) < 1 or total > MOST_SPAWNED:
        raise UsageError(
            "LWKPM-E063",
            f"a spawn of {total} processes is refused",
            f"each command must start at least 1, and all together at most {MOST_SPAWNED}",
            "correct maxprocs in MPI_Comm_spawn",
        )
    for command in commands:
        wanted = command.info.get("host", command.info.get("hosts", ""))
        others = [name for name in wanted.split(",") if name.partition(":")[0] not in ("", hostname, *LOCAL_NAMES)]
        if others:
            raise UsageError(
                "LWKPM-E063",
                f"a spawn on host {others[0]} is refused",
                f"the job has one node, {hostname}",
                "leave the info key host out",
            )


def _app_context(command: Command, mother: AppContext, parent: AppPlan) -> AppContext:
    """The request as a part of a job. MPI's info keys: wdir, path; ours: env (a line for each entry), lwkpm_image."""
    entries = [*command.env, *(line for line in command.info.get("env", "").split("\n") if line)]
    rules = [EnvRule(action="set", name=name, value=value) for name, _, value in (e.partition("=") for e in entries)]
    image = command.info.get("lwkpm_image", "")
    for rule in rules:
        if rule.name == IMAGE_VARIABLE:
            image = rule.value
    rules = [rule for rule in rules if rule.name != IMAGE_VARIABLE]
    wdir = command.info.get("wdir") or command.cwd or (None if image else parent.cwd)
    return mother.replace(
        image=image or mother.image,
        argv=(command.program, *command.arguments),
        np=command.processes,
        env=(*mother.env, *rules),
        wdir=wdir,
        binds=mother.binds,
        pset="",
    )


def _place(job: Job, busy_cpus: Sequence[int]) -> tuple[Proc, ...]:
    """Spawned ranks are placed as others are, on CPUs that no rank is bound to while there are enough of them."""
    from lwkpm.agent.topology import read_topology

    count = sum(app.np or 0 for app in job.apps)
    allowed = len(os.sched_getaffinity(0)) - len(busy_cpus)
    if not needs_topology(job, allowed):
        return map_ranks(job, None)
    topology = read_topology()
    free = _without(topology, busy_cpus)
    enough = len(free.cores()) >= count * job.cpus_per_rank
    if enough:
        return map_ranks(job, free)
    return map_ranks(job if job.bind_to or job.map_by.startswith("list") else job.replace(bind_to="none"), topology)


def _without(topology: Topology, busy_cpus: Sequence[int]) -> Topology:
    return topology.replace(cpus=tuple(cpu for cpu in topology.cpus if cpu not in busy_cpus))


def find_programs(plan: Plan, roots: Sequence[str], commands: Sequence[Command]) -> Plan:
    """`plan` with every program checked in its container's root (`roots` by container), before anything is started.

    A rank that asks for a program that is not there gets an error; the job goes on. The info key ``path`` names
    directories to look in first. Raises `ProgramError`.
    """
    pairs = zip(plan.apps, commands)
    return plan.replace(apps=tuple(_found(app, roots[app.container], command) for app, command in pairs))


def _is_directory(root: str, path: str) -> bool:
    try:
        return os.path.isdir(resolve_in_root(root, path))
    except OSError:
        return False


def _found(app: AppPlan, root: str, command: Command) -> AppPlan:
    if not _is_directory(root, app.cwd):
        why, fix = "there is no such directory inside the image", "correct the info key wdir of MPI_Comm_spawn"
        raise ProgramError("LWKPM-E046", f"cannot use {app.cwd} as the working directory", why, fix)
    search = next((entry[5:] for entry in app.env if entry.startswith("PATH=")), "/usr/bin:/bin")
    given = command.info.get("path", "")
    for directory in given.split(":") if given and "/" not in command.program else ():
        program = os.path.join(directory, command.program)
        try:
            check_program(root, program, search, app.cwd)
        except ProgramError as error:
            if error.exit_status != EXIT_NOT_FOUND:
                raise
            continue
        return app.replace(argv=(program, *app.argv[1:]))
    check_program(root, command.program, search, app.cwd)
    return app
