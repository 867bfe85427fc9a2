"""Answering upcalls: calling the saved callback, and keeping the memory that libpmix still reads after it returned."""

from __future__ import annotations

from lwkpm.pmi.pmix import constants as c
from lwkpm.pmi.pmix.values import NULL, encode, ffi, make_infos, make_pdata, make_proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from lwkpm.pmi.pmix.values import Info, Proc

    Token = tuple[Any, Any]  # the library's callback and its cbdata


class Answers:
    """Sends answers. Callable from the loop's thread; libpmix hands them over to its own."""

    def __init__(self) -> None:
        self._kept: dict[int, Any] = {}
        self._next = 0
        self._open = True
        self._release = ffi.callback("pmix_release_cbfunc_t", self._drop)

    def _drop(self, key: Any) -> None:
        self._kept.pop(int(ffi.cast("uintptr_t", key)), None)

    def _keep(self, memory: Any) -> Any:
        """A release_cbdata under which `memory` stays alive until libpmix calls release_fn."""
        self._next += 1
        self._kept[self._next] = memory
        return ffi.cast("void *", self._next)

    def close(self) -> None:
        """The library has ended: answers that come now, such as that of a spawn, go nowhere."""
        self._open = False

    def done(self, token: Token, status: int) -> None:
        """Answer an operation that returns only a status."""
        reply, cbdata = token
        if reply and self._open:
            reply(status, cbdata)

    def spawned(self, token: Token, status: int, nspace: str) -> None:
        """Answer a spawn; libpmix copies the namespace before it returns."""
        reply, cbdata = token
        if self._open:
            reply(status, ffi.new("char[]", encode(nspace)), cbdata)

    def admitted(self, token: Token, status: int, proc: Proc) -> None:
        """Answer a tool; libpmix copies its identity before it returns."""
        reply, cbdata = token
        if self._open:
            reply(status, make_proc(*proc), cbdata)

    def modex(self, token: Token, status: int, data: bytes) -> None:
        """Answer a fence or a direct modex; `data` may hold NUL bytes."""
        reply, cbdata = token
        if not self._open:
            return
        if not data:
            reply(status, NULL, 0, cbdata, NULL, NULL)
            return
        blob = ffi.new("char[]", data)
        reply(status, blob, len(data), cbdata, self._release, self._keep(blob))

    def infos(self, token: Token, status: int, infos: Sequence[Info]) -> None:
        """Answer a query or a group operation."""
        reply, cbdata = token
        if not self._open:
            return
        if not infos:
            reply(status, NULL, 0, cbdata, NULL, NULL)
            return
        array, count, keep = make_infos(infos)
        reply(status, array, count, cbdata, self._release, self._keep(keep))

    def found(self, token: Token, data: Sequence[tuple[Proc, Info]], missing: int = c.ERR_NOT_FOUND) -> None:
        """Answer a lookup; libpmix packs the data before it returns, so nothing has to be kept."""
        reply, cbdata = token
        if not self._open:
            return
        if not data:
            reply(missing, NULL, 0, cbdata)
            return
        array, count, _keep = make_pdata(data)
        reply(c.SUCCESS, array, count, cbdata)
