"""A tool through Debian's PMIx binding (python3-pmix): python3 pmix_tool.py URI; prints what it found as one line."""

from __future__ import annotations

import json
import sys
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pmix  # type: ignore[import-not-found]


def main() -> None:
    tool = pmix.PMIxTool()
    where = {"key": pmix.PMIX_SERVER_URI, "value": sys.argv[1], "val_type": pmix.PMIX_STRING, "flags": 0}
    status, _ = tool.init([where])
    _, found = tool.query([{"keys": ["pmix.qry.ns"], "qualifiers": []}])
    print("REPORT " + json.dumps([status, [entry["value"] for entry in found], tool.finalize()]), flush=True)


if __name__ == "__main__":
    main()
