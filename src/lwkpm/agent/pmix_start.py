"""Starting libpmix beside everything else: its 3 ms of C run without the interpreter's lock, while the rest of the
agent is imported and the container is made. Everything that holds the lock is done before, in the caller's thread: two
threads that both want it take turns of 5 ms. The thread ends with the start.
"""

from __future__ import annotations

import _thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lwkpm.pmi.pmix.server import PmixServer


class PmixStart:
    """A PMIx server on its way."""

    def __init__(self, jobdir: str, hostname: str, *, tools: bool = False) -> None:
        self.tools = tools  # may connect
        self._error: BaseException | None = None
        self._done = _thread.allocate_lock()
        try:
            from lwkpm.pmi.pmix.server import PmixServer

            self._server = PmixServer(None, jobdir, hostname, tools=tools)
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
