"""One rank of a job, through Debian's PMIx binding (python3-pmix); prints its findings as one JSON line.

python3 pmix_client.py exchange | lookup | query | abort
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pmix  # type: ignore[import-not-found]

SIZE_KEY = "pmix.job.size"


def blob(rank: int) -> bytes:
    """Binary data with NUL bytes at its start, inside and at its end."""
    return b"\0rank %d\0\0\xff\0" % rank


def as_value(data: bytes) -> dict[str, Any]:
    return {"value": {"bytes": data, "size": len(data)}, "val_type": pmix.PMIX_BYTE_OBJECT}


def get(client: Any, proc: dict[str, Any], key: str) -> Any:
    status, value = client.get(proc, key, None)
    return value["value"] if status == pmix.PMIX_SUCCESS else status


def exchange(client: Any, me: dict[str, Any]) -> dict[str, Any]:
    """Every rank puts a blob, all fence with data, rank r gets that of the next one."""
    size = get(client, {"nspace": me["nspace"], "rank": pmix.PMIX_RANK_WILDCARD}, SIZE_KEY)
    put = client.put(pmix.PMIX_GLOBAL, "lwkpm.blob", as_value(blob(me["rank"])))
    commit = client.commit()
    collect = [{"key": pmix.PMIX_COLLECT_DATA, "value": True, "val_type": pmix.PMIX_BOOL, "flags": 0}]
    fence = client.fence([{"nspace": me["nspace"], "rank": pmix.PMIX_RANK_WILDCARD}], collect)
    neighbour = (me["rank"] + 1) % size
    found = get(client, {"nspace": me["nspace"], "rank": neighbour}, "lwkpm.blob")
    got = bytes(found["bytes"])[: found["size"]] if isinstance(found, dict) else found
    attributes = {key: get(client, me, key) for key in ("pmix.lrank", "pmix.nrank", "pmix.appnum", "pmix.hname")}
    return {
        "statuses": [put, commit, fence],
        "size": size,
        "same": got == blob(neighbour),
        "got": repr(got),
        **attributes,
    }


def lookup(client: Any, me: dict[str, Any]) -> dict[str, Any]:
    """Rank 0 looks up before and after all ranks published; statuses and the text found."""
    name = f"lwkpm-{me['rank']}"
    absent = client.lookup([{"key": f"absent-{me['rank']}"}], None)[0]
    info = {"key": name, "value": f"port of {me['rank']}; a=b", "val_type": pmix.PMIX_STRING, "flags": 0}
    published = client.publish([info])
    again = client.publish([info])
    fence = client.fence([{"nspace": me["nspace"], "rank": pmix.PMIX_RANK_WILDCARD}], None)
    status, data = client.lookup([{"key": "lwkpm-0"}], None)
    client.fence([{"nspace": me["nspace"], "rank": pmix.PMIX_RANK_WILDCARD}], None)
    unpublished = client.unpublish([name], None)
    gone = client.lookup([{"key": name}], None)[0]
    found = data[0]["value"] if status == pmix.PMIX_SUCCESS else status
    return {
        "absent": absent,
        "published": published,
        "again": again,
        "fence": fence,
        "found": found,
        "unpublished": unpublished,
        "gone": gone,
    }


def abort(client: Any, me: dict[str, Any]) -> dict[str, Any]:
    if me["rank"] == 1:
        return {"status": client.abort(42, "the test wants it", [])}
    return {"fence": client.fence([{"nspace": me["nspace"], "rank": pmix.PMIX_RANK_WILDCARD}], None)}


def query(client: Any, _me: dict[str, Any]) -> dict[str, Any]:
    status, found = client.query([{"keys": ["pmix.qry.ns"], "qualifiers": []}])
    return {"status": status, "found": [entry.get("value") for entry in found or []]}


def main() -> None:
    client = pmix.PMIxClient()
    status, me = client.init(None)
    report: dict[str, Any] = {"init": status}
    if status == pmix.PMIX_SUCCESS:
        report.update(globals()[sys.argv[1]](client, me))
        report["finalize"] = client.finalize(None)
    print("REPORT " + json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
