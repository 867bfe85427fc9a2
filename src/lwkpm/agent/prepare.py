"""From what was asked to what will be done: `Job` -> `Plan`. Looks things up, changes nothing (but see `unpack`)."""

from __future__ import annotations

import os

from lwkpm.container.host import complete_for, read_host
from lwkpm.container.native import IMAGE_TREES, plan_operations
from lwkpm.image.detect import open_image
from lwkpm.job.environment import app_environment, common_entries, unset_requests
from lwkpm.job.mapping import map_ranks, needs_topology
from lwkpm.job.plan import AppPlan, ContainerPlan, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from lwkpm.container.native import Host
    from lwkpm.errors import LwkpmError
    from lwkpm.image.detect import Image
    from lwkpm.job.spec import AppContext, Bind, Job
    from lwkpm.job.topology import Topology


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


def make_plan(job: Job, environ: Mapping[str, str], base: str, *, may_unpack: bool = True) -> Plan:
    """Everything decided. Raises `LwkpmError` for whatever can be known to fail before anything is started."""
    jobid, kvsname = make_names()
    hostname = os.uname().nodename
    cwd = _current_directory()
    jobdir = f"{base}/lwkpm-{os.geteuid()}/{jobid}"
    procs = map_ranks(job, _topology(job))
    host = read_host(jobdir, cwd, environ)
    containers: dict[tuple[str, tuple[Bind, ...]], tuple[int, Image]] = {}
    plans: list[ContainerPlan] = []
    for app in job.apps:
        key = app.image, app.binds
        if key not in containers:
            image = open_image(app.image)
            containers[key] = len(plans), image
            plans.append(_plan_container(job, app, image, host, environ, may_unpack=may_unpack))
    size = len(procs)
    universe = job.usize or max(size, len(os.sched_getaffinity(0)))
    apps = [
        _plan_app(
            app,
            *containers[app.image, app.binds],
            host,
            environ,
            size=size,
            jobid=jobid,
            universe=universe,
            pmi=job.pmi,
        )
        for app in job.apps
    ]
    return Plan(
        job=job,
        jobid=jobid,
        kvsname=kvsname,
        hostname=hostname,
        jobdir=jobdir,
        containers=tuple(plans),
        apps=tuple(apps),
        procs=procs,
        universe_size=universe,
        notes=_notes(job, environ),
    )


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


def _plan_container(
    job: Job, app: AppContext, image: Image, host: Host, environ: Mapping[str, str], *, may_unpack: bool
) -> ContainerPlan:
    ready = complete_for(host, image, environ, may_unpack=may_unpack)
    ops = plan_operations(image, ready, app.binds, pid_namespace=job.pid_namespace)
    return ContainerPlan(image=app.image, kind=image.kind, ops=ops)


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


def _plan_app(
    app: AppContext,
    container: int,
    image: Image,
    host: Host,
    environ: Mapping[str, str],
    *,
    size: int,
    jobid: str,
    universe: int,
    pmi: str,
) -> AppPlan:
    env = app_environment(environ, app, image.kind == "host", _image_environment(image, host))
    common = common_entries(
        size=size,
        local_size=size,
        universe_size=universe,
        jobid=jobid,
        jobdir=host.jobdir,
        image=app.image,
        pmi=pmi,
    )
    cwd = _working_directory(app, image, host)
    env.update(entry.partition("=")[::2] for entry in common)
    env["PWD"] = cwd
    entries = tuple(f"{name}={value}" for name, value in env.items())
    return AppPlan(argv=app.argv, container=container, env=entries, cwd=cwd)


def _image_environment(image: Image, host: Host) -> Mapping[str, str]:
    """What the image asks to be set; only trees that can be read before they are mounted can say."""
    root = image.path if image.kind == "rootfs" else host.unpacked
    if not root or not os.path.isdir(f"{root}/.singularity.d"):
        return {}
    from lwkpm.image.environment import read_environment

    return read_environment(root)
