"""A small agent around PmixServer for tests: runs a job and what it spawns, tells of every end; a report as JSON.

    python pmix_agent.py LIBRARY RANKS [--no-kill] [--tools] [--pset NAME=RANKS]... [--tool COMMAND] PROGRAM ...

--no-kill  a process that ends badly or calls PMIx_Abort leaves the others alone
--tools    tools may connect
--pset     a process set, ranks by comma
--tool     a command to run beside the job, with our address as its first argument; output is "tool.0"
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from lwkpm.agent.shm import remove_segments
from lwkpm.pmi.pmix.server import PmixServer
from lwkpm.pmi.pmix.view import ProcState

if TYPE_CHECKING:
    from collections.abc import Callable

    from lwkpm.pmi.pmix.events import PmixAborted, PmixCommand, PmixJobControl, PmixSpawnRequested, PmixStdin

WORLD = "lwkpm-test"
HOST = socket.gethostname()
PATIENCE_S = float(os.environ.get("LWKPM_TEST_PATIENCE_S", "60"))
JOB_EXE_NOT_FOUND = -190
RANK_WILDCARD = 0xFFFFFFFE


class Job:
    """One world: its processes by rank."""

    def __init__(self, nspace: str) -> None:
        self.nspace = nspace
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.alive: set[int] = set()
        self.code = 0


class View:
    """What queries are told."""

    def __init__(self, jobs: dict[str, Job]) -> None:
        self.jobs = jobs

    def procs(self, nspace: str) -> list[ProcState]:
        job = self.jobs[nspace]
        return [
            ProcState(
                rank=rank,
                pid=process.pid,
                program=str(process.args[0]),  # type: ignore[index]
                hostname=HOST,
                state="running" if rank in job.alive else "terminated",
                exit_code=process.returncode or 0,
            )
            for rank, process in job.processes.items()
        ]

    def memory(self, nspace: str) -> dict[int, int]:
        return {rank: 1_000_000 * (rank + 1) for rank in self.jobs[nspace].alive}


class Agent:
    """Starts processes, hands them to the server, and does what its events ask for."""

    def __init__(self, library: str, folder: str, options: dict[str, Any]) -> None:
        self.folder = folder
        self.kill = not options["no_kill"]
        self.server = PmixServer(library, folder, HOST, tools=options["tools"])
        self.server.start()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.server, selectors.EVENT_READ)
        self.jobs: dict[str, Job] = {}
        self.server.view = View(self.jobs)
        self.events: list[dict[str, Any]] = []
        self.forwarded: dict[tuple[str, int], int] = {}
        self.aborted: set[tuple[str, int]] = set()

    def start_job(
        self,
        nspace: str,
        commands: list[tuple[list[str], dict[str, str], int]],
        parent: tuple[str, int] | None = None,
        psets: dict[str, list[int]] | None = None,
    ) -> None:
        """Register and start: (argv, added environment, processes) of each application."""
        appnums = [app for app, (_, _, count) in enumerate(commands) for _ in range(count)]
        uid, gid = os.getuid(), os.getgid()
        size = len(appnums)
        self.server.register_job(
            nspace,
            appnums=appnums,
            local_ranks=range(size),
            universe_size=16,
            hostname=HOST,
            uid=uid,
            gid=gid,
            parent=parent,
            psets=psets or {},
        )
        job = self.jobs[nspace] = Job(nspace)
        for rank, app in enumerate(appnums):
            self.server.register_client(nspace, rank, uid, gid)
            argv, env, _ = commands[app]
            self.start_rank(job, rank, argv, env)

    def start_rank(self, job: Job, rank: int, argv: list[str], env: dict[str, str]) -> None:
        added = dict(entry.split("=", 1) for entry in self.server.environment(job.nspace, rank))
        with open(f"{self.folder}/out.{job.nspace}.{rank}", "wb") as out:
            process = subprocess.Popen(
                argv, env={**os.environ, **env, **added}, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT
            )
        job.processes[rank] = process
        job.alive.add(rank)
        self.selector.register(os.pidfd_open(process.pid), selectors.EVENT_READ, (job, rank))

    def start_tool(self, command: str) -> None:
        """Run a tool; no job of the server's, but waited for."""
        words = command.split()
        job = self.jobs["tool"] = Job("tool")
        with open(f"{self.folder}/out.tool.0", "wb") as out:
            process = subprocess.Popen([words[0], self.server.uri(), *words[1:]], stdout=out, stderr=subprocess.STDOUT)
        job.processes[0] = process
        job.alive.add(0)
        self.selector.register(os.pidfd_open(process.pid), selectors.EVENT_READ, (job, 0))

    def run(self) -> None:
        """Until every process ended."""
        end = time.monotonic() + PATIENCE_S
        while any(job.alive for job in self.jobs.values()) and time.monotonic() < end:
            wake = min(end, self.server.next_deadline() or end)
            if self.server.iof_wanted:
                wake = min(wake, time.monotonic() + 0.05)
            for key, _ in self.selector.select(max(0.0, wake - time.monotonic())):
                if key.data is not None:
                    self.selector.unregister(key.fd)
                    os.close(key.fd)
                    self.end_rank(*key.data)
            self.dispatch()
            if self.server.iof_wanted:
                for job in self.jobs.values():
                    for rank in job.alive if job.nspace != "tool" else ():
                        self.forward(job.nspace, rank)
        self.kill_all()
        self.dispatch()

    def end_rank(self, job: Job, rank: int) -> None:
        self.dispatch()  # what it said before it ended
        code = job.processes[rank].wait()
        job.alive.discard(rank)
        if job.nspace == "tool":
            return
        if self.server.iof_wanted:
            self.forward(job.nspace, rank, end=True)
        job.code = job.code or (128 - code if code < 0 else code)
        self.server.proc_ended(
            job.nspace, rank, max(code, 0), max(-code, 0), aborted=(job.nspace, rank) in self.aborted
        )
        if code and self.kill:
            self.kill_all()
        if not job.alive:
            self.server.job_ended(job.nspace, job.code)
            if job.nspace != WORLD:
                self.server.deregister_job(job.nspace)

    def kill_all(self) -> None:
        if any(job.alive for job in self.jobs.values()):
            self.server.park()
        doomed = [job.processes[rank] for job in self.jobs.values() for rank in job.alive]
        for process in doomed:
            process.send_signal(signal.SIGSTOP)  # none goes on because another has died
        for process in doomed:
            process.kill()
        for process in doomed:
            process.wait()

    def dispatch(self) -> None:
        for event in self.server.dispatch():
            name = type(event).__name__
            shown = {key: value for key, value in event.as_dict().items() if key != "answer"}
            self.events.append({"event": name, **json.loads(json.dumps(shown, default=repr))})
            if name in HANDLERS:
                HANDLERS[name](self, event)

    def aborted_by(self, event: PmixAborted) -> None:
        self.aborted.add((event.nspace, event.rank))
        if self.kill:
            time.sleep(0.2)
            self.kill_all()

    def named(self, targets: tuple[tuple[str, int], ...]) -> list[subprocess.Popen[bytes]]:
        """The living processes among them."""
        return [
            job.processes[number]
            for nspace, rank in targets
            for job in [self.jobs[nspace]]
            for number in sorted(job.alive)
            if rank in (number, RANK_WILDCARD)
        ]

    def control(self, event: PmixJobControl) -> None:
        for process in self.named(event.targets):
            process.send_signal(SIGNALS.get(event.action, event.signal))
        event.answer(0)

    def feed(self, event: PmixStdin) -> None:
        for process in self.named(event.targets):
            assert process.stdin is not None
            process.stdin.write(event.data)
            process.stdin.flush()
            if event.eof:
                process.stdin.close()

    def forward(self, nspace: str, rank: int, end: bool = False) -> None:
        """Hand on what a rank has written since the last time."""
        with open(f"{self.folder}/out.{nspace}.{rank}", "rb") as text:
            text.seek(self.forwarded.get((nspace, rank), 0))
            data = text.read()
            self.forwarded[nspace, rank] = text.tell()
        if data:
            self.server.iof_deliver(nspace, rank, "stdout", data)
        if end:
            self.server.iof_deliver(nspace, rank, "stdout", b"")

    def spawn(self, event: PmixSpawnRequested) -> None:
        if any(shutil.which(command.program) is None for command in event.commands):
            event.answer(JOB_EXE_NOT_FOUND, "")
            return
        nspace = f"{WORLD}-{len(self.jobs)}"
        self.start_job(nspace, [plan(command) for command in event.commands], (event.nspace, event.rank))
        event.answer(0, nspace)


SIGNALS = {"kill": signal.SIGKILL, "terminate": signal.SIGTERM, "pause": signal.SIGSTOP, "resume": signal.SIGCONT}
HANDLERS: dict[str, Callable[[Agent, Any], None]] = {
    "PmixAborted": Agent.aborted_by,
    "PmixSpawnRequested": Agent.spawn,
    "PmixJobControl": Agent.control,
    "PmixStdin": Agent.feed,
}


def plan(command: PmixCommand) -> tuple[list[str], dict[str, str], int]:
    env = dict(entry.split("=", 1) for entry in command.env)
    return [command.program, *command.arguments], env, command.processes


def read_options(argv: list[str]) -> dict[str, Any]:
    """Take the options off the front of `argv`."""
    options: dict[str, Any] = {"no_kill": False, "tools": False, "psets": {}, "tool": ""}
    while argv[0].startswith("--"):
        name = argv.pop(0)[2:].replace("-", "_")
        if name == "pset":
            title, ranks = argv.pop(0).split("=")
            options["psets"][title] = [int(rank) for rank in ranks.split(",")]
        elif name == "tool":
            options["tool"] = argv.pop(0)
        else:
            options[name] = True
    return options


def read_output(folder: str) -> dict[str, str]:
    found = {}
    for name in sorted(os.listdir(folder)):
        if name.startswith("out."):
            with open(f"{folder}/{name}", encoding="utf-8", errors="replace") as text:
                found[name[4:]] = text.read()
    return found


def main() -> None:
    """Run the job, print the report."""
    library, count, argv = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    options = read_options(argv)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    folder = tempfile.mkdtemp(prefix="lwkpm-pmix-")
    agent = Agent(library, folder, options)
    agent.start_job(WORLD, [(argv, {}, count)], psets=options["psets"])
    if options["tool"]:
        agent.start_tool(options["tool"])
    agent.run()
    ended = time.monotonic()
    messages = agent.server.messages()
    agent.server.deregister_job(WORLD)
    agent.server.stop()
    report = {
        "version": agent.server.version,
        "events": agent.events,
        "codes": {
            f"{job.nspace}.{rank}": process.returncode
            for job in agent.jobs.values()
            for rank, process in job.processes.items()
        },
        "output": read_output(folder),
        "messages": messages,
        "stop_s": round(time.monotonic() - ended, 3),
        "leftovers": [name for name in os.listdir(folder) if not name.startswith("out.")],
    }
    shutil.rmtree(folder)
    for nspace in agent.jobs:
        remove_segments("no KVS", nspace, HOST)  # of Open MPI ranks that were killed
    print(json.dumps(report), flush=True)
    os._exit(0)  # as lwkpm-run: a libpmix that was not finalized may crash the interpreter's tear-down


if __name__ == "__main__":
    main()
