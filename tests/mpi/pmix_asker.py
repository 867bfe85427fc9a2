"""One rank that asks, through Debian's PMIx binding (python3-pmix): python3 pmix_asker.py JSON.

JSON is a list of queries, each {"keys": [...], "qualifiers": [[key, value, type name], ...]}; the answers are printed
as one JSON line, [[status, [[key, value], ...]], ...].
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pmix  # type: ignore[import-not-found]


def qualifier(key: str, value: Any, kind: str) -> dict[str, Any]:
    return {"key": key, "value": value, "val_type": getattr(pmix, f"PMIX_{kind}"), "flags": 0}


def ask(client: Any, keys: list[str], qualifiers: list[list[Any]]) -> list[Any]:
    query = {"keys": keys, "qualifiers": [qualifier(*entry) for entry in qualifiers]}
    status, found = client.query([query])
    return [status, [[entry["key"], entry["value"]] for entry in found or []]]


def main() -> None:
    client = pmix.PMIxClient()
    status, _ = client.init(None)
    answers = [ask(client, query["keys"], query.get("qualifiers", [])) for query in json.loads(sys.argv[1])]
    print("REPORT " + json.dumps([status, answers], default=repr), flush=True)
    client.finalize(None)


if __name__ == "__main__":
    main()
