"""The node agent: carries plans out, from the containers' start to the exit status.

Order of a run: conenter makes the container and libpmix starts while this is imported (cli/run.py); then the ranks are
ordered (`starter`); then the loop, until every rank has ended; then conenter is closed (it kills what ranks left
behind), the last output is forwarded and everything is removed.
"""

from __future__ import annotations

import os
import time

from lwkpm.agent.channels import StandardStreams
from lwkpm.agent.conenter import describe_end, signal_name
from lwkpm.agent.failures import Failures
from lwkpm.agent.service import PMIX, PmiService
from lwkpm.agent.signals import SignalWatch
from lwkpm.agent.starter import Starter
from lwkpm.agent.worlds import Worlds
from lwkpm.errors import LwkpmError
from lwkpm.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lwkpm.agent.conenter import ConenterLink
    from lwkpm.agent.debugger import StopInInit
    from lwkpm.agent.loop import Loop
    from lwkpm.agent.namespace import Namespace
    from lwkpm.agent.pmix_start import PmixStart
    from lwkpm.agent.rank import Rank
    from lwkpm.agent.report import Report
    from lwkpm.agent.service import Tap
    from lwkpm.agent.spawn import SpawnRequest
    from lwkpm.agent.spawner import Spawner
    from lwkpm.job.plan import Plan

#: How long a rank that called PMI-2's abort, which carries no code, gets to exit with one.
ABORT_GRACE_S = 1.0
#: How long output is awaited after the last process of the job is gone.
LAST_OUTPUT_S = 5.0
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
        self._ending = False
        self._interrupts = 0
        self._unstarted_errors = 0
        self._started = self._ended = 0  # ranks
        job, hostname = self._plan.job, self._plan.hostname
        trace = report.trace if job.verbosity >= TRACING else None
        self._worlds = Worlds(plans, links)
        self._streams = StandardStreams(loop, self._plan)
        self._service = PmiService(loop, job.pmi, hostname, self, trace, stop_in_init=job.stop_in_init)
        self._starter = Starter(self._worlds, self._streams, self._service)
        self._failures = Failures(self._plan, self._worlds, self._service, report, self._end_job)
        self._stop = self._prepare_stop() if job.stop_in_init else None
        self._spawner: Spawner | None = None

    def _prepare_stop(self) -> StopInInit:
        from lwkpm.agent.debugger import StopInInit

        return StopInInit(lambda: list(self._worlds.ranks.values()), self._plan.hostname, self._service.release)

    # --- the run ---------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run the job; its exit status."""
        forwarded = [getattr(signal, f"SIG{name}") for name in self._plan.job.forward_signals]
        ignored_input = signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        watch = SignalWatch(self._loop, {*INTERRUPTS, *forwarded}, self._on_signal)
        try:
            self._start()
            self._loop.run()
            return self._finish()
        except LwkpmError as error:
            self._failures.launcher(error)
            return self._finish()
        finally:
            self._close_links()
            self._service.stop(clean=not self._ending)
            self._streams.close()
            watch.close()
            signal.signal(signal.SIGTTIN, ignored_input)

    def _start(self) -> None:
        for link in self._worlds.links:
            link.handler = self
        self._service.start_pmix(self._pmix)
        for world in self._worlds.all:
            self._service.add_namespace(world)
        self._report.phase("PMI servers ready")
        if self._plan.job.timeout_s:
            self._loop.after(self._plan.job.timeout_s, self._on_timeout)

    def _on_timeout(self) -> None:
        if not self._ending:
            self._failures.timeout()

    def _limit_start(self, started: list[Namespace]) -> None:
        """Each world has --start-timeout from its own start."""
        limit_s = self._plan.job.start_timeout_s
        if started and limit_s and self._stop is None:
            self._loop.after(limit_s, lambda: self._on_start_timeout(started))

    def _on_start_timeout(self, worlds: list[Namespace]) -> None:
        if not self._ending:
            self._failures.start_timeout([rank for world in worlds for rank in world.ranks])

    # --- news from conenter ----------------------------------------------------------------------------------

    def on_ready(self, _link: ConenterLink) -> None:
        """A container is there; the worlds that waited for it alone are started."""
        first = not self._worlds.ranks
        if self._ending:
            return
        if first:
            self._report.phase("container ready")
        started = []
        try:
            for world in self._worlds.take_ready():
                if world.request is None or self._spawns.check(world, world.request):
                    self._starter.start(world)
                    started.append(world)
        except LwkpmError as error:
            self._failures.launcher(error)
            return
        if first and not self._worlds.waiting:
            self._report.phase("ranks ordered")
            self._streams.start_stdin()
        self._limit_start(started)

    def on_setup_failed(self, link: ConenterLink, error: int, step: str, target: str) -> None:
        """The container could not be made."""
        number = self._worlds.links.index(link)
        explained = self._failures.setup(number, error, step, target)
        if self._spawner is None or not self._spawner.refuse_those_in(number, explained):
            self._failures.launcher(explained)

    def on_started(self, number: int, pid: int) -> None:
        """A rank was forked; `pid` as the host sees it."""
        rank = self._worlds.ranks[number]
        rank.pid = pid
        self._started += 1
        self._check_stop()
        self._report.event("proc_start", **_naming(rank), pid=pid, cpus=list(rank.proc.cpus))
        if rank.reached:
            self._worlds.link_of(rank).release(number)
        if rank.namespace.request is not None:
            self._spawns.answer_if_started(rank.namespace)

    def on_not_started(self, number: int, error: int, step: str, target: str) -> None:
        """A rank could not become its program; the first one is explained, the rest are alike."""
        rank = self._worlds.ranks[number]
        self._unstarted_errors += 1
        if self._unstarted_errors == 1 and not self._ending:
            self._failures.not_started(rank, error, step, target)
        if rank.pid == 0:  # not even forked
            self._mark_ended(rank, 0)
            self._stop_if_done()

    def on_exited(self, number: int, status: int, mpi_library: str) -> None:
        """A rank ended."""
        rank = self._worlds.ranks[number]
        self._service.drain(rank)  # an abort may still be unread
        self._mark_ended(rank, status)
        rank.mpi_library = mpi_library
        if rank.err is not None:
            while rank.err.read_once():
                pass
        self._report.event("proc_exit", **_naming(rank), pid=rank.pid, status=os.waitstatus_to_exitcode(status))
        if not self._ending:
            self._failures.exited(rank, status)
        if not self._ending:
            self._service.ended(rank, status)
            self._check_stop()
        self._stop_if_done()

    def on_conenter_lost(self, link: ConenterLink, status: int) -> None:
        """conenter is gone without being asked: the kernel has killed its ranks (PDEATHSIG)."""
        from lwkpm.agent.strays import kill_strays

        unfinished = not link.ready or self._ended < len(self._worlds.ranks)
        kill_strays(self._plan.jobid)  # the ranks' own children, which PDEATHSIG does not reach
        for rank in self._worlds.running():
            if self._worlds.link_of(rank) is link:
                self._mark_ended(rank, signal.SIGKILL)
        if unfinished and not self._ending:
            self._failures.launcher(
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
            self._worlds.link_of(rank).release(rank.id)
        other = rank.namespace.first_of_other_kind(rank, PMIX)
        if other is not None and not self._ending:
            self._failures.mixed(rank, other)

    def on_abort(self, rank: Rank, code: int | None, message: str) -> None:
        """A rank gave up; without a code its exit status is awaited for a while."""
        if self._ending:
            return
        if message:
            self._report.detail(f"{rank.title} aborts: {message}")
        if code is not None:
            self._failures.note("abort", rank.id, code)
            return
        rank.aborting = True
        self._loop.after(ABORT_GRACE_S, lambda: self._give_up_waiting_for_code(rank))

    def _give_up_waiting_for_code(self, rank: Rank) -> None:
        if not self._ending:
            self._failures.note("abort", rank.id, 1)

    def on_spawn(self, request: SpawnRequest) -> None:
        """A rank wants a new world; it is told when that has been started, or that it cannot be."""
        if self._ending:
            request.answer(None, "the_job_is_ending")
        elif self._spawns.plan(request, self._loop, self):
            self.on_ready(self._worlds.links[0])

    @property
    def _spawns(self) -> Spawner:
        if self._spawner is None:
            from lwkpm.agent.spawner import Spawner

            self._spawner = Spawner(self._worlds, self._service, self._report)
        return self._spawner

    def on_held(self, rank: Rank) -> None:
        """A rank waits in MPI_Init (--stop-in-init)."""
        if self._stop is not None:
            self._stop.arrived(rank, self.say)

    def _check_stop(self) -> None:
        if self._stop is not None:
            self._stop.check(self.say)

    def signal_rank(self, rank: Rank, number: int) -> None:
        """Signal one rank's process group (PMIx job control)."""
        self._report.detail(f"{rank.title} is sent {signal_name(number)} by PMIx job control")
        self._worlds.link_of(rank).kill(rank.id, number)

    def tap_output(self, tap: Tap | None) -> None:
        """Show all output to PMIx tools as well, from now on; None: no more."""
        self._streams.tap = tap
        for rank in self._worlds.ranks.values():
            self._streams.apply_tap(rank)

    def push_input(self, rank: Rank, data: bytes, ends: bool) -> None:
        """Input that a PMIx tool sent for a rank."""
        if not self._streams.push(rank, data, ends=ends) and data:
            self._report.note(f"a tool sent input for {rank.title}, which reads it with --stdin tool only")

    def say(self, text: str) -> None:
        """Something a server has to tell the user."""
        self._report.note(text)

    # --- signals ---------------------------------------------------------------------------------------------

    def _on_signal(self, number: int) -> None:
        signal_all = self._worlds.signal_all
        if number in INTERRUPTS:
            self._on_interrupt(number)
        elif number == signal.SIGTSTP:
            # As SIGSTOP: a rank leads a session of its own, and in such an orphaned group SIGTSTP does nothing.
            signal_all(signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
            signal_all(signal.SIGCONT)
        elif number == signal.SIGCONT and self._stop is not None and self._stop.waiting:
            self._stop.go_on()
        else:
            signal_all(number)

    def _on_interrupt(self, number: int) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            self._kill_all()
            self._loop.stop()
            return
        self._report.note(f"{signal_name(number)}: ending the job (once more kills at once)")
        self._failures.interrupted(number)
        self._worlds.signal_all(number)
        self._end_job(True)

    # --- the end ---------------------------------------------------------------------------------------------

    def _end_job(self, orderly: bool) -> None:
        """TERM and CONT now, KILL after --kill-delay. `orderly`: ranks that wish may finalize until then."""
        if self._ending:
            return
        self._ending = True
        if not orderly:
            self._service.park()
        self._worlds.signal_all(signal.SIGTERM)
        self._worlds.signal_all(signal.SIGCONT)
        self._loop.after(self._plan.job.kill_delay_s, self._kill_all)
        # conenter is killed with its ranks if even SIGKILL does not end them (a process stuck in the kernel).
        self._loop.after(self._plan.job.kill_delay_s + LAST_OUTPUT_S, self._loop.stop)
        self._stop_if_done()

    def _kill_all(self) -> None:
        self._service.park()
        self._worlds.signal_all(signal.SIGKILL)

    def _stop_if_done(self) -> None:
        ordered = self._worlds.ranks and self._started == len(self._worlds.ranks)
        if self._ended >= self._started and (ordered or self._ending):
            self._loop.stop()

    def _mark_ended(self, rank: Rank, wait_status: int) -> None:
        """Counted, not searched: a search at every exit is quadratic in the ranks."""
        if rank.wait_status is None:
            self._ended += 1
            self._started += rank.pid == 0
        rank.wait_status = wait_status

    def _finish(self) -> int:
        for link in self._worlds.links:
            link.hang_up()
        self._service.stop(clean=not self._ending)  # libpmix ends while conenter takes the container down
        self._close_links()
        self._flush_output()
        return self._failures.end().status

    def _close_links(self) -> None:
        for link in self._worlds.links:
            link.close()

    def _flush_output(self) -> None:
        """Forward what is still in the pipes. Every process of the job is gone, so each ends by itself."""
        limit_s = time.monotonic() + LAST_OUTPUT_S
        ranks = self._worlds.ranks.values()
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
        ranks = [rank for rank in self._worlds.ranks.values() if rank.pid and (rank.mpi_library or self._ending)]
        return [rank.pid for rank in ranks if not rank.reached]

    def worlds(self) -> list[Namespace]:
        """Every world there was."""
        return self._worlds.all


def _naming(rank: Rank) -> dict[str, object]:
    """A rank in JSON events; `world` only where there is more than the first."""
    return {"rank": rank.number, **({"world": rank.namespace.index} if rank.namespace.index else {})}
