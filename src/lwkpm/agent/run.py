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
from lwkpm.agent.conenter import describe_end, signal_name
from lwkpm.agent.rank import Rank
from lwkpm.agent.report import fold_ranks
from lwkpm.agent.service import PmiService
from lwkpm.agent.signals import SignalWatch
from lwkpm.errors import LwkpmError
from lwkpm.job.environment import rank_entries
from lwkpm.job.status import Event, from_wait, is_failure, job_end
from lwkpm.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lwkpm.agent.conenter import ConenterLink
    from lwkpm.agent.loop import Loop
    from lwkpm.agent.pmix_start import PmixStart
    from lwkpm.agent.report import Report
    from lwkpm.job.plan import Plan, Proc
    from lwkpm.job.status import JobEnd

#: How long a rank that called PMI-2's abort, which carries no code, gets to exit with one.
ABORT_GRACE_S = 1.0
#: How long output is awaited after the last process of the job is gone.
LAST_OUTPUT_S = 5.0
DESCRIPTORS_PER_RANK = 6
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


class Agent:
    """One job on one node."""

    def __init__(
        self, plan: Plan, report: Report, loop: Loop, links: list[ConenterLink], pmix: PmixStart | None
    ) -> None:
        self._plan = plan
        self._report = report
        self._pmix = pmix
        self._loop = loop
        self._ranks = [Rank(proc) for proc in plan.procs]
        self._events: list[Event] = []
        self._links = links
        self._not_ready = len(plan.containers)
        self._ending = False
        self._interrupts = 0
        self._unstarted_errors = 0
        self._started = self._ended = 0  # ranks
        self._streams = StandardStreams(self._loop, plan)
        self._service = PmiService(
            self._loop, plan, self._on_contact, self._on_abort, report.note, report.trace if self._tracing else None
        )

    @property
    def _tracing(self) -> bool:
        return self._plan.job.verbosity >= 2

    # --- the run ---------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run the job; its exit status."""
        allow_descriptors(len(self._ranks) * DESCRIPTORS_PER_RANK)
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
        self._report.phase("PMI servers ready")
        if self._plan.job.timeout_s:
            self._loop.after(self._plan.job.timeout_s, self._on_timeout)

    def on_ready(self, _link: ConenterLink) -> None:
        """A container is there; when all are, every rank is ordered."""
        self._not_ready -= 1
        if self._not_ready or self._ending:
            return
        self._report.phase("container ready")
        try:
            self._spawn_all()
        except LwkpmError as error:
            self._report_launcher_error(error)
            return
        self._report.phase("ranks ordered")
        self._streams.start_stdin()
        if self._plan.job.start_timeout_s:
            self._loop.after(self._plan.job.start_timeout_s, self._on_start_timeout)

    def _spawn_all(self) -> None:
        for number, app in enumerate(self._plan.apps):
            self._links[app.container].environment(number, app.env)
        for rank in self._ranks:
            self._spawn(rank)

    def _spawn(self, rank: Rank) -> None:
        app = self._plan.apps[rank.proc.app]
        fds = self._streams.open(rank)
        pmi_fd, wire_up = self._service.add_rank(rank.number)
        entries = rank_entries(rank=rank.number, local_rank=rank.proc.local_rank, pmi=self._plan.job.pmi)
        if pmi_fd >= 0:
            fds.append(pmi_fd)
        link = self._links[app.container]
        link.spawn(rank.number, rank.proc.app, app.argv, [*entries, *wire_up], app.cwd, cpu_mask(rank.proc), fds)

    # --- news from conenter ----------------------------------------------------------------------------------

    def on_setup_failed(self, link: ConenterLink, error: int, step: str, target: str) -> None:
        """The container could not be made."""
        from lwkpm.agent.diagnose import setup_error

        container = self._plan.containers[self._links.index(link)]
        self._report_launcher_error(setup_error(container, error, step, target))

    def on_started(self, number: int, pid: int) -> None:
        """A rank was forked; `pid` as the host sees it."""
        rank = self._ranks[number]
        rank.pid = pid
        self._started += 1
        self._report.event("proc_start", rank=number, pid=pid, cpus=list(rank.proc.cpus))
        if self._service.contacts[number].reached:
            self._link_of(rank).release(number)

    def on_not_started(self, number: int, error: int, step: str, target: str) -> None:
        """A rank could not become its program; the first one is explained, the rest are alike."""
        from lwkpm.agent.diagnose import start_error

        rank = self._ranks[number]
        self._unstarted_errors += 1
        app = self._plan.apps[rank.proc.app]
        if self._unstarted_errors == 1 and not self._ending:
            container = self._plan.containers[app.container]
            self._report_launcher_error(start_error(app, container, self._root(rank), error, step, target))
        if rank.pid == 0:  # not even forked
            self._mark_ended(rank, 0)
            self._stop_if_done()

    def on_exited(self, number: int, status: int, mpi_library: str) -> None:
        """A rank ended."""
        rank = self._ranks[number]
        self._service.drain(number)  # an abort may still be unread
        self._mark_ended(rank, status)
        rank.mpi_library = mpi_library
        if rank.err is not None:
            while rank.err.read_once():
                pass
        self._report.event("proc_exit", rank=number, pid=rank.pid, status=os.waitstatus_to_exitcode(status))
        if not self._ending:
            self._judge(rank, status)
        self._stop_if_done()

    def _judge(self, rank: Rank, status: int) -> None:
        contact = self._service.contacts[rank.number]
        now = time.monotonic()
        if rank.aborting:
            self._fail(Event(at=now, kind="abort", rank=rank.number, code=status >> 8 & 0xFF or 1))
        elif status:
            self._fail(from_wait(now, rank.number, status))
            if rank.mpi_library and not contact.reached:
                self._report.error(self._singleton_error([rank.number], rank.mpi_library, "it ended so"))
        elif contact.open:
            self._fail_without_finalize(rank, contact.protocol)
        elif rank.mpi_library and not contact.reached:
            self._fail_singletons([rank.number], rank.mpi_library, "it ended with status 0")
        else:
            self._events.append(from_wait(now, rank.number, status))

    def on_conenter_lost(self, link: ConenterLink, status: int) -> None:
        """conenter is gone without being asked: the kernel has killed its ranks (PDEATHSIG)."""
        from lwkpm.agent.strays import kill_strays

        unfinished = not link.ready or self._ended < len(self._ranks)
        kill_strays(self._plan.jobid)  # the ranks' own children, which PDEATHSIG does not reach
        for rank in self._ranks:
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

    def _on_contact(self, number: int) -> None:
        rank = self._ranks[number]
        protocol = self._service.contacts[number].protocol
        self._report.detail(f"rank {number} reached the {protocol} server")
        self._report.event("pmi_init", rank=number, protocol=protocol)
        if rank.pid:
            self._link_of(rank).release(number)

    def _on_abort(self, number: int, code: int | None, message: str) -> None:
        rank = self._ranks[number]
        if self._ending:
            return
        if message:
            self._report.detail(f"rank {number} aborts: {message}")
        if code is not None:
            self._fail(Event(at=time.monotonic(), kind="abort", rank=number, code=code))
            return
        rank.aborting = True
        self._loop.after(ABORT_GRACE_S, lambda: self._give_up_waiting_for_code(rank))

    def _give_up_waiting_for_code(self, rank: Rank) -> None:
        if not self._ending:
            self._fail(Event(at=time.monotonic(), kind="abort", rank=rank.number, code=1))

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
            text = f"rank {rank.number} (pid {rank.pid}, {self._plan.hostname}) {_describe(event)}"
            lines = rank.last_error_lines()
            tail = "".join(f"\n  | {line}" for line in lines)
            self._report.note(f"{text}{'; its last stderr lines:' if lines else ''}{tail}")

    def _report_launcher_error(self, error: LwkpmError) -> None:
        self._fail(Event(at=time.monotonic(), kind="launcher", code=error.exit_status), error)

    def _fail_without_finalize(self, rank: Rank, protocol: str) -> None:
        from lwkpm.agent.diagnose import no_finalize_error

        self._fail(
            Event(at=time.monotonic(), kind="nofinalize", rank=rank.number), no_finalize_error(rank.number, protocol)
        )

    def _fail_singletons(self, numbers: list[int], library: str, when: str) -> None:
        self._report_launcher_error(self._singleton_error(numbers, library, when))

    def _singleton_error(self, numbers: list[int], library: str, when: str) -> LwkpmError:
        from lwkpm.agent.diagnose import singleton_error

        root = self._root(self._ranks[numbers[0]])
        return singleton_error(numbers, library, root, when, self._plan.job.pmi, self._service.pmix_missing)

    def _root(self, rank: Rank) -> str:
        """The rank's root directory as seen from here, while its conenter lives."""
        app = self._plan.apps[rank.proc.app]
        if self._plan.containers[app.container].kind == "host":
            return "/"
        return f"/proc/{self._link_of(rank).pid}/root"

    def _on_start_timeout(self) -> None:
        from lwkpm.agent.diagnose import loaded_mpi

        waiting = [rank for rank in self._ranks if rank.running and not self._service.contacts[rank.number].reached]
        with_mpi = [(rank, library) for rank in waiting if (library := loaded_mpi(rank.pid))]
        limit_s = self._plan.job.start_timeout_s
        if with_mpi and not self._ending:
            numbers = [rank.number for rank, _ in with_mpi]
            self._fail_singletons(numbers, with_mpi[0][1], f"after {limit_s:g} s (--start-timeout) it still runs")
        elif waiting and any(contact.reached for contact in self._service.contacts) and not self._ending:
            numbers = [rank.number for rank in waiting]
            self._report.note(
                f"rank {fold_ranks(numbers)} has not reached a PMI server after {limit_s:g} s, while others have; "
                "if they are meant to be one MPI world, this job will wait for ever"
            )

    def _on_timeout(self) -> None:
        from lwkpm.agent.diagnose import descendants, process_state

        if self._ending:
            return
        running = [rank for rank in self._ranks if rank.running]
        self._report.note(
            f"time limit of {self._plan.job.timeout_s:g} s reached (-t); "
            f"still running: rank {fold_ranks([rank.number for rank in running]) or 'none'}"
        )
        for rank in running[:8]:
            for pid in descendants(rank.pid)[:4]:
                self._report.note(f"rank {rank.number}: {process_state(pid)}")
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
        if self._ended >= self._started and (self._started == len(self._ranks) or self._ending):
            self._loop.stop()

    def _mark_ended(self, rank: Rank, wait_status: int) -> None:
        """Counted, not searched: a search at every exit is quadratic in the ranks."""
        if rank.wait_status is None:
            self._ended += 1
            self._started += rank.pid == 0
        rank.wait_status = wait_status

    def _finish(self) -> JobEnd:
        self._close_links()
        self._flush_output()
        end = job_end(self._events)
        self._report.phase("job ended")
        self._report.event(
            "summary",
            status=end.status,
            cause=end.cause,
            failed=list(end.failed),
            phases={name: round(seconds, 6) for name, seconds in self._report.phases.items()},
        )
        return end

    def _close_links(self) -> None:
        for link in self._links:
            link.close()

    def _flush_output(self) -> None:
        """Forward what is still in the pipes. Every process of the job is gone, so each ends by itself."""
        limit_s = time.monotonic() + LAST_OUTPUT_S
        streams = [stream for rank in self._ranks for stream in (rank.out, rank.err) if stream is not None]
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
        ranks = [rank for rank in self._ranks if rank.pid and (rank.mpi_library or self._ending)]
        return [rank.pid for rank in ranks if not self._service.contacts[rank.number].reached]

    def _link_of(self, rank: Rank) -> ConenterLink:
        return self._links[self._plan.apps[rank.proc.app].container]


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
