"""A rank's standard streams: pipes, files and the launcher's own descriptors."""

from __future__ import annotations

import os

from lwkpm.agent.output import Stream
from lwkpm.agent.sink import Sink
from lwkpm.errors import LwkpmError, ResourceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lwkpm.agent.loop import Loop
    from lwkpm.agent.pushed_input import PushedInput
    from lwkpm.agent.rank import Rank
    from lwkpm.agent.service import Tap
    from lwkpm.job.plan import Plan


class StandardStreams:
    """Opens the three streams of every rank and owns where they lead."""

    def __init__(self, loop: Loop, plan: Plan) -> None:
        self._loop = loop
        self._plan = plan
        self._null_fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._stdin_pipes: list[int] = []
        self._files: dict[str, Sink] = {}
        self.stdout = Sink(loop, 1)
        self.stderr = Sink(loop, 2)
        self._stdin_is_open = _is_open(0)
        self._pushed: PushedInput | None = None
        self.tap: Tap | None = None  # is shown all output: (rank, "stdout" or "stderr", data)

    def open(self, rank: Rank) -> list[int]:
        """stdin, stdout and stderr for the rank, to be handed over and closed here."""
        job = self._plan.job
        try:
            out_read, out_write = os.pipe2(os.O_CLOEXEC)
            err_read, err_write = os.pipe2(os.O_CLOEXEC)
        except OSError as error:
            raise ResourceError(
                "LWKPM-E073",
                f"cannot open the streams of {rank.title}",
                f"{error.strerror}: each rank needs several descriptors here, {os.sysconf('SC_OPEN_MAX')} are allowed",
                "raise the limit of open files (ulimit -n) or start fewer ranks",
            ) from None
        prefix = b"[%s] " % rank.label.encode() if job.label else b""
        out = self._sink("--outfile", job.outfile, rank, self.stdout)
        err = self._sink("--errfile", job.errfile, rank, self.stderr)
        rank.out = Stream(self._loop, out_read, out, prefix)
        rank.err = Stream(self._loop, err_read, err, prefix)
        rank.err.keep_tail = True
        if self.tap is not None:
            self.apply_tap(rank)
        return [self._stdin(rank), out_write, err_write]

    def apply_tap(self, rank: Rank) -> None:
        """Make a rank's streams show their data to `tap`."""
        tap = self.tap
        for name, stream in (("stdout", rank.out), ("stderr", rank.err)):
            if stream is not None:
                stream.tap = None if tap is None else lambda data, name=name: tap(rank, name, data)

    def _stdin(self, rank: Rank) -> int:
        mode = self._plan.job.stdin
        if mode == "tool":
            return self._input_by_tool().open(rank)
        chosen = mode == "all" or mode == str(rank.number)
        wanted = self._stdin_is_open and chosen and rank.namespace.index == 0
        if not wanted:
            return os.dup(self._null_fd)
        if mode != "all" and not os.isatty(0):
            return os.dup(0)  # the rank reads the file or pipe itself; nothing is copied
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        self._stdin_pipes.append(write_fd)
        return read_fd

    def _input_by_tool(self) -> PushedInput:
        if self._pushed is None:
            from lwkpm.agent.pushed_input import PushedInput

            self._pushed = PushedInput(self._loop)
        return self._pushed

    def push(self, rank: Rank, data: bytes, *, ends: bool) -> bool:
        """Input for a rank from a tool; False when ranks read something else (no ``--stdin tool``)."""
        if self._pushed is None:
            return False
        self._pushed.push(rank, data, ends=ends)
        return True

    def start_stdin(self) -> None:
        """Begin to copy the launcher's stdin, once every rank has its pipe."""
        if self._stdin_pipes:
            from lwkpm.agent.stdin import StdinForwarder

            self._forwarder = StdinForwarder(self._loop, self._stdin_pipes)

    def _sink(self, option: str, pattern: str | None, rank: Rank, default: Sink) -> Sink:
        if pattern is None:
            return default
        from lwkpm.job.patterns import Where, expand

        where = Where(
            rank=rank.number,
            size=len(rank.namespace.ranks),
            local_rank=rank.proc.local_rank,
            host=self._plan.hostname,
            job=rank.namespace.plan.nspace,
        )
        path = expand(pattern, where, option)
        if path not in self._files:
            self._files[path] = Sink(self._loop, _open_output(path), owned=True)
        return self._files[path]

    def sinks(self) -> list[Sink]:
        """Every place output goes to."""
        return [self.stdout, self.stderr, *self._files.values()]

    def close(self) -> None:
        """Close what is ours."""
        for sink in self.sinks():
            sink.close()
        if self._pushed is not None:
            self._pushed.close()
        os.close(self._null_fd)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _open_output(path: str) -> int:
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise LwkpmError(
            "LWKPM-E017",
            f"cannot write the output file {path}",
            error.strerror or str(error),
            "name a file in a directory where you may write",
        ) from None
