"""Two ranks through Debian's PMIx binding (python3-pmix): one ends without a word, the other is told and makes a group.

Prints one JSON line. (Spawn is beyond the binding of 4.2: it hands over argument lists without an end.)
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pmix  # type: ignore[import-not-found]

TERM_WO_SYNC = -200


def main() -> None:
    client = pmix.PMIxClient()
    _, me = client.init(None)
    seen: list[Any] = []

    def told(_handler: Any, status: int, _source: Any, _info: Any, _results: Any) -> tuple[int, None]:
        seen.append(status)
        return pmix.PMIX_EVENT_ACTION_COMPLETE, None

    if me["rank"] == 1:
        client.fence([{"nspace": me["nspace"], "rank": pmix.PMIX_RANK_WILDCARD}], None)
        os._exit(3)
    registered = client.register_event_handler([TERM_WO_SYNC], None, told)[0]
    client.fence([{"nspace": me["nspace"], "rank": pmix.PMIX_RANK_WILDCARD}], None)
    end = time.monotonic() + 10
    while not seen and time.monotonic() < end:
        time.sleep(0.05)
    group = client.group_construct("alone", [me], [])[0]
    print("REPORT " + json.dumps([registered, seen, group, client.finalize(None)]), flush=True)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
