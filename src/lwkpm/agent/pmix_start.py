"""Starting libpmix beside everything else: its 3 ms of C run without the interpreter's lock, while the rest of the
agent is imported and the container is made. Everything that holds the lock is done before, in the caller's thread: two
threads that both want it take turns of 5 ms. The thread ends with the start.
"""

from __future__ import annotations

import _thread
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lwkpm.job.plan import Plan
    from lwkpm.pmi.pmix.server import PmixServer
    from lwkpm.pmi.pmix.values import Proc

STOP_IN_INIT = ("pmix.dbg.init", 1, True)  # PMIX_DEBUG_STOP_IN_INIT, a PMIX_BOOL


class PmixStart:
    """A PMIx server on its way, with the worlds of the command line as its first jobs."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        job = plans[0].job
        self.tools = job.tools  # may connect
        self._error: BaseException | None = None
        self._done = _thread.allocate_lock()
        try:
            from lwkpm.pmi.pmix.server import PmixServer

            self._server = PmixServer(None, plans[0].jobdir, plans[0].hostname, tools=job.tools)
            for plan in plans:
                register(self._server, plan, stop_in_init=job.stop_in_init)
        except BaseException as error:  # noqa: BLE001 - raised again by `result`, like that of the thread
            self._error = error
            return
        self._done.acquire()
        _thread.start_new_thread(self._start, ())

    def _start(self) -> None:
        try:
            self._server.start()
        except BaseException as error:  # noqa: BLE001 - raised again by `result`, in the thread that asks
            self._error = error
        finally:
            self._done.release()

    def result(self) -> PmixServer:
        """The server, once it runs; raises what its start raised."""
        with self._done:
            pass
        if self._error is not None:
            raise self._error
        return self._server


def register(server: PmixServer, plan: Plan, *, stop_in_init: bool, parent: Proc | None = None) -> None:
    """Make a world known to a server, as a job of this user; `parent` is the rank that spawned it."""
    server.register_job(
        plan.nspace,
        appnums=[proc.app for proc in plan.procs],
        local_ranks=[proc.local_rank for proc in plan.procs],
        universe_size=plan.universe_size,
        hostname=plan.hostname,
        uid=os.geteuid(),
        gid=os.getegid(),
        parent=parent,
        psets=_psets(plan),
        extra=[STOP_IN_INIT] if stop_in_init else (),
    )


def _psets(plan: Plan) -> dict[str, list[int]]:
    """The process sets of the parts that ask for one: ranks by name."""
    sets: dict[str, list[int]] = {}
    if any(app.pset for app in plan.apps):
        for proc in plan.procs:
            name = plan.apps[proc.app].pset
            if name:
                sets.setdefault(name, []).append(proc.rank)
    return sets
