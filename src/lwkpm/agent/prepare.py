"""From what was asked to what will be done: `Job` -> `Plan`. Looks things up, changes nothing (but see `unpack`)."""

from __future__ import annotations

import os

from lwkpm.container.host import complete_for, may_call_pmi, read_host
from lwkpm.container.native import IMAGE_TREES, plan_operations, visible_trees, with_binds
from lwkpm.image.detect import open_image
from lwkpm.image.shim_files import ALWAYS, INSIDE, NEVER, find_shims
from lwkpm.job.environment import app_environment, common_entries, unset_requests
from lwkpm.job.mapping import map_ranks, needs_topology
from lwkpm.job.plan import AppPlan, ContainerPlan, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lwkpm.container.native import Host
    from lwkpm.errors import LwkpmError
    from lwkpm.image.detect import Image
    from lwkpm.job.plan import Proc
    from lwkpm.job.spec import AppContext, Bind, Job
    from lwkpm.job.topology import Topology

    Notes = tuple[str, ...]


def make_names() -> tuple[str, str]:
    """(job id, KVS name), unique per launch and host: MPICH 5 names its shared memory after the KVS, and a reused name
    makes every later job fail on a leftover segment (pmi-wire 8.1).
    """
    jobid = f"lwkpm-{os.getpid()}-{os.urandom(4).hex()}"
    return jobid, kvsname_of(jobid)


def kvsname_of(jobid: str) -> str:
    """The KVS name that goes with a job id: later jobs compute it again for a job that could not tidy up."""
    _, pid, token = jobid.split("-")
    return f"lwkpm_{pid}_0_{token}"


def make_plans(job: Job, environ: Mapping[str, str], base: str, *, may_unpack: bool = True) -> tuple[Plan, ...]:
    """Everything decided: one plan, or one for each part with --separate-worlds. The plans share their containers.

    Raises `LwkpmError` for whatever can be known to fail before anything is started.
    """
    jobid, kvsname = make_names()
    host = read_host(f"{base}/lwkpm-{os.geteuid()}/{jobid}", _current_directory(), environ)
    planner = Planner(job, jobid, host, environ, may_unpack=may_unpack)
    procs = map_ranks(job, _topology(job))
    parts = [[number] for number in range(len(job.apps))] if job.separate_worlds else [list(range(len(job.apps)))]
    names = [(jobid, kvsname), *(make_names() for _ in parts[1:])]
    chosen = [_renumbered(procs, part) for part in parts]
    apps = [planner.plan_app(app, size=len(chosen[_part_of(parts, n)])) for n, app in enumerate(job.apps)]
    return tuple(planner.world(name, apps, ranks, _notes(job, environ)) for name, ranks in zip(names, chosen))


def _part_of(parts: list[list[int]], app: int) -> int:
    return next(number for number, part in enumerate(parts) if app in part)


def _renumbered(procs: Sequence[Proc], apps: Sequence[int]) -> tuple[Proc, ...]:
    """The processes of some parts as a world: ranks and local ranks counted from 0 (one node)."""
    mine = [proc for proc in procs if proc.app in apps]
    if len(mine) == len(procs):
        return tuple(procs)
    return tuple(proc.replace(rank=rank, local_rank=rank) for rank, proc in enumerate(mine))


class Planner:
    """Makes the plans of one run, from the command line's or from a spawn's parts.

    `containers` and `images` grow together: a part whose image and binds are known already shares that container.
    """

    def __init__(
        self,
        job: Job,
        jobid: str,
        host: Host,
        environ: Mapping[str, str],
        *,
        may_unpack: bool = True,
        containers: Sequence[ContainerPlan] = (),
        spawned: bool = False,
    ) -> None:
        self._job = job
        self._jobid = jobid
        self._host = host
        self._environ = environ
        self._may_unpack = may_unpack
        self._containers = list(containers)
        self._images: dict[tuple[str, tuple[Bind, ...]], tuple[int, Image]] = {}
        self._spawned = spawned
        self._pmi_shim = environ.get("LWKPM_PMI_SHIM", "")

    def world(self, names: tuple[str, str], apps: list[AppPlan], procs: tuple[Proc, ...], notes: Notes = ()) -> Plan:
        """The plan of one namespace; `names` as made by `make_names`."""
        return Plan(
            job=self._job,
            jobid=self._jobid,
            nspace=names[0],
            kvsname=names[1],
            hostname=os.uname().nodename,
            jobdir=self._host.jobdir,
            containers=tuple(self._containers),
            apps=tuple(apps),
            procs=procs,
            universe_size=self._universe(len(procs)),
            notes=notes,
        )

    def _universe(self, size: int) -> int:
        return self._job.usize or max(size, len(os.sched_getaffinity(0)))

    def plan_app(self, app: AppContext, size: int) -> AppPlan:
        """One part, in a world of `size` ranks."""
        container, image = self._container(app)
        env = app_environment(self._environ, app, image.kind == "host", _image_environment(image, self._host))
        common = common_entries(
            size=size,
            local_size=size,
            universe_size=self._universe(size),
            jobid=self._jobid,
            jobdir=self._host.jobdir,
            image=app.image,
            pmi=self._job.pmi,
            spawned=self._spawned,
        )
        cwd = _working_directory(app, image, self._host)
        env.update(entry.partition("=")[::2] for entry in common)
        env["PWD"] = cwd
        self._add_shim(container, app, cwd, env)
        self._add_warming(container, app, cwd, env)
        entries = tuple(f"{name}={value}" for name, value in env.items())
        return AppPlan(argv=app.argv, container=container, env=entries, cwd=cwd, pset=app.pset)

    def _add_warming(self, container: int, app: AppContext, cwd: str, env: Mapping[str, str]) -> None:
        """Have a program's files read while the agent is not ready for its ranks."""
        plan = self._containers[container]
        if plan.mounted:
            program = os.path.join(cwd, app.argv[0]) if "/" in app.argv[0] else app.argv[0]
            self._containers[container] = plan.replace(ops=(*plan.ops, ("warm", program, env["PATH"])))

    def _add_shim(self, container: int, app: AppContext, cwd: str, env: dict[str, str]) -> None:
        """Give a program that calls a PMI library our own, by `env` and by mounts in its container."""
        plan, mode = self._containers[container], self._pmi_shim
        if plan.mounted and mode != ALWAYS:
            return  # looked at when it is there, see `mounted`
        root, mounts = visible_trees(plan.ops)
        if not mode and not may_call_pmi(root, mounts, app.argv[0], cwd, env):
            return
        from lwkpm.image.shim import Tree, plan_shim

        shims = find_shims(self._environ)
        shim = plan_shim(Tree(root=root, mounts=mounts), app.argv[0], cwd, env, shims, mode=mode)
        if shim is not None:
            env.update(shim.env)
            self._containers[container] = plan.replace(ops=with_binds(plan.ops, shim.binds))

    def _container(self, app: AppContext) -> tuple[int, Image]:
        key = app.image, app.binds
        if key not in self._images:
            image = open_image(app.image)
            known = [n for n, plan in enumerate(self._containers) if (plan.image, plan.binds) == key]
            if not known:
                known = [len(self._containers)]
                self._containers.append(self._plan_container(app, image))
            self._images[key] = known[0], image
        return self._images[key]

    def _plan_container(self, app: AppContext, image: Image) -> ContainerPlan:
        ready = complete_for(self._host, image, self._environ, may_unpack=self._may_unpack)
        ops = plan_operations(image, ready, app.binds, pid_namespace=self._job.pid_namespace)
        mounted = visible_trees(ops)[0] == ""
        shims = find_shims(self._environ) if mounted and self._pmi_shim != NEVER else ""
        ops = with_binds(ops, [(shims, INSIDE)] if shims else [])
        return ContainerPlan(image=app.image, kind=image.kind, ops=ops, binds=app.binds, mounted=mounted, shims=shims)


def _notes(job: Job, environ: Mapping[str, str]) -> tuple[str, ...]:
    """What the user may want to know before the job starts."""
    unset = sorted({name for app in job.apps for name in unset_requests(environ, app)})
    return (f"-x {', '.join(unset)}: not set in your environment, so not given to the ranks",) if unset else ()


def _topology(job: Job) -> Topology | None:
    if not needs_topology(job, len(os.sched_getaffinity(0))):
        return None
    from lwkpm.agent.topology import read_topology

    return read_topology()


def _current_directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # removed under our feet; an error only for jobs that would run there
        return ""


def _working_directory(app: AppContext, image: Image, host: Host) -> str:
    """-w, else the caller's directory where it can be seen inside, else home."""
    if app.wdir is not None:
        return app.wdir
    hidden = any(host.cwd == tree or host.cwd.startswith(tree + "/") for tree in IMAGE_TREES)
    if hidden and image.kind != "host":
        return host.home
    # A bind by a path that this user cannot follow is left out, and the ranks would write into an empty directory.
    if not host.cwd or not os.access(host.cwd, os.X_OK, effective_ids=True):
        raise _bad_current_directory(host.cwd)
    return host.cwd


def _bad_current_directory(cwd: str) -> LwkpmError:
    from lwkpm.errors import EXIT_NOT_EXECUTABLE, ProgramError

    return ProgramError(
        "LWKPM-E046",
        "the ranks cannot run in the current directory",
        f"this user may not enter {cwd}" if cwd else "it no longer exists",
        "change to another directory, or name one with -w",
        EXIT_NOT_EXECUTABLE,
    )


def _image_environment(image: Image, host: Host) -> Mapping[str, str]:
    """What the image asks to be set; only trees that can be read before they are mounted can say."""
    root = image.path if image.kind == "rootfs" else host.unpacked
    if not root or not os.path.isdir(f"{root}/.singularity.d"):
        return {}
    from lwkpm.image.environment import read_environment

    return read_environment(root)
