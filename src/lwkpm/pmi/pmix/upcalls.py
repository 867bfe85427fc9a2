"""The server module: functions that libpmix calls on its progress thread.

Each one copies its arguments into a record, queues it, wakes the loop and returns. libpmix's thread takes the GIL for
that (some 10 us); our calls into libpmix are made by cffi without the GIL, so a call that blocks until the progress
thread has done its part, such as PMIx_server_register_nspace, cannot deadlock with an upcall.

Where the Standard allows it the answer is given at once as PMIX_OPERATION_SUCCEEDED: connect, finalize and abort of a
rank then never wait for a busy loop.
"""

from __future__ import annotations

import os

from lwkpm.pmi.pmix import constants as c
from lwkpm.pmi.pmix.values import ffi, read_blob, read_infos, read_proc, read_procs, read_strings, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from typing import Any

# Member of pmix_server_module_t -> C type. Members that are missing here stay NULL, and libpmix answers
# PMIX_ERR_NOT_SUPPORTED itself (allocate, credentials, fabric). Heartbeats and files it watches without asking.
MEMBERS = {
    "client_connected": "lwkpm_client_fn",
    "client_finalized": "lwkpm_client_fn",
    "abort": "lwkpm_abort_fn",
    "fence_nb": "lwkpm_fence_fn",
    "direct_modex": "lwkpm_dmodex_fn",
    "publish": "lwkpm_publish_fn",
    "lookup": "lwkpm_lookup_fn",
    "unpublish": "lwkpm_unpublish_fn",
    "spawn": "lwkpm_spawn_fn",
    "connect": "lwkpm_connect_fn",
    "disconnect": "lwkpm_connect_fn",
    "register_events": "lwkpm_register_events_fn",
    "deregister_events": "lwkpm_deregister_events_fn",
    "notify_event": "lwkpm_notify_fn",
    "query": "lwkpm_query_fn",
    "log": "lwkpm_log_fn",
    "iof_pull": "lwkpm_iof_fn",
    "push_stdin": "lwkpm_stdin_fn",
    "group": "lwkpm_group_fn",
    "client_connected2": "lwkpm_client2_fn",
}
# Members that are offered on conditions: see `PmixServer` and `guard`.
TOOL_MEMBER = ("tool_connected", "lwkpm_tool_fn")
CONTROL_MEMBER = ("job_control", "lwkpm_job_control_fn")
WAKE = (1).to_bytes(8, "little")  # an eventfd takes 8 bytes; a pipe takes them as well


class Upcalls:
    """Owns the module struct and its closures; they must live until PMIx_server_finalize has returned."""

    def __init__(self, queue: deque[tuple[Any, ...]], wake_fd: int, functions: Any, *, tools: bool) -> None:
        self._queue = queue
        self._wake_fd = wake_fd
        self._lib = functions
        self._closures: list[Any] = []
        self._guarded = False
        self._offers_control = False
        self.module = ffi.new("pmix_server_module_t *")  # zero-filled: members we do not know stay NULL
        for name, c_type in MEMBERS.items():
            self._fill(self.module, name, c_type)
        if tools:
            self._fill(self.module, *TOOL_MEMBER)

    def _fill(self, module: Any, name: str, c_type: str) -> None:
        """Set a member of a module struct."""
        error = () if name == TOOL_MEMBER[0] else (c.ERROR,)  # what is returned when Python fails, if anything
        closure = ffi.callback(c_type, getattr(self, f"_{name}"), *error)
        self._closures.append(closure)
        setattr(module, name, ffi.cast("void *", closure))

    def _guard(self) -> None:
        """On libpmix's thread, before the first client can ask for anything: offer job control, if that is safe."""
        from lwkpm.pmi.pmix.guard import guard_thread

        self._guarded = True
        try:
            module = self._lib.pmix_host_server
        except AttributeError:
            return  # a libpmix that hides its copy
        if guard_thread(self._lib.prctl):
            self._fill(module, *CONTROL_MEMBER)
            self._offers_control = True

    def guard_finalizer(self) -> None:
        """On the thread that finalizes libpmix: it cleans up what its own thread has left."""
        if self._offers_control:
            from lwkpm.pmi.pmix.guard import guard_thread

            guard_thread(self._lib.prctl)

    def _put(self, *record: Any) -> int:
        self._queue.append(record)
        try:  # contextlib would cost 0.6 ms of import
            os.write(self._wake_fd, WAKE)
        except BlockingIOError:
            pass  # the counter or pipe is full: the loop has been woken often enough
        return c.SUCCESS

    def _put_done(self, *record: Any) -> int:
        self._put(*record)
        return c.OPERATION_SUCCEEDED

    def _client_connected(self, proc: Any, _object: Any, _reply: Any, _token: Any) -> int:
        if not self._guarded:
            self._guard()
        return self._put_done("connected", read_proc(proc))

    def _client_connected2(self, proc: Any, known: Any, _info: Any, _ninfo: int, reply: Any, token: Any) -> int:
        return self._client_connected(proc, known, reply, token)

    def _client_finalized(self, proc: Any, _object: Any, _reply: Any, _token: Any) -> int:
        return self._put_done("finalized", read_proc(proc))

    def _abort(
        self, proc: Any, _object: Any, status: int, msg: Any, procs: Any, nprocs: int, _reply: Any, _token: Any
    ) -> int:
        return self._put_done("aborted", read_proc(proc), status, text(msg), read_procs(procs, nprocs))

    def _fence_nb(
        self, procs: Any, nprocs: int, info: Any, ninfo: int, data: Any, ndata: int, reply: Any, token: Any
    ) -> int:
        blob = bytes(ffi.buffer(data, ndata)) if ndata else b""
        return self._put("fence", read_procs(procs, nprocs), read_infos(info, ninfo), blob, reply, token)

    def _direct_modex(self, proc: Any, info: Any, ninfo: int, reply: Any, token: Any) -> int:
        return self._put("modex", read_proc(proc), read_infos(info, ninfo), reply, token)

    def _publish(self, proc: Any, info: Any, ninfo: int, reply: Any, token: Any) -> int:
        return self._put("publish", read_proc(proc), read_infos(info, ninfo), reply, token)

    def _lookup(self, proc: Any, keys: Any, info: Any, ninfo: int, reply: Any, token: Any) -> int:
        return self._put("lookup", read_proc(proc), read_strings(keys), read_infos(info, ninfo), reply, token)

    def _unpublish(self, proc: Any, keys: Any, _info: Any, _ninfo: int, reply: Any, token: Any) -> int:
        return self._put("unpublish", read_proc(proc), read_strings(keys), reply, token)

    def _spawn(self, proc: Any, info: Any, ninfo: int, apps: Any, napps: int, reply: Any, token: Any) -> int:
        from lwkpm.pmi.pmix.spawn import read_commands

        return self._put("spawn", read_proc(proc), read_infos(info, ninfo), read_commands(apps, napps), reply, token)

    def _connect(self, procs: Any, nprocs: int, _info: Any, _ninfo: int, reply: Any, token: Any) -> int:
        return self._put("connect", read_procs(procs, nprocs), reply, token)

    _disconnect = _connect

    def _register_events(self, _codes: Any, _ncodes: int, _info: Any, _ninfo: int, _reply: Any, _token: Any) -> int:
        return c.OPERATION_SUCCEEDED

    def _deregister_events(self, _codes: Any, _ncodes: int, _reply: Any, _token: Any) -> int:
        return c.OPERATION_SUCCEEDED

    def _notify_event(
        self, _code: int, _source: Any, _range: int, _info: Any, _ninfo: int, _reply: Any, _token: Any
    ) -> int:
        # libpmix has told its local clients before it asks the host to tell other nodes.
        return c.OPERATION_SUCCEEDED

    def _query(self, proc: Any, queries: Any, nqueries: int, reply: Any, token: Any) -> int:
        asked = [
            (read_strings(queries[index].keys), read_infos(queries[index].qualifiers, queries[index].nqual))
            for index in range(nqueries)
        ]
        return self._put("query", read_proc(proc), asked, reply, token)

    def _log(self, proc: Any, data: Any, ndata: int, _directives: Any, _ndirs: int, reply: Any, token: Any) -> int:
        return self._put("log", read_proc(proc), read_infos(data, ndata), reply, token)

    def _group(
        self, op: int, name: Any, procs: Any, nprocs: int, directives: Any, ndirs: int, reply: Any, token: Any
    ) -> int:
        if op == c.GROUP_DESTRUCT:
            # To be answered at once: 5.0.11 asks a second time for the same local group when we answer later, then
            # uses the tracker that the first answer freed (pmix_server_grpdestruct lacks a return).
            return self._put_done("ungroup", text(name))
        members = read_procs(procs, nprocs)
        return self._put("group", text(name), members, read_infos(directives, ndirs), reply, token)

    def _job_control(
        self, proc: Any, targets: Any, ntargets: int, directives: Any, ndirs: int, reply: Any, token: Any
    ) -> int:
        named = read_procs(targets, ntargets)
        return self._put("control", read_proc(proc), named, read_infos(directives, ndirs), reply, token)

    def _iof_pull(
        self, procs: Any, nprocs: int, directives: Any, ndirs: int, channels: int, _reply: Any, _token: Any
    ) -> int:
        # To be answered at once: libpmix frees the request when we say that the answer comes later.
        return self._put_done("pull", read_procs(procs, nprocs), read_infos(directives, ndirs), channels)

    def _push_stdin(
        self,
        proc: Any,
        targets: Any,
        ntargets: int,
        directives: Any,
        ndirs: int,
        data: Any,
        reply: Any,
        token: Any,
    ) -> int:
        sent = read_blob(data) if data else b""
        named = read_procs(targets, ntargets)
        return self._put("stdin", read_proc(proc), named, read_infos(directives, ndirs), sent, reply, token)

    def _tool_connected(self, info: Any, ninfo: int, reply: Any, token: Any) -> None:
        if not self._guarded:
            self._guard()
        self._put("tool", read_infos(info, ninfo), reply, token)
