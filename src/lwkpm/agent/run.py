"""The node agent: carries a `Plan` out, from the container's start to the exit status.

Order of a run: conenter makes the container and libpmix starts while this is imported (cli/run.py); then one SPAWN per
rank, in local-rank order, as fast as they can be written; then the loop, until every rank has ended; then conenter is
closed (it kills what ranks left behind), the last output is forwarded and everything is removed. The first failure
decides the status; what follows it is mostly its consequence.
"""

from __future__ import annotations

import os
import resource
import time

from lwkpm.agent.channels import StandardStreams
from lwkpm.agent.conenter import describe_end, signal_name, start_containers
from lwkpm.agent.namespace import Namespace, name_ranks
from lwkpm.agent.service import PMIX, PmiService
from lwkpm.agent.signals import SignalWatch
from lwkpm.errors import LwkpmError
from lwkpm.job.environment import rank_entries
from lwkpm.job.status import Event, from_wait, is_failure, job_end
from lwkpm.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lwkpm.agent.conenter import ConenterLink
    from lwkpm.agent.debugger import StopInInit
    from lwkpm.agent.loop import Loop
    from lwkpm.agent.pmix_start import PmixStart
    from lwkpm.agent.rank import Rank
    from lwkpm.agent.report import Report
    from lwkpm.agent.service import Tap
    from lwkpm.agent.spawn import SpawnRequest
    from lwkpm.job.plan import AppPlan, ContainerPlan, Plan, Proc
    from lwkpm.job.spec import AppContext
    from lwkpm.job.status import JobEnd

#: How long a rank that called PMI-2's abort, which carries no code, gets to exit with one.
ABORT_GRACE_S = 1.0
#: How long output is awaited after the last process of the job is gone.
LAST_OUTPUT_S = 5.0
DESCRIPTORS_PER_RANK = 6
TRACING = 2  # -vv
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


class Agent:
    """One run on one node: the worlds of its command line, and those that ranks spawn."""

    def __init__(
        self, plans: Sequence[Plan], report: Report, loop: Loop, links: list[ConenterLink], pmix: PmixStart | None
    ) -> None:
        self._plan = plans[0]  # for what all share: the job, the host, the directory
        self._report = report
        self._pmix = pmix
        self._loop = loop
        self._events: list[Event] = []
        self._links = links  # by container number
        self._ending = False
        self._interrupts = 0
        self._unstarted_errors = 0
        self._ranks: dict[int, Rank] = {}  # by id, once ordered
        self._ids = self._environments = 0
        self._started = self._ended = 0  # ranks
        self._streams = StandardStreams(self._loop, self._plan)
        trace = report.trace if self._plan.job.verbosity >= TRACING else None
        job, hostname = self._plan.job, self._plan.hostname
        self._service = PmiService(loop, job.pmi, hostname, self, trace, stop_in_init=job.stop_in_init)
        self._stop = self._prepare_stop() if job.stop_in_init else None
        self._worlds: list[Namespace] = []
        self._waiting = [self._new_world(plan) for plan in plans]  # for their containers

    def _prepare_stop(self) -> StopInInit:
        from lwkpm.agent.debugger import StopInInit

        return StopInInit(lambda: list(self._ranks.values()), self._plan.hostname, self._service.release)

    def _new_world(self, plan: Plan, request: SpawnRequest | None = None) -> Namespace:
        world = Namespace(len(self._worlds), plan, self._ids, request)
        self._ids += len(world.ranks)
        self._worlds.append(world)
        return world

    # --- the run ---------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run the job; its exit status."""
        allow_descriptors(self._ids * DESCRIPTORS_PER_RANK)
        forwarded = [getattr(signal, f"SIG{name}") for name in self._plan.job.forward_signals]
        ignored_input = signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        watch = SignalWatch(self._loop, {*INTERRUPTS, *forwarded}, self._on_signal)
        try:
            self._start()
            self._loop.run()
            return self._finish().status
        except LwkpmError as error:
            self._report_launcher_error(error)
            return self._finish().status
        finally:
            self._close_links()
            self._service.stop()
            self._streams.close()
            watch.close()
            signal.signal(signal.SIGTTIN, ignored_input)

    def _start(self) -> None:
        for link in self._links:
            link.handler = self
        self._service.start_pmix(self._pmix)
        for world in self._worlds:
            self._service.add_namespace(world)
        self._report.phase("PMI servers ready")
        if self._plan.job.timeout_s:
            self._loop.after(self._plan.job.timeout_s, self._on_timeout)

    def on_ready(self, _link: ConenterLink) -> None:
        """A container is there; the worlds that waited for it alone are started."""
        first = not self._ranks
        if self._ending:
            return
        if first:
            self._report.phase("container ready")
        try:
            for world in [world for world in self._waiting if self._is_ready(world)]:
                self._waiting.remove(world)
                self._start_world(world)
        except LwkpmError as error:
            self._report_launcher_error(error)
            return
        if first and not self._waiting:
            self._report.phase("ranks ordered")
            self._streams.start_stdin()
            if self._plan.job.start_timeout_s and self._stop is None:
                self._loop.after(self._plan.job.start_timeout_s, self._on_start_timeout)

    def _is_ready(self, world: Namespace) -> bool:
        """The command line's worlds start together, when every container is there."""
        if world.request is None:
            return all(link.ready for link in self._links)
        return all(self._links[app.container].ready for app in world.plan.apps)

    def _start_world(self, world: Namespace) -> None:
        if world.request is not None and not self._check_programs(world, world.request):
            return
        first_environment = self._environments
        world.plan = world.plan.replace(apps=tuple(map(self._complete, world.plan.apps, world.plan.job.apps)))
        common = self._service.common_entries(world)
        for number, app in enumerate(world.plan.apps):
            self._links[app.container].environment(first_environment + number, [*app.env, *common])
        self._environments += len(world.plan.apps)
        for rank in world.ranks:
            self._spawn(rank, first_environment + rank.proc.app)

    def _complete(self, app: AppPlan, context: AppContext) -> AppPlan:
        """With what only the mounted image tells."""
        container = self._containers()[app.container]
        if not container.mounted:
            return app
        from lwkpm.agent.mounted import complete_app

        return complete_app(app, context, self._root(app.container), os.environ, container.shims)

    def _spawn(self, rank: Rank, environment: int) -> None:
        app = rank.namespace.plan.apps[rank.proc.app]
        self._ranks[rank.id] = rank
        fds = self._streams.open(rank)
        pmi_fd, wire_up = self._service.wire_up(rank)
        entries = rank_entries(rank=rank.number, local_rank=rank.proc.local_rank, pmi=self._plan.job.pmi)
        if pmi_fd >= 0:
            fds.append(pmi_fd)
        link = self._links[app.container]
        link.spawn(rank.id, environment, app.argv, [*entries, *wire_up], app.cwd, cpu_mask(rank.proc), fds)

    # --- processes that ranks ask for ------------------------------------------------------------------------

    def on_spawn(self, request: SpawnRequest) -> None:
        """A rank wants a new world; it is told when that has been started, or that it cannot be."""
        from lwkpm.agent.spawn import plan_spawn

        if self._ending:
            request.answer(None, "the_job_is_ending")
            return
        busy = [cpu for rank in self._ranks.values() if rank.running for cpu in rank.proc.cpus]
        try:
            plan = plan_spawn(request, self._containers(), busy, os.environ)
            allow_descriptors((self._ids + len(plan.procs)) * DESCRIPTORS_PER_RANK)
            new = start_containers(self._loop, plan.containers[len(self._links) :])
            world = self._new_world(plan, request)
            self._service.add_namespace(world)
        except LwkpmError as error:
            self._refuse(request, error)
            return
        self._waiting.append(world)
        for link in new:
            link.handler = self
            self._links.append(link)
        self.on_ready(self._links[0])

    def _containers(self) -> Sequence[ContainerPlan]:
        """All there are: every spawn that brings a new one adds it to those before."""
        return max((world.plan.containers for world in self._worlds), key=len)

    def _check_programs(self, world: Namespace, request: SpawnRequest) -> bool:
        """Whether everything that was asked for is in the containers; if not the rank gets an error, as in MPI."""
        from lwkpm.agent.spawn import find_programs

        roots = [self._root(number) for number in range(len(self._links))]
        try:
            world.plan = find_programs(world.plan, roots, request.commands)
        except LwkpmError as error:
            self._refuse(request, error)
            return False
        return True

    def _refuse(self, request: SpawnRequest, error: LwkpmError) -> None:
        self._report.note(f"{request.parent.title} could not spawn: {error.what}: {error.why} [{error.code}]")
        request.answer(None, error.code)

    def _answer_spawn(self, world: Namespace) -> None:
        """Tell who asked, once every rank is a process."""
        if world.request is not None and not world.answered and all(rank.pid for rank in world.ranks):
            world.answered = True
            self._report.detail(f"{world.request.parent.title} spawned {len(world.ranks)} processes")
            world.request.answer(world, "")

    # --- news from conenter ----------------------------------------------------------------------------------

    def on_setup_failed(self, link: ConenterLink, error: int, step: str, target: str) -> None:
        """The container could not be made."""
        from lwkpm.agent.diagnose import setup_error

        number = self._links.index(link)
        explained = setup_error(self._containers()[number], error, step, target)
        spawned = [world for world in self._waiting if number in {app.container for app in world.plan.apps}]
        for world in spawned:
            if world.request is not None:
                self._waiting.remove(world)
                self._refuse(world.request, explained)
        if not spawned or any(world.request is None for world in spawned):
            self._report_launcher_error(explained)

    def on_started(self, number: int, pid: int) -> None:
        """A rank was forked; `pid` as the host sees it."""
        rank = self._ranks[number]
        rank.pid = pid
        self._started += 1
        if self._stop is not None:
            self._stop.check(self.say)
        self._report.event("proc_start", **_naming(rank), pid=pid, cpus=list(rank.proc.cpus))
        if rank.reached:
            self._link_of(rank).release(number)
        if rank.namespace.request is not None:
            self._answer_spawn(rank.namespace)

    def on_not_started(self, number: int, error: int, step: str, target: str) -> None:
        """A rank could not become its program; the first one is explained, the rest are alike."""
        from lwkpm.agent.diagnose import start_error

        rank = self._ranks[number]
        self._unstarted_errors += 1
        app = rank.namespace.plan.apps[rank.proc.app]
        if self._unstarted_errors == 1 and not self._ending:
            container = self._containers()[app.container]
            self._report_launcher_error(start_error(app, container, self._root(app.container), error, step, target))
        if rank.pid == 0:  # not even forked
            self._mark_ended(rank, 0)
            self._stop_if_done()

    def on_exited(self, number: int, status: int, mpi_library: str) -> None:
        """A rank ended."""
        rank = self._ranks[number]
        self._service.drain(rank)  # an abort may still be unread
        self._mark_ended(rank, status)
        rank.mpi_library = mpi_library
        if rank.err is not None:
            while rank.err.read_once():
                pass
        self._report.event("proc_exit", **_naming(rank), pid=rank.pid, status=os.waitstatus_to_exitcode(status))
        if not self._ending:
            self._judge(rank, status)
        if not self._ending:
            self._service.ended(rank, status)
            if self._stop is not None:
                self._stop.check(self.say)
        self._stop_if_done()

    def _judge(self, rank: Rank, status: int) -> None:
        now = time.monotonic()
        if rank.aborting:
            self._fail(Event(at=now, kind="abort", rank=rank.id, code=status >> 8 & 0xFF or 1))
        elif status:
            self._fail(from_wait(now, rank.id, status))
            if rank.mpi_library and not rank.reached:
                self._report.error(self._singleton_error([rank], rank.mpi_library, "it ended so"))
        elif rank.in_mpi:
            self._fail_without_finalize(rank)
        elif rank.mpi_library and not rank.reached:
            self._fail_singletons([rank], rank.mpi_library, "it ended with status 0")
        else:
            self._events.append(from_wait(now, rank.id, status))

    def on_conenter_lost(self, link: ConenterLink, status: int) -> None:
        """conenter is gone without being asked: the kernel has killed its ranks (PDEATHSIG)."""
        from lwkpm.agent.strays import kill_strays

        unfinished = not link.ready or self._ended < len(self._ranks)
        kill_strays(self._plan.jobid)  # the ranks' own children, which PDEATHSIG does not reach
        for rank in self._ranks.values():
            if rank.running and self._link_of(rank) is link:
                self._mark_ended(rank, signal.SIGKILL)
        if unfinished and not self._ending:
            self._report_launcher_error(
                LwkpmError(
                    "LWKPM-E037",
                    "the helper conenter ended before the job did; its ranks were killed with it",
                    f"conenter (pid {link.pid}) {describe_end(status)}",
                    "look for the out-of-memory killer in the kernel log (dmesg), or for who killed it",
                )
            )
        self._loop.stop()

    # --- news from PMI ---------------------------------------------------------------------------------------

    def on_contact(self, rank: Rank) -> None:
        """A rank reached one of its servers for the first time."""
        self._report.detail(f"{rank.title} reached the {rank.protocol} server")
        self._report.event("pmi_init", **_naming(rank), protocol=rank.protocol)
        if rank.pid:
            self._link_of(rank).release(rank.id)
        other = rank.namespace.first_of_other_kind(rank, PMIX)
        if other is not None and not self._ending:
            from lwkpm.agent.diagnose import mixed_error

            self._report_launcher_error(mixed_error(rank.title, rank.protocol, other.title, other.protocol))

    def on_held(self, rank: Rank) -> None:
        """A rank waits in MPI_Init (--stop-in-init)."""
        if self._stop is not None:
            self._stop.arrived(rank, self.say)

    def signal_rank(self, rank: Rank, number: int) -> None:
        """Signal one rank's process group (PMIx job control)."""
        self._report.detail(f"{rank.title} is sent {signal_name(number)} by PMIx job control")
        self._link_of(rank).kill(rank.id, number)

    def tap_output(self, tap: Tap | None) -> None:
        """Show all output to PMIx tools as well, from now on; None: no more."""
        self._streams.tap = tap
        for rank in self._ranks.values():
            self._streams.apply_tap(rank)

    def on_abort(self, rank: Rank, code: int | None, message: str) -> None:
        """A rank gave up; without a code its exit status is awaited for a while."""
        if self._ending:
            return
        if message:
            self._report.detail(f"{rank.title} aborts: {message}")
        if code is not None:
            self._fail(Event(at=time.monotonic(), kind="abort", rank=rank.id, code=code))
            return
        rank.aborting = True
        self._loop.after(ABORT_GRACE_S, lambda: self._give_up_waiting_for_code(rank))

    def _give_up_waiting_for_code(self, rank: Rank) -> None:
        if not self._ending:
            self._fail(Event(at=time.monotonic(), kind="abort", rank=rank.id, code=1))

    def say(self, text: str) -> None:
        """Something a server has to tell the user."""
        self._report.note(text)

    # --- failures --------------------------------------------------------------------------------------------

    def _fail(self, event: Event, error: LwkpmError | None = None) -> None:
        """Note a failure; the first one is told and, unless --no-kill, ends the job."""
        first = not any(is_failure(each) for each in self._events)
        self._events.append(event)
        if first or not self._plan.job.kill_on_failure:
            self._tell(event, error)
        if self._plan.job.kill_on_failure or event.kind in ("launcher", "timeout", "interrupt"):
            self._end_job()

    def _tell(self, event: Event, error: LwkpmError | None) -> None:
        if error is not None:
            self._report.error(error)
        elif event.rank >= 0:
            rank = self._ranks[event.rank]
            text = f"{rank.title} (pid {rank.pid}, {self._plan.hostname}) {_describe(event)}"
            lines = rank.last_error_lines()
            tail = "".join(f"\n  | {line}" for line in lines)
            self._report.note(f"{text}{'; its last stderr lines:' if lines else ''}{tail}")

    def _report_launcher_error(self, error: LwkpmError) -> None:
        self._fail(Event(at=time.monotonic(), kind="launcher", code=error.exit_status), error)

    def _fail_without_finalize(self, rank: Rank) -> None:
        from lwkpm.agent.diagnose import no_finalize_error

        event = Event(at=time.monotonic(), kind="nofinalize", rank=rank.id)
        self._fail(event, no_finalize_error(rank.title, rank.protocol))

    def _fail_singletons(self, ranks: list[Rank], library: str, when: str) -> None:
        self._report_launcher_error(self._singleton_error(ranks, library, when))

    def _singleton_error(self, ranks: list[Rank], library: str, when: str) -> LwkpmError:
        from lwkpm.agent.diagnose import singleton_error

        root = self._root(self._container_of(ranks[0]))
        said = self._service.pmix.messages() if self._service.pmix is not None else ""
        missing = self._service.pmix_missing
        return singleton_error(name_ranks(ranks), library, root, when, self._plan.job.pmi, missing, said)

    def _root(self, container: int) -> str:
        """A container's root directory as seen from here, while its conenter lives."""
        kind = self._containers()[container].kind
        return "/" if kind == "host" else f"/proc/{self._links[container].pid}/root"

    def _on_start_timeout(self) -> None:
        from lwkpm.agent.diagnose import loaded_mpi

        waiting = [rank for rank in self._ranks.values() if rank.running and not rank.reached]
        with_mpi = [(rank, library) for rank in waiting if (library := loaded_mpi(rank.pid))]
        limit_s = self._plan.job.start_timeout_s
        if with_mpi and not self._ending:
            ranks = [rank for rank, _ in with_mpi]
            self._fail_singletons(ranks, with_mpi[0][1], f"after {limit_s:g} s (--start-timeout) it still runs")
        elif waiting and any(rank.reached for rank in self._ranks.values()) and not self._ending:
            self._report.note(
                f"{name_ranks(waiting)} has not reached a PMI server after {limit_s:g} s, while others have; "
                "if they are meant to be one MPI world, this job will wait for ever"
            )

    def _on_timeout(self) -> None:
        from lwkpm.agent.diagnose import descendants, process_state

        if self._ending:
            return
        running = [rank for rank in self._ranks.values() if rank.running]
        limit_s = self._plan.job.timeout_s
        self._report.note(f"time limit of {limit_s:g} s reached (-t); still running: {name_ranks(running)}")
        for rank in running[:8]:
            for pid in descendants(rank.pid)[:4]:
                self._report.note(f"{rank.title}: {process_state(pid)}")
        self._fail(Event(at=time.monotonic(), kind="timeout"))

    # --- signals ---------------------------------------------------------------------------------------------

    def _on_signal(self, number: int) -> None:
        if number in INTERRUPTS:
            self._on_interrupt(number)
        elif number == signal.SIGTSTP:
            # As SIGSTOP: a rank leads a session of its own, and in such an orphaned group SIGTSTP does nothing.
            self._signal_all(signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
            self._signal_all(signal.SIGCONT)
        elif number == signal.SIGCONT and self._stop is not None and self._stop.waiting:
            self._stop.go_on()
        elif number == signal.SIGCONT:
            self._signal_all(signal.SIGCONT)
        else:
            self._signal_all(number)

    def _on_interrupt(self, number: int) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            self._signal_all(signal.SIGKILL)
            self._loop.stop()
            return
        self._report.note(f"{signal_name(number)}: ending the job (once more kills at once)")
        self._events.append(Event(at=time.monotonic(), kind="interrupt", code=number))
        self._signal_all(number)
        self._end_job()

    def _signal_all(self, number: int) -> None:
        for link in self._links:
            if not link.ended:
                link.kill(-1, number)

    # --- the end ---------------------------------------------------------------------------------------------

    def _end_job(self) -> None:
        """TERM and CONT now, KILL after --kill-delay."""
        if self._ending:
            return
        self._ending = True
        self._signal_all(signal.SIGTERM)
        self._signal_all(signal.SIGCONT)
        self._loop.after(self._plan.job.kill_delay_s, lambda: self._signal_all(signal.SIGKILL))
        # conenter is killed with its ranks if even SIGKILL does not end them (a process stuck in the kernel).
        self._loop.after(self._plan.job.kill_delay_s + LAST_OUTPUT_S, self._loop.stop)
        self._stop_if_done()

    def _stop_if_done(self) -> None:
        ordered = self._ranks and self._started == len(self._ranks)
        if self._ended >= self._started and (ordered or self._ending):
            self._loop.stop()

    def _mark_ended(self, rank: Rank, wait_status: int) -> None:
        """Counted, not searched: a search at every exit is quadratic in the ranks."""
        if rank.wait_status is None:
            self._ended += 1
            self._started += rank.pid == 0
        rank.wait_status = wait_status

    def _finish(self) -> JobEnd:
        for link in self._links:
            link.hang_up()
        self._service.stop()  # libpmix ends while conenter takes the container down
        self._close_links()
        self._flush_output()
        end = job_end(self._events)
        self._report.phase("job ended")
        self._report.event(
            "summary",
            status=end.status,
            cause=end.cause,
            failed=[_number(self._ranks[number]) for number in end.failed],
            phases={name: round(seconds, 6) for name, seconds in self._report.phases.items()},
        )
        return end

    def _close_links(self) -> None:
        for link in self._links:
            link.close()

    def _flush_output(self) -> None:
        """Forward what is still in the pipes. Every process of the job is gone, so each ends by itself."""
        limit_s = time.monotonic() + LAST_OUTPUT_S
        ranks = self._ranks.values()
        streams = [stream for rank in ranks for stream in (rank.out, rank.err) if stream is not None]
        while any(stream.open for stream in streams) and time.monotonic() < limit_s and self._interrupts < 2:
            self._loop.turn(0.05)
        for stream in streams:
            stream.close()
        while not all(sink.idle for sink in self._streams.sinks()) and self._interrupts < 2:
            self._loop.turn(0.2)  # a slow reader of our stdout may take its time
        for sink in self._streams.sinks():
            if sink.error is not None and not isinstance(sink.error, BrokenPipeError):
                self._report.note(f"output was lost: {sink.error.strerror}")

    def unreached_pids(self) -> list[int]:
        """Ranks that may have been worlds of their own: MPI, or a job that was ended, and no server reached."""
        ranks = [rank for rank in self._ranks.values() if rank.pid and (rank.mpi_library or self._ending)]
        return [rank.pid for rank in ranks if not rank.reached]

    def plans(self) -> list[Plan]:
        """Of every world there was."""
        return [world.plan for world in self._worlds]

    def _container_of(self, rank: Rank) -> int:
        return rank.namespace.plan.apps[rank.proc.app].container

    def _link_of(self, rank: Rank) -> ConenterLink:
        return self._links[self._container_of(rank)]


def _naming(rank: Rank) -> dict[str, object]:
    """A rank in JSON events; `world` only where there is more than the first."""
    return {"rank": rank.number, **({"world": rank.namespace.index} if rank.namespace.index else {})}


def _number(rank: Rank) -> int | str:
    return rank.label if rank.namespace.index else rank.number


def _describe(event: Event) -> str:
    if event.kind == "signal":
        return f"was killed by signal {event.code} ({signal_name(event.code)})"
    if event.kind == "abort":
        return f"called MPI_Abort with code {event.code}"
    return f"exited with status {event.code}"


def cpu_mask(proc: Proc) -> bytes:
    """The rank's CPUs as the kernel's bit mask, empty when it is not bound."""
    if not proc.cpus:
        return b""
    bits = sum(1 << cpu for cpu in proc.cpus)
    return bits.to_bytes((max(proc.cpus) // 64 + 1) * 8, "little")


def allow_descriptors(count: int) -> None:
    """Raise our soft limit of open files to what the job needs; ranks get the caller's limit back (`nofile`)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 256
    if soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    if hard != resource.RLIM_INFINITY and hard < wanted:
        from lwkpm.errors import ResourceError

        raise ResourceError(
            "LWKPM-E073",
            f"the job needs {wanted} open files",
            f"the hard limit of this process is {hard} (6 for each rank)",
            "start fewer ranks, or have the hard limit raised (ulimit -Hn)",
        )
