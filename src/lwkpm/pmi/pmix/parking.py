"""Bringing libpmix's thread to a halt, before the ranks it serves are killed. Imported by jobs that fail.

When the last local process of a collective is lost, libpmix (4.2.2, 5.0.11) frees the collective's record and goes on
with it (the inner loop of lost_connection in ptl_base_sendrecv.c; valgrind shows it each time a fence is killed): one
in fifty such jobs ended in a message of malloc's. So it does not get to know of the deaths: its thread is given a call
back that does not return. Nobody needs it any more, and this process is about to end.
"""

from __future__ import annotations

import _thread

from lwkpm.pmi.pmix.values import NULL, encode, ffi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NOBODY = "lwkpm-nobody"  # a namespace that does not exist: forgetting it does nothing but the call back
LIMIT_S = 0.2  # measured 0.1 ms; a thread that hangs in something else is as good


class Parking:
    """Where the thread stays."""

    def __init__(self, functions: Any) -> None:
        self._lib = functions
        self._arrived, self._end = _thread.allocate_lock(), _thread.allocate_lock()
        self._arrived.acquire()
        self._end.acquire()
        self._closure = ffi.callback("pmix_op_cbfunc_t", self._stay)  # lives as long as this object

    def park(self) -> bool:
        """Have libpmix's thread come here; whether it has. Not to be called on that thread."""
        self._lib.PMIx_server_deregister_nspace(encode(NOBODY), self._closure, NULL)
        return self._arrived.acquire(timeout=LIMIT_S)

    def _stay(self, _status: int, _token: Any) -> None:
        self._arrived.release()
        self._end.acquire()
