"""The run path imports nothing heavy, and the lean modules are the library's own objects."""

from __future__ import annotations

import collections
import heapq
import signal
import socket
import struct
import subprocess
import sys

from lwkpm import lean
from tests.capabilities import ROOT

RUN_PATH = "lwkpm.cli.main, lwkpm.cli.parse, lwkpm.cli.run, lwkpm.agent.run, lwkpm.pmi.pmix.server"
HEAVY = {"argparse", "asyncio", "cffi", "collections", "dataclasses", "enum", "json", "logging", "re", "selectors"}
HEAVY |= {"heapq", "signal", "socket", "subprocess", "typing"}


def test_run_path_imports_nothing_heavy() -> None:
    paths = [str(ROOT / "src"), *(path for path in sys.path if path.endswith("site-packages"))]
    code = f"import sys; sys.path += {paths!r}; import {RUN_PATH}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-IS", "-c", code], check=True, capture_output=True, text=True)
    assert "lwkpm.agent.run" in done.stdout.split()
    assert not HEAVY & set(done.stdout.split())


def test_lean_objects_are_the_library_s() -> None:
    assert lean.deque is collections.deque
    assert issubclass(socket.socket, lean.socket.socket)  # type: ignore[unreachable,unused-ignore]
    assert lean.signal.SIGTERM == signal.SIGTERM
    assert lean.struct.Struct is struct.Struct
    assert lean.heapq.heappush is heapq.heappush
