"""The PMIx server of one node: libpmix with its progress thread, and the loop's side of it."""

from __future__ import annotations

import _thread
import os

from lwkpm.errors import PmiError
from lwkpm.lean import deque
from lwkpm.pmi.pmix import constants as c
from lwkpm.pmi.pmix.job import Job, job_infos, proc_infos, spawned_infos
from lwkpm.pmi.pmix.library import find_library
from lwkpm.pmi.pmix.upcalls import Upcalls
from lwkpm.pmi.pmix.values import NULL, encode, ffi, fill_proc, make_infos, make_proc, read_strings, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from lwkpm.pmi.pmix.events import PmixEvent
    from lwkpm.pmi.pmix.job import Node
    from lwkpm.pmi.pmix.parking import Parking
    from lwkpm.pmi.pmix.requests import Fence, Modex, Requests
    from lwkpm.pmi.pmix.values import Info, Proc
    from lwkpm.pmi.pmix.view import JobView

    Registration = tuple[str, int, tuple[Any, int, list[Any]]]  # namespace, local size, job data

# The components that every client from PMIx 3 on has. With gds shmem2 on offer a PMIx 3 client prints a page about a
# missing component (open-mpi/ompi#12146); munge needs its daemon inside the container.
# hwloc need not look at the machine for it (half of the start's time): ranks are told no topology and look themselves.
SERVER_SETTINGS = {
    "PMIX_MCA_gds": "hash",
    "PMIX_MCA_psec": "native",
    "HWLOC_COMPONENTS": "no_os,stop",
}
FINE = (c.SUCCESS, c.OPERATION_SUCCEEDED)
STOP_LIMIT_S = 2.0  # measured 1-4 ms
NO_PSETS: Mapping[str, Sequence[int]] = {}


def open_wake_pair() -> tuple[int, int]:
    """(read fd, write fd), the same number twice for an eventfd; Python 3.9 has only pipes."""
    if hasattr(os, "eventfd"):
        fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        return fd, fd
    return os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)


class PmixServer:
    """Serves PMIx to the ranks of this node. One per process: libpmix 4.2 and 5.0 abort when initialised again.

    `start` it before many descriptors are open: the listener of 4.2 uses select(), which ends at 1024.
    Every method belongs to the loop's thread, but for `start`. Calls into libpmix release the GIL and may block until
    its progress thread has run; upcalls of that thread take the GIL only to queue a record (see `upcalls`).
    """

    _used = False

    def __init__(self, library_path: str | None, tmpdir: str, hostname: str, *, tools: bool = False) -> None:
        if PmixServer._used:
            raise RuntimeError("a process can have one PmixServer only, even after stop()")
        library = find_library(library_path)
        library.use_one_heap()
        self._lib = library.functions
        self.library = library.path
        self.version = ".".join(map(str, library.version))
        # The callback of calls whose end nobody awaits: it must be there, or the call waits for libpmix's thread
        # (0.2 ms a rank), and it must be C, or that thread waits for the interpreter's lock each time (0.25 ms a rank).
        # Any function without effect will do; arguments that it does not take do no harm in the C ABIs of Linux.
        self._nothing = ffi.cast("pmix_op_cbfunc_t", ffi.addressof(self._lib, "PMIx_Get_version"))
        self._running = False
        self._environments: dict[str, list[str]] = {}
        self._jobs: dict[str, Job] = {}
        self._queue: deque[tuple[Any, ...]] = deque()
        self._read_fd, self._write_fd = open_wake_pair()
        # 5.0.11 reports an "error" for every 4.x client that connects, on stderr: that is not for the user's screen.
        self._messages_fd = os.memfd_create("lwkpm-libpmix-messages", os.MFD_CLOEXEC)
        self._upcalls = Upcalls(self._queue, self._write_fd, self._lib, tools=tools)
        self._hostname = hostname
        self._late_requests: Requests | None = None
        self._view: JobView | None = None
        self._early_jobs: list[Registration] = []
        self._parking: Parking | None = None
        self._tool_dir = ""
        if tools:  # a directory of its own: 4.2 removes it at the end with all that is in it
            self._tool_dir = tmpdir = f"{tmpdir}/pmix-tools"
            os.mkdir(tmpdir, 0o700)
        PmixServer._used = True
        infos: list[Info] = [
            (c.SERVER_TMPDIR, c.STRING, tmpdir),
            (c.SYSTEM_TMPDIR, c.STRING, tmpdir),
            (c.SERVER_NSPACE, c.STRING, f"lwkpm-{os.getpid()}"),
            (c.SERVER_RANK, c.PROC_RANK, 0),
            (c.HOSTNAME, c.STRING, hostname),
            (c.IOF_LOCAL_OUTPUT, c.BOOL, False),  # 5.0 would write what is forwarded to a stream that it never opened
        ]
        if tools:
            infos.append((c.SERVER_TOOL_SUPPORT, c.BOOL, True))
        self._start_infos = make_infos(infos)

    @property
    def _requests(self) -> Requests:
        """What serves requests. Programs without PMIx make none, and do without its import."""
        if self._late_requests is None:
            from lwkpm.pmi.pmix.requests import Requests

            self._late_requests = Requests(self._jobs, self._hostname, self.define_pset)
            self._late_requests.view = self._view
        return self._late_requests

    def start(self) -> None:
        """Start the library: 2 ms and more of C without the GIL, so a thread of its own may do it.

        Jobs that were registered before become known to it here.
        """
        array, count, _keep = self._start_infos
        saved = _set_environment({**SERVER_SETTINGS, "PMIX_OUTPUT_STDERR_FD": str(self._messages_fd)})
        try:
            status = self._lib.PMIx_server_init(self._upcalls.module, array, count)
        finally:
            _restore_environment(saved)
        self._running = status in FINE
        try:
            self._check(status, "PMIx_server_init")
        except PmiError:
            self._close()
            self._remove_tool_dir()
            raise
        for registration in self._early_jobs:
            self._register(registration)
        self._early_jobs.clear()

    def _check(self, status: int, call: str) -> None:
        if status not in FINE:
            raise PmiError(
                "LWKPM-E052",
                f"the PMIx library refused {call}",
                f"{text(self._lib.PMIx_Error_string(status))} ({status}) from {self.library}, version {self.version};"
                f" it said: {self.messages().strip() or 'nothing'}",
                "choose another library with $LWKPM_LIBPMIX",
            )

    @property
    def fence_handler(self) -> Callable[[Fence], None]:
        """Called with each fence that needs other nodes; it must call `Fence.complete`, now or later."""
        return self._requests.fence_handler

    @fence_handler.setter
    def fence_handler(self, handler: Callable[[Fence], None]) -> None:
        self._requests.fence_handler = handler

    @property
    def modex_handler(self) -> Callable[[Modex], None]:
        """Called when a local rank wants data of a rank on another node; it must call `Modex.complete`."""
        return self._requests.modex_handler

    @modex_handler.setter
    def modex_handler(self, handler: Callable[[Modex], None]) -> None:
        self._requests.modex_handler = handler

    @property
    def view(self) -> JobView | None:
        """What queries are told of living processes; None: only what was registered."""
        return self._view

    @view.setter
    def view(self, view: JobView | None) -> None:
        self._view = view
        if self._late_requests is not None:
            self._late_requests.view = view

    def uri(self) -> str:
        """Where tools of our user connect to (PMIX_SERVER_URI); "" unless the server was made with `tools`."""
        from lwkpm.pmi.pmix.tools import read_uri

        return read_uri(self._tool_dir) if self._tool_dir and self._running else ""

    def fileno(self) -> int:
        """Readable when `dispatch` has something to do."""
        return self._read_fd

    @property
    def has_news(self) -> bool:
        """Whether a request waits for `dispatch`."""
        return bool(self._queue)

    @property
    def was_used(self) -> bool:
        """Whether anybody has ever called, be it that nobody has looked yet."""
        return self._late_requests is not None or self.has_news

    def dispatch(self) -> list[PmixEvent]:
        """Answer all queued requests; the events among them, in order."""
        try:  # contextlib would cost 0.6 ms of import
            os.read(self._read_fd, 4096)
        except BlockingIOError:
            pass
        events: list[PmixEvent] = []
        while self._queue:
            events.extend(self._requests.handle(self._queue.popleft()))
        if self._late_requests is not None:
            self._late_requests.expire()
        return events

    def next_deadline(self) -> float | None:
        """When to call `dispatch` at the latest (time.monotonic), None = only when readable."""
        return None if self._late_requests is None else self._late_requests.next_deadline()

    def messages(self) -> str:
        """What libpmix wrote to its error stream so far; for the debug log, and for the report of a failed job."""
        size = os.fstat(self._messages_fd).st_size
        return os.pread(self._messages_fd, size, 0).decode("utf-8", "replace")

    def register_job(
        self,
        nspace: str,
        *,
        appnums: Sequence[int],
        local_ranks: Sequence[int],
        universe_size: int,
        hostname: str,
        uid: int,
        gid: int,
        extra: Sequence[Info] = (),
        nodes: Sequence[Node] | None = None,
        parent: Proc | None = None,
        psets: Mapping[str, Sequence[int]] = NO_PSETS,
    ) -> None:
        """Make a job known, now or when the library is started: `appnums` and `local_ranks` by rank, `uid` and `gid`
        of the job's owner.

        `parent` is the process that spawned it; `psets` are named sets of its ranks.

        `nodes` are (host name, its ranks in local-rank order) when there are more than this one; `hostname` says which
        is ours. `extra` job attributes are passed on as they are.
        """
        if nodes is None:
            nodes = [(hostname, sorted(range(len(appnums)), key=lambda rank: local_ranks[rank]))]
        here = [host for host, _ in nodes].index(hostname)
        job = Job(appnums, parent, psets, [host for host, _ in nodes])
        infos = job_infos(nspace, appnums, nodes, here, universe_size)
        infos += [(c.USERID, c.UINT32, uid), (c.GRPID, c.UINT32, gid), *spawned_infos(parent), *extra]
        self._jobs[nspace] = job  # `_register` takes its process sets from here
        registration = nspace, len(nodes[here][1]), make_infos(infos, c.PROC_DATA, proc_infos(job, nodes))
        if self._running:
            self._register(registration)
        else:
            self._early_jobs.append(registration)

    def _register(self, registration: Registration) -> None:
        nspace, local_size, (array, count, _keep) = registration
        # No callback: the call waits for the progress thread, so the arrays may go when it returns.
        status = self._lib.PMIx_server_register_nspace(encode(nspace), local_size, array, count, NULL, NULL)
        self._check(status, "PMIx_server_register_nspace")
        for name, ranks in self._jobs[nspace].psets.items():
            self.define_pset(name, [(nspace, rank) for rank in ranks])

    def has_job(self, nspace: str) -> bool:
        """Whether a job is registered."""
        return nspace in self._jobs

    def define_pset(self, name: str, members: Sequence[Proc]) -> None:
        """Make a process set known to libpmix and to the ranks that registered for PMIX_PROCESS_SET_DEFINE."""
        array = ffi.new("pmix_proc_t[]", len(members))
        for index, member in enumerate(members):
            fill_proc(array[index], member)
        self._lib.PMIx_server_define_process_set(array, len(members), encode(name))  # 4.2.2's status is not set
        self._requests.psets[name] = members

    def register_client(self, nspace: str, rank: int, uid: int, gid: int) -> None:
        """Admit a rank: ids are those its process shows to the kernel here (psec native compares them)."""
        proc = make_proc(nspace, rank)
        # The rank cannot come too early: its connection is served by the same thread, after this.
        status = self._lib.PMIx_server_register_client(proc, uid, gid, NULL, self._nothing, NULL)
        self._check(status, "PMIx_server_register_client")

    def environment(self, nspace: str, rank: int) -> list[str]:
        """``NAME=value`` for a rank's process."""
        return [*self.common_environment(nspace), f"PMIX_RANK={rank}"]

    def common_environment(self, nspace: str) -> list[str]:
        """``NAME=value`` for all ranks of a job; what remains for each is PMIX_RANK.

        So it is measured with 4.2.2 and 5.0.11, and PMIx_server_setup_fork is asked once per job.
        """
        common = self._environments.get(nspace)
        if common is None:
            common = [entry for entry in self.setup_fork(nspace, 0) if not entry.startswith("PMIX_RANK=")]
            self._environments[nspace] = common
        return common

    def setup_fork(self, nspace: str, rank: int) -> list[str]:
        """What PMIx_server_setup_fork gives for one rank."""
        holder = ffi.new("char ***")
        self._check(self._lib.PMIx_server_setup_fork(make_proc(nspace, rank), holder), "PMIx_server_setup_fork")
        entries = read_strings(holder[0])
        for index in range(len(entries)):
            self._lib.free(holder[0][index])
        self._lib.free(holder[0])
        return entries

    def notify(self, status: int, nspace: str, rank: int = c.RANK_WILDCARD) -> None:
        """Tell the job's local ranks of an event (a PMIx status such as PMIX_ERR_JOB_ABORTED) about a rank."""
        # Not in the job's name: libpmix never sends an event to its source, and a wildcard would be every rank.
        source = (f"lwkpm-{os.getpid()}", 0)
        self._notify(status, source, c.RANGE_LOCAL, [(c.EVENT_AFFECTED_PROC, c.PROC, (nspace, rank))])

    def _notify(self, status: int, source: Proc, reach: int, infos: Sequence[Info]) -> None:
        if self._parking is not None:
            return
        array, count, _keep = make_infos(infos)
        # With no callback libpmix copies what it needs before it returns.
        self._check(
            self._lib.PMIx_Notify_event(status, make_proc(*source), reach, array, count, NULL, NULL),
            "PMIx_Notify_event",
        )

    def proc_ended(self, nspace: str, rank: int, exit_code: int, signal: int = 0, aborted: bool = False) -> None:
        """A process of a registered job ended; ranks and tools that are still connected are told.

        In an ordinary run every rank has finalized when the first one ends, and this costs nothing.
        `exit_code` 0..255, `signal` 0 = none, `aborted` = it called PMIx_Abort.
        """
        if self._late_requests is None:
            return
        proc = (nspace, rank)
        unfinished = proc in self._requests.connected
        self._requests.ended(proc)
        if self._requests.connected or self._requests.tools:
            from lwkpm.pmi.pmix.endings import proc_events

            for status, infos in proc_events(proc, exit_code, signal, aborted, unfinished):
                self._notify(status, proc, c.RANGE_LOCAL, infos)

    def job_ended(self, nspace: str, code: int) -> None:
        """All processes of a job have ended, `code` is the job's exit status; who is still connected is told."""
        if self._late_requests is None:
            return
        if self._requests.tools or any(other != nspace for other, _ in self._requests.connected):
            from lwkpm.pmi.pmix.endings import job_event

            self._notify(*job_event(nspace, code))

    @property
    def iof_wanted(self) -> bool:
        """Whether somebody wants output of ranks, so that `iof_deliver` is worth calling."""
        return self._late_requests is not None and self._parking is None and bool(self._late_requests.pulls)

    def iof_deliver(self, nspace: str, rank: int, channel: str, data: bytes) -> None:
        """Hand output of a rank to those who asked for it; `channel` is stdout, stderr or stddiag, b"" is its end."""
        pulls = None if self._late_requests is None else self._late_requests.pulls
        if not pulls or self._parking is not None:
            return
        from lwkpm.pmi.pmix.forwarding import CHANNELS

        if pulls.wanted(nspace, rank, CHANNELS[channel]):
            blob = ffi.new("pmix_byte_object_t *", {"bytes": ffi.from_buffer("char[]", data), "size": len(data)})
            # Without a callback it waits for libpmix's thread, so the data may go when it returns.
            status = self._lib.PMIx_server_IOF_deliver(
                make_proc(nspace, rank), CHANNELS[channel], blob, NULL, 0, NULL, NULL
            )
            self._check(status, "PMIx_server_IOF_deliver")

    def deregister_client(self, nspace: str, rank: int) -> None:
        """Forget a rank, for instance one that ended."""
        self._lib.PMIx_server_deregister_client(make_proc(nspace, rank), self._nothing, NULL)

    def deregister_job(self, nspace: str) -> None:
        """Forget a job and its ranks."""
        self._lib.PMIx_server_deregister_nspace(encode(nspace), self._nothing, NULL)
        self._environments.pop(nspace, None)
        self._jobs.pop(nspace, None)
        if self._late_requests is not None:
            self._late_requests.forget(nspace)

    def park(self) -> None:
        """Serve nobody any more, because processes are about to be killed (see `parking`); only `stop` may follow."""
        if self._running and self._parking is None:
            from lwkpm.pmi.pmix.parking import Parking

            self._parking = Parking(self._lib)
            self._parking.park()

    def stop(self, *, clean: bool = True) -> None:
        """End the library and close the descriptors; more than once does no harm.

        `clean` False: processes were killed, perhaps while they were connecting, of which nobody tells us.

        Only after a clean run: PMIx_server_finalize crashes, now and then, when a process died in a collective call
        (4.2.2, 5.0.11), and never returns once two local ranks called PMIx_Connect with a timeout: one timer is armed
        twice (pmix_server_connect; openpmix master asks whether it is armed). So it is left out when somebody did
        not say goodbye, and has a time limit. What remains then, a thread and descriptors, ends with the process.
        """
        if not self._running:
            return
        self.dispatch()  # the last goodbyes
        self._running = False
        if self._late_requests is not None:
            self._late_requests.close()
            clean = clean and self._late_requests.is_clean()
        if clean and self._parking is None and self._finalize():
            self._close()
        self._remove_tool_dir()

    def _finalize(self) -> bool:
        """Finalize libpmix in a thread of its own; whether that came to an end in time."""
        done = _thread.allocate_lock()
        done.acquire()

        def finalize() -> None:
            self._upcalls.guard_finalizer()
            self._lib.PMIx_server_finalize()
            done.release()

        _thread.start_new_thread(finalize, ())
        return done.acquire(timeout=STOP_LIMIT_S)

    def _remove_tool_dir(self) -> None:
        if self._tool_dir:
            from lwkpm.pmi.pmix.tools import remove_folder

            remove_folder(self._tool_dir)

    def _close(self) -> None:
        for fd in {self._read_fd, self._write_fd, self._messages_fd} - {-1}:
            os.close(fd)
        self._read_fd = self._write_fd = self._messages_fd = -1


def _is_for_libraries(name: str) -> bool:
    return name.startswith(("PMIX_", "HWLOC_"))


def _set_environment(settings: dict[str, str]) -> dict[str, str]:
    """Let libpmix see only `settings` of all that it and hwloc read from the environment; what was there before."""
    saved = {name: value for name, value in os.environ.items() if _is_for_libraries(name)}
    for name in saved:
        del os.environ[name]
    os.environ.update(settings)
    return saved


def _restore_environment(saved: dict[str, str]) -> None:
    for name in [name for name in os.environ if _is_for_libraries(name)]:
        del os.environ[name]
    os.environ.update(saved)
