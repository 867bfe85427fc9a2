"""Starting libpmix beside everything else: its 5 ms of C run without the interpreter's lock, while the rest of the
agent is imported and the container is made. The thread ends with the start.
"""

from __future__ import annotations

import _thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lwkpm.pmi.pmix.server import PmixServer


class PmixStart:
    """A PMIx server on its way."""

    def __init__(self, jobdir: str, hostname: str) -> None:
        self._server: PmixServer | None = None
        self._error: BaseException | None = None
        self._done = _thread.allocate_lock()
        self._done.acquire()
        _thread.start_new_thread(self._start, (jobdir, hostname))

    def _start(self, jobdir: str, hostname: str) -> None:
        try:
            from lwkpm.pmi.pmix.server import PmixServer

            self._server = PmixServer(None, jobdir, hostname)
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
        if self._server is None:  # the start either sets one of the two or never ends
            raise RuntimeError("the PMIx server's start ended without a result")
        return self._server
