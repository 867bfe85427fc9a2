"""``lwkpm-run``: plan the job, print the plan or carry it out."""

from __future__ import annotations

import os

from lwkpm.agent.prepare import make_plans
from lwkpm.agent.report import Report, say
from lwkpm.agent.session import Session, base_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lwkpm.agent.conenter import ConenterLink
    from lwkpm.job.plan import Plan
    from lwkpm.job.spec import Job


PMIX_MODES = ("auto", "pmix")


def run(job: Job, environ: Mapping[str, str]) -> int:
    """Run the job; its exit status."""
    report = Report(job)
    try:
        plans = make_plans(job, environ, base_directory(environ), may_unpack=not job.dry_run)
        report.phase("planned")
        for note in plans[0].notes:
            report.note(note)
        if job.report_bindings:
            for plan in plans:
                _print_bindings(plan)
        if job.dry_run:
            _print_plans(plans, as_json=job.json is not None)
        return 0 if job.dry_run else _carry_out(plans, report)
    finally:
        report.close()


def _carry_out(plans: Sequence[Plan], report: Report) -> int:
    from lwkpm.agent.conenter import start_containers
    from lwkpm.agent.descriptors import make_room
    from lwkpm.agent.loop import Loop
    from lwkpm.agent.pmix_start import PmixStart
    from lwkpm.agent.shm import remove_segments

    plan = plans[0]
    session = Session(os.path.dirname(os.path.dirname(plan.jobdir)), os.path.basename(plan.jobdir))
    loop = Loop()
    links: list[ConenterLink] = []
    singletons: list[int] = []
    try:
        make_room(sum(len(world.procs) for world in plans))
        links += start_containers(loop, plans[-1].containers)
        report.phase("conenter started")
        offered = plan.job.pmi in PMIX_MODES
        pmix = PmixStart(plans) if offered else None
        from lwkpm.agent.run import Agent  # while the container is made and libpmix starts

        agent = Agent(plans, report, loop, links, pmix)
        status = agent.run()
        singletons, plans = agent.unreached_pids(), [world.plan for world in agent.worlds()]
        return status
    finally:
        for link in links:
            link.close()
        loop.close()
        for world in plans:
            remove_segments(world.kvsname, world.nspace, world.hostname, singletons)
        if plan.job.keep:
            session.keep()
            say(f"job directory kept: {session.path}")
        else:
            session.remove()
        session.remove_stale()


def _print_bindings(plan: Plan) -> None:
    for proc in plan.procs:
        cpus = ",".join(map(str, proc.cpus)) or "not bound"
        say(f"rank {proc.rank} on {plan.hostname}: cpus {cpus}" if proc.cpus else f"rank {proc.rank}: not bound")


def _print_plans(plans: Sequence[Plan], *, as_json: bool) -> None:
    if as_json:
        import json

        whole = plans[0] if len(plans) == 1 else plans
        print(json.dumps(whole, default=lambda value: value.as_dict(), indent=2))
        return
    for plan in plans:
        _print_plan(plan)


def _print_plan(plan: Plan) -> None:
    where = f"{len(plan.procs)} ranks on {plan.hostname}, directory {plan.jobdir}"
    print(f"job {plan.jobid}, namespace {plan.nspace}: {where}")
    for number, container in enumerate(plan.containers):
        print(f"container {number}: {container.image} ({container.kind})")
        for op in container.ops:
            print("  " + " ".join(word if word and " " not in word else repr(word) for word in op))
    for number, app in enumerate(plan.apps):
        ranks = [proc.rank for proc in plan.procs if proc.app == number]
        if not ranks:
            continue  # another world's
        print(f"app {number}: ranks {ranks[0]}-{ranks[-1]} in container {app.container}, directory {app.cwd}")
        print("  command " + " ".join(app.argv))
        for entry in app.env:
            print(f"  {entry}")
    for proc in plan.procs:
        print(f"rank {proc.rank}: app {proc.app}, cpus {','.join(map(str, proc.cpus)) or 'not bound'}")
