"""A PMIx tool (Debian's python3-pmix): ``tool_session.py URI ACTION``. Prints what it learns as lines of JSON."""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pmix  # type: ignore[import-not-found]

LIMIT_S = 20
SIGUSR1 = 10


def show(name: str, status: int, result: object) -> None:
    def readable(value: object) -> str:
        return value.decode() if isinstance(value, bytes) else str(value)

    print(json.dumps({"call": name, "status": status, "result": result}, default=readable), flush=True)


def text(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": value, "val_type": pmix.PMIX_STRING}


def look(tool: Any) -> str:
    """Jobs and their processes; the first job's name."""
    status, found = tool.query([{"keys": [pmix.PMIX_QUERY_NAMESPACES], "qualifiers": []}])
    show("namespaces", status, found)
    nspace = str(found[0]["value"].split(",")[0])
    of_job = [text(pmix.PMIX_NSPACE, nspace)]
    for name, key in (("table", pmix.PMIX_QUERY_PROC_TABLE), ("memory", pmix.PMIX_QUERY_MEMORY_USAGE)):
        show(name, *tool.query([{"keys": [key], "qualifiers": of_job}]))
    return nspace


def watch_output(tool: Any, everybody: list[dict[str, Any]]) -> None:
    """What ranks print from now on, until both have."""
    seen: set[int] = set()

    def on_output(_handle: Any, _channel: Any, source: Any, payload: Any, _info: Any) -> None:
        seen.add(source["rank"])
        show("output", source["rank"], payload["bytes"] if isinstance(payload, dict) else payload)

    status, _ = tool.iof_pull(everybody, pmix.PMIX_FWD_STDOUT_CHANNEL, [], on_output)
    show("pull", status, None)
    end = time.monotonic() + LIMIT_S
    while len(seen) < 2 and time.monotonic() < end:
        time.sleep(0.05)


def main() -> None:
    tool = pmix.PMIxTool()
    status, me = tool.init([text(pmix.PMIX_SERVER_URI, sys.argv[1])])
    show("init", status, me)
    everybody = [{"nspace": look(tool), "rank": pmix.PMIX_RANK_WILDCARD}]
    terminate = {"key": pmix.PMIX_JOB_CTRL_TERMINATE, "value": True, "val_type": pmix.PMIX_BOOL}
    signal = {"key": pmix.PMIX_JOB_CTRL_SIGNAL, "value": SIGUSR1, "val_type": pmix.PMIX_INT}
    if sys.argv[2] == "output":
        watch_output(tool, everybody)
    if sys.argv[2] in ("terminate", "signal"):
        show("control", *tool.job_control(everybody, [terminate if sys.argv[2] == "terminate" else signal]))
    show("finalize", tool.finalize(), None)


main()
