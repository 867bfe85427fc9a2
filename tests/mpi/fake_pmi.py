"""A PMI server that answers as it is told, wrongly if need be: for the clients in pmix_shim."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What a sound server answers to each request of PMI-1.
LINES = {
    "initack": "cmd=initack rc=0\ncmd=set size=4\ncmd=set rank=1\ncmd=set debug=0",
    "init": "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0",
    "get_maxes": "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=1024 rc=0",
    "get_my_kvsname": "cmd=my_kvsname kvsname=space rc=0",
    "get_appnum": "cmd=appnum appnum=0 rc=0",
    "get_universe_size": "cmd=universe_size size=8 rc=0",
    "put": "cmd=put_result rc=0",
    "get": "cmd=get_result rc=0 value=(vector,(0,2,2))",
    "getbyidx": "cmd=getbyidx_results rc=0 nextidx=1 key=k val=v w",
    "barrier_in": "cmd=barrier_out rc=0",
    "publish_name": "cmd=publish_result rc=0 info=ok",
    "unpublish_name": "cmd=unpublish_result rc=0 info=ok",
    "lookup_name": "cmd=lookup_result port=p info=ok rc=0",
    "spawn": "cmd=spawn_result rc=0 errcodes=0,0,5",
    "finalize": "cmd=finalize_ack rc=0",
}
HANG_UP = b"<and hangs up>"  # at the end of an answer
INIT_2 = "cmd=response_to_init pmi_version=2 pmi_subversion=0 rc=0"
# The same for PMI-2, behind `cmd=<request>-response;`.
ITEMS = {
    "fullinit": "rc=0;pmi-version=2;pmi-subversion=0;rank=1;size=4;appnum=0;debugged=FALSE;pmiverbose=FALSE;",
    "job-getid": "jobid=job;rc=0;",
    "kvs-get": "found=TRUE;value=a;;b;rc=0;",
    "info-getnodeattr": "found=TRUE;value=1,2,3;rc=0;",
    "info-getjobattr": "found=TRUE;value=(vector,(0,1,4));rc=0;",
    "name-lookup": "found=TRUE;value=p;port=p;rc=0;",
    "ring": "rc=0;ring-count=1;ring-left=l;ring-right=r;",
    "spawn": "rc=0;jobid=job2;nerrs=0;",
}


def answer(request: bytes) -> bytes:
    """The sound answer."""
    text = request.decode("latin-1")
    if text.startswith("cmd=init pmi_version=2"):
        return INIT_2.encode() + b"\n"
    name = re.search(r"cmd=([a-z_-]+)", text)
    verb = name.group(1) if name else ""
    if text[:1].isdigit():
        payload = f"cmd={verb}-response;{ITEMS.get(verb, 'rc=0;')}".encode()
        return b"%6d" % len(payload) + payload
    return LINES.get(verb, f"cmd={verb}_result rc=-1 msg=unknown").encode() + b"\n"


def is_whole(request: bytes) -> bool:
    """Whether all of a request has come."""
    if request[:1].isdigit():
        return len(request) >= 6 and len(request) >= 6 + int(request[:6])
    if request.startswith(b"mcmd="):
        blocks = request.count(b"endcmd\n")
        total = re.search(rb"totspawns=(\d+)", request)
        return request.endswith(b"endcmd\n") and total is not None and blocks >= int(total.group(1))
    return request.endswith(b"\n")


class FakeServer:
    """Listens on a port of its own; every request of every connection is answered by `reply`, None hangs up."""

    def __init__(self, reply: Callable[[bytes], bytes | None]) -> None:
        self._reply = reply
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def environment(self) -> dict[str, str]:
        """What a client needs."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PMI")}
        return {**kept, "PMI_PORT": f"127.0.0.1:{self._listener.getsockname()[1]}", "PMI_ID": "77"}

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        request = b""
        try:
            while data := connection.recv(65536):
                request += data
                if not is_whole(request):
                    continue
                self.requests.append(request)
                said, request = self._reply(request), b""
                if said is None:
                    return
                connection.sendall(said.removesuffix(HANG_UP))
                if said.endswith(HANG_UP):
                    return
        except OSError:
            pass

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


def run_client(
    program: Path, *args: str, reply: Callable[[bytes], bytes | None] = answer, env: dict[str, str] | None = None
) -> tuple[subprocess.CompletedProcess[str], list[bytes]]:
    """Run a client against a server of its own; what it printed, and the requests it made."""
    server = FakeServer(reply)
    try:
        done = subprocess.run(
            [str(program), *args],
            env={**server.environment(), **(env or {})},
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=120,
            check=False,
        )
    finally:
        server.close()
    return done, server.requests


class Nonsense:
    """Sound answers, spoilt at random."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._spoilers = (
            self._flip,
            self._cut,
            self._repeat,
            self._number,
            self._long,
            self._bytes,
            self._other,
            self._marks,
        )

    def __call__(self, request: bytes) -> bytes | None:
        """One answer in twenty is spoilt, so that sessions get far."""
        sound = answer(request)
        if self._random.random() < 0.95:
            return sound
        if self._random.random() < 0.05:
            return None
        return self._random.choice(self._spoilers)(sound)

    def _at(self, data: bytes) -> int:
        return self._random.randrange(len(data))

    def _flip(self, data: bytes) -> bytes:
        spoilt = bytearray(data)
        for _ in range(self._random.randint(1, 4)):
            spoilt[self._at(data)] = self._random.randrange(256)
        return self._ended(bytes(spoilt))

    def _cut(self, data: bytes) -> bytes:
        return self._ended(data[: self._at(data)])

    def _repeat(self, data: bytes) -> bytes:
        return data * self._random.randint(2, 3)

    def _number(self, data: bytes) -> bytes:
        new = self._random.choice([b"-1", b"0", b"99999999999999999999", b"2147483647", b"-2147483648", b"", b"x"])
        return self._framed(re.sub(rb"(?<==)-?\d+", new, data, count=self._random.randint(1, 3)))

    def _long(self, data: bytes) -> bytes:
        size = self._random.choice([70, 300, 1030, 5000, 70000, 200000])
        return self._framed(data.replace(b"=", b"=" + b"y" * size, self._random.randint(1, 2)))

    def _bytes(self, data: bytes) -> bytes:
        return self._ended(self._random.randbytes(len(data)))

    def _other(self, data: bytes) -> bytes:
        return self._framed(re.sub(rb"cmd=\w+", b"cmd=other", data))

    def _marks(self, data: bytes) -> bytes:
        mark = self._random.choice([b";", b";;", b"=", b" ", b",", b"(", b"\0", b"value="])
        place = self._at(data)
        return self._framed(data[:place] + mark * self._random.randint(1, 3) + data[place:])

    def _framed(self, data: bytes) -> bytes:
        """With the frame's length put right, so that the payload is looked at."""
        return b"%6d" % (len(data) - 6) + data[6:] if data[:1] in b" 0123456789" else data

    def _ended(self, data: bytes) -> bytes:
        """So that the client does not wait for more: what was cut off is made up for."""
        return self._framed(data) if data[:1] in b" 0123456789" and len(data) > 6 else data + b"\n" * 3 + b" " * 70000
