"""What went wrong in a run: what the user is told, and what it means for the exit status. The first failure decides;
what follows it is mostly its consequence.
"""

from __future__ import annotations

import time

from lwkpm.agent.conenter import signal_name
from lwkpm.agent.namespace import name_ranks
from lwkpm.job.status import Event, from_wait, is_failure, job_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lwkpm.agent.rank import Rank
    from lwkpm.agent.report import Report
    from lwkpm.agent.service import PmiService
    from lwkpm.agent.worlds import Worlds
    from lwkpm.errors import LwkpmError
    from lwkpm.job.plan import Plan
    from lwkpm.job.status import JobEnd

#: Failures that end a job even with --no-kill.
ALWAYS_FATAL = ("launcher", "timeout", "interrupt")


class Failures:
    """Notes events; `end_job` is called by the failure that ends the job: whether its ranks can end well, or not."""

    def __init__(
        self, plan: Plan, worlds: Worlds, service: PmiService, report: Report, end_job: Callable[[bool], None]
    ) -> None:
        self._plan = plan
        self._worlds = worlds
        self._service = service
        self._report = report
        self._end_job = end_job
        self._events: list[Event] = []

    def note(self, kind: str, rank: int = -1, code: int = 0, error: LwkpmError | None = None) -> None:
        """A failure (see `job.status.Event`); the first one is told and, unless --no-kill, ends the job."""
        self._take(Event(at=time.monotonic(), kind=kind, rank=rank, code=code), error)

    def _take(self, event: Event, error: LwkpmError | None = None) -> None:
        first = not any(is_failure(each) for each in self._events)
        self._events.append(event)
        kill = self._plan.job.kill_on_failure
        if first or not kill:
            self._tell(event, error)
        if kill or event.kind in ALWAYS_FATAL:
            self._end_job(event.kind == "timeout")

    def _tell(self, event: Event, error: LwkpmError | None) -> None:
        if error is not None:
            self._report.error(error)
        elif event.rank >= 0:
            rank = self._worlds.ranks[event.rank]
            text = f"{rank.title} (pid {rank.pid}, {self._plan.hostname}) {_describe(event)}"
            lines = rank.last_error_lines()
            tail = "".join(f"\n  | {line}" for line in lines)
            self._report.note(f"{text}{'; its last stderr lines:' if lines else ''}{tail}")

    def interrupted(self, number: int) -> None:
        """The user ended the job by this signal."""
        self._events.append(Event(at=time.monotonic(), kind="interrupt", code=number))

    def launcher(self, error: LwkpmError) -> None:
        """An error of ours, which ends the job."""
        self.note("launcher", code=error.exit_status, error=error)

    def exited(self, rank: Rank, status: int) -> None:
        """A rank ended with this wait status: well or not, and did it say goodbye to MPI?"""
        alone = rank.mpi_library and not rank.reached
        if rank.aborting:
            self.note("abort", rank.id, status >> 8 & 0xFF or 1)
        elif status:
            self._take(from_wait(time.monotonic(), rank.id, status))
            if alone:
                self._report.error(self._singleton_error([rank], rank.mpi_library, "it ended so"))
        elif rank.in_mpi:
            from lwkpm.agent.diagnose import no_finalize_error

            self.note("nofinalize", rank.id, error=no_finalize_error(rank.title, rank.protocol))
        elif alone:
            self.singletons([rank], rank.mpi_library, "it ended with status 0")
        else:
            self._events.append(from_wait(time.monotonic(), rank.id, status))

    def singletons(self, ranks: Sequence[Rank], library: str, when: str) -> None:
        """Ranks with an MPI library that found no server."""
        self.launcher(self._singleton_error(ranks, library, when))

    def _singleton_error(self, ranks: Sequence[Rank], library: str, when: str) -> LwkpmError:
        from lwkpm.agent.diagnose import singleton_error

        root = self._worlds.root(self._worlds.container_of(ranks[0]))
        said = self._service.pmix.messages() if self._service.pmix is not None else ""
        missing = self._service.pmix_missing
        return singleton_error(name_ranks(ranks), library, root, when, self._plan.job.pmi, missing, said)

    def setup(self, container: int, error: int, step: str, target: str) -> LwkpmError:
        """Why conenter could not make a container."""
        from lwkpm.agent.diagnose import setup_error

        return setup_error(self._worlds.containers[container], error, step, target)

    def not_started(self, rank: Rank, error: int, step: str, target: str) -> None:
        """A rank could not become its program."""
        from lwkpm.agent.diagnose import start_error

        app = rank.namespace.plan.apps[rank.proc.app]
        container = self._worlds.containers[app.container]
        self.launcher(start_error(app, container, self._worlds.root(app.container), error, step, target))

    def mixed(self, rank: Rank, other: Rank) -> None:
        """Two ranks of one world came to servers that know nothing of each other."""
        from lwkpm.agent.diagnose import mixed_error

        self.launcher(mixed_error(rank.title, rank.protocol, other.title, other.protocol))

    def start_timeout(self, ranks: Sequence[Rank]) -> None:
        """Look for those of `ranks` that should have reached a server by now."""
        from lwkpm.agent.diagnose import loaded_mpi

        waiting = [rank for rank in ranks if rank.running and not rank.reached]
        with_mpi = [(rank, library) for rank in waiting if (library := loaded_mpi(rank.pid))]
        limit_s = self._plan.job.start_timeout_s
        if with_mpi:
            when = f"after {limit_s:g} s (--start-timeout) it still runs"
            self.singletons([rank for rank, _ in with_mpi], with_mpi[0][1], when)
        elif waiting and any(rank.reached for rank in ranks):
            self._report.note(
                f"{name_ranks(waiting)} has not reached a PMI server after {limit_s:g} s, while others have; "
                "if they are meant to be one MPI world, this job will wait for ever"
            )

    def timeout(self) -> None:
        """The job's time is over: tell where its processes are."""
        from lwkpm.agent.diagnose import descendants, process_state

        running = self._worlds.running()
        limit_s = self._plan.job.timeout_s
        self._report.note(f"time limit of {limit_s:g} s reached (-t); still running: {name_ranks(running)}")
        for rank in running[:8]:
            for pid in descendants(rank.pid)[:4]:
                self._report.note(f"{rank.title}: {process_state(pid)}")
        self.note("timeout")

    def end(self) -> JobEnd:
        """What it comes to, also as the JSON summary."""
        end = job_end(self._events)
        self._report.phase("job ended")
        self._report.event(
            "summary",
            status=end.status,
            cause=end.cause,
            failed=[_number(self._worlds.ranks[number]) for number in end.failed],
            phases={name: round(seconds, 6) for name, seconds in self._report.phases.items()},
        )
        return end


def _number(rank: Rank) -> int | str:
    return rank.label if rank.namespace.index else rank.number


def _describe(event: Event) -> str:
    if event.kind == "signal":
        return f"was killed by signal {event.code} ({signal_name(event.code)})"
    if event.kind == "abort":
        return f"called MPI_Abort with code {event.code}"
    return f"exited with status {event.code}"
