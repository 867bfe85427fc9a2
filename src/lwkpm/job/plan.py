"""The plan: everything decided before anything is done. Printed by ``--dry-run`` and carried out by the agent."""

from __future__ import annotations

from lwkpm.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lwkpm.job.spec import Bind, Job


class Proc(Value):
    """One rank: where it runs. `cpus` are logical CPU numbers, empty = not bound."""

    rank: int
    app: int  # index into Job.apps (PMI appnum)
    local_rank: int
    node: int = 0
    cpus: tuple[int, ...] = ()


class ContainerPlan(Value):
    """What conenter does to make one container: `ops` in order (see launcher/README.md for the operations)."""

    image: str  # as given by the user
    kind: str  # host, rootfs, squashfs, sif
    ops: tuple[tuple[str, ...], ...]
    mounted: bool = False  # its tree can be looked into only when it has been made
    shims: str = ""  # the host's directory of PMI libraries that is bound into it
    binds: tuple[Bind, ...] = ()  # those asked for; with the image's name they tell one container from another


class AppPlan(Value):
    """One app context made ready: environment common to its ranks (``NAME=value``), its container and cwd."""

    argv: tuple[str, ...]
    container: int  # index into Plan.containers
    env: tuple[str, ...]
    cwd: str
    pset: str = ""  # PMIx process set of its ranks


class Plan(Value):
    """One world (PMIx namespace) of a run on one node."""

    job: Job
    jobid: str  # of the run: its directory, LWKPM_JOB
    nspace: str  # PMIx namespace; the first one of a run is named as the run
    kvsname: str  # PMI-1 and PMI-2 key-value space
    hostname: str
    jobdir: str  # private session directory, the same path inside the container
    containers: tuple[ContainerPlan, ...]
    apps: tuple[AppPlan, ...]
    procs: tuple[Proc, ...]
    universe_size: int
    notes: tuple[str, ...] = ()
