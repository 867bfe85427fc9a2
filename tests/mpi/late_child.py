"""PMI-1 by hand: a parent that spawns when it is 1.2 s old, and its child, which needs 1.5 s to reach its server.

``late_child.py LIBRARY`` is the parent; with a second argument it is the child, which first loads LIBRARY, as a
program loads its MPI library long before MPI_Init.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import time


def main() -> None:
    is_child = len(sys.argv) > 2
    if is_child:
        ctypes.CDLL(sys.argv[1])
        time.sleep(1.5)
    wire = socket.socket(fileno=os.dup(int(os.environ["PMI_FD"])))
    reader = wire.makefile("rb")

    def ask(text: str) -> str:
        wire.sendall(text.encode() + b"\n")
        return reader.readline().decode()

    print(ask("cmd=init pmi_version=1 pmi_subversion=1").split()[0], flush=True)
    if not is_child:
        time.sleep(1.2)
        block = ["mcmd=spawn", "nprocs=1", f"execname={sys.executable}", "totspawns=1", "spawnssofar=1", "argcnt=3"]
        arguments = [f"arg{n}={word}" for n, word in enumerate((os.path.abspath(__file__), sys.argv[1], "child"), 1)]
        print(ask("\n".join([*block, *arguments, "endcmd"])).strip(), flush=True)
        time.sleep(2.3)
    ask("cmd=finalize")


main()
