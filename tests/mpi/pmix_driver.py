"""Run ranks under a PMIx server of our own and print what happened as JSON. A process of its own per server library.

    python pmix_driver.py LIBRARY RANKS [--remote | --busy] PROGRAM ARGUMENTS...

--remote  the job has one more rank on a node that does not exist; fences then go through the host
--busy    between requests the loop registers and forgets another job, calls that wait for libpmix's thread
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from lwkpm.agent.shm import remove_segments
from lwkpm.pmi.pmix.server import PmixServer

if TYPE_CHECKING:
    from lwkpm.pmi.pmix.events import PmixEvent
    from lwkpm.pmi.pmix.requests import Fence

NSPACE = "lwkpm-test"
HOST = socket.gethostname()
PATIENCE_S = float(os.environ.get("LWKPM_TEST_PATIENCE_S", "120"))


def start_ranks(server: PmixServer, argv: list[str], count: int, folder: str) -> list[subprocess.Popen[bytes]]:
    ranks = []
    for rank in range(count):
        added = dict(entry.split("=", 1) for entry in server.environment(NSPACE, rank))
        with open(f"{folder}/out.{rank}", "wb") as out:
            ranks.append(subprocess.Popen(argv, env={**os.environ, **added}, stdout=out, stderr=subprocess.STDOUT))
    return ranks


def describe(event: PmixEvent) -> dict[str, Any]:
    return {"event": type(event).__name__, **event.as_dict()}


def forget_about_another_job(server: PmixServer) -> None:
    """Blocking calls, to be made while clients connect and upcalls come in."""
    server.register_job(
        "lwkpm-other", appnums=[0] * 8, local_ranks=range(8), universe_size=8, hostname=HOST, uid=0, gid=0
    )
    server.register_client("lwkpm-other", 3, 0, 0)
    server.deregister_client("lwkpm-other", 3)
    server.deregister_job("lwkpm-other")


def serve(server: PmixServer, ranks: list[subprocess.Popen[bytes]], busy: bool) -> list[dict[str, Any]]:
    """Until all ranks ended; an abort ends the others as the agent would."""
    events: list[dict[str, Any]] = []
    selector = selectors.DefaultSelector()
    selector.register(server, selectors.EVENT_READ)
    for rank in ranks:
        selector.register(os.pidfd_open(rank.pid), selectors.EVENT_READ, rank)
    alive, end = len(ranks), time.monotonic() + PATIENCE_S
    while alive and time.monotonic() < end:
        wake = min(end, server.next_deadline() or end)
        for key, _ in selector.select(0 if busy else max(0.0, wake - time.monotonic())):
            if key.data is not None:
                selector.unregister(key.fd)
                os.close(key.fd)
                key.data.wait()
                alive -= 1
        if busy:
            forget_about_another_job(server)
        found = [describe(event) for event in server.dispatch()]
        events += found
        if any(event["event"] == "PmixAborted" for event in found):
            time.sleep(0.2)
            for rank in ranks:
                rank.terminate()
    for rank in ranks:
        rank.kill()
        rank.wait()
    return events + [describe(event) for event in server.dispatch()]


def register(server: PmixServer, count: int, remote: int) -> None:
    """Rank by rank; the last one is an application of its own."""
    size, uid, gid = count + remote, os.getuid(), os.getgid()
    server.register_job(
        NSPACE,
        appnums=[0] * (size - 1) + [int(size > 1)],
        local_ranks=range(size),
        universe_size=size + 3,
        hostname=HOST,
        uid=uid,
        gid=gid,
        nodes=[(HOST, range(count)), ("elsewhere", range(count, size))] if remote else None,
    )
    for rank in range(count):
        server.register_client(NSPACE, rank, uid, gid)


def read_output(folder: str, count: int) -> list[str]:
    """What each rank wrote."""
    found = []
    for rank in range(count):
        with open(f"{folder}/out.{rank}", encoding="utf-8", errors="replace") as text:
            found.append(text.read())
    return found


def main() -> None:
    """Run the job, print the report."""
    library, count, argv = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    option = argv.pop(0) if argv[0].startswith("--") else ""
    folder = tempfile.mkdtemp(prefix="lwkpm-pmix-")
    server = PmixServer(library, folder, HOST)
    server.start()
    fences: list[int] = []  # sizes of what the local ranks brought

    def echo(fence: Fence) -> None:
        fences.append(len(fence.data))
        fence.complete(fence.data)

    server.fence_handler = echo
    register(server, count, remote=int(option == "--remote"))
    started = time.monotonic()
    ranks = start_ranks(server, argv, count, folder)
    events = serve(server, ranks, busy=option == "--busy")
    ended = time.monotonic()
    messages = server.messages()
    server.deregister_job(NSPACE)
    server.stop(clean=all(rank.returncode == 0 for rank in ranks))
    report = {
        "version": server.version,
        "events": events,
        "codes": [rank.returncode for rank in ranks],
        "output": read_output(folder, count),
        "host_fences": fences,
        "messages": messages,
        "job_s": round(ended - started, 3),
        "stop_s": round(time.monotonic() - ended, 3),
        "leftovers": [name for name in os.listdir(folder) if not name.startswith("out.")],
    }
    shutil.rmtree(folder)
    remove_segments("no KVS", NSPACE, HOST)  # of Open MPI ranks that were killed
    print(json.dumps(report), flush=True)
    os._exit(0)  # as lwkpm-run: a libpmix that was not finalized may crash the interpreter's tear-down


if __name__ == "__main__":
    main()
