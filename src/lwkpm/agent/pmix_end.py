"""Ending libpmix within a limit: its calls wait for its own thread, which can be stuck for good.

openpmix 4.2.2 and 5.0.11 lock a mutex twice when they refuse a client whose user is not the job's (as with a program
that gives up root); every later call that waits for their thread would then keep lwkpm from ending.
"""

from __future__ import annotations

import _thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from lwkpm.pmi.pmix.server import PmixServer

#: Usually some milliseconds. What is left undone then goes with this process and with the job directory.
LIMIT_S = 2.0


def end_pmix(server: PmixServer, namespaces: Iterable[str]) -> bool:
    """Forget the jobs, which removes what clients registered for cleanup, and finalize; whether it came to an end."""
    names = tuple(namespaces)
    done = _thread.allocate_lock()
    done.acquire()

    def end() -> None:
        try:
            for nspace in names:
                server.deregister_job(nspace)
            server.stop()
        finally:
            done.release()

    _thread.start_new_thread(end, ())
    return done.acquire(timeout=LIMIT_S)
