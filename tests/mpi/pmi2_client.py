"""A PMI-2 client that shares no code with lwkpm: every verb of the wire, on the socket that PMI_FD names.

Rank 0 prints ``verb: OK`` or ``verb: what it got`` for each. ``child`` as argument: what a spawned process does.
"""

from __future__ import annotations

import os
import socket
import sys

WIRE = socket.socket(fileno=os.dup(int(os.environ["PMI_FD"])))
READER = WIRE.makefile("rb")
RANK = int(os.environ["PMI_RANK"])


def ask(**fields: object) -> dict[str, str]:
    """One frame there and one back; keys with a hyphen are written with an underscore."""
    body = "".join(f"{key.replace('_', '-')}={value};" for key, value in fields.items()).encode()
    WIRE.sendall(b"%6d" % len(body) + body)
    answer = READER.read(int(READER.read(6))).decode()
    parts = [item.partition("=") for item in answer.split(";") if item]
    return {key: value for key, _, value in parts}


def check(verb: str, answer: dict[str, str], **wanted: str) -> None:
    """Compare the parts of an answer that matter; the command's name and rc always do."""
    parts = {key.replace("_", "-"): value for key, value in wanted.items()}
    expected = {"cmd": f"{verb}-response", "rc": "0", **parts}
    got = {key: answer.get(key) for key in expected}
    if RANK == 0:
        print(f"{verb}: {'OK' if got == expected else got}", flush=True)


def begin() -> dict[str, str]:
    WIRE.sendall(b"cmd=init pmi_version=2 pmi_subversion=0\n")
    assert b"pmi_version=2" in READER.readline()
    return ask(cmd="fullinit", pmirank=RANK, threaded="FALSE")


def be_child() -> None:
    first = begin()
    job = ask(cmd="job-getid")["jobid"]
    port = ask(cmd="kvs-get", jobid=job, srcid=-1, key="PARENT_PORT")
    print(f"child of {first['spawner-jobid'] != job}, port {port.get('value')}", flush=True)
    ask(cmd="finalize")


def main() -> None:
    size = os.environ["PMI_SIZE"]
    check("fullinit", begin(), rank="0", size=size, appnum="0") if RANK == 0 else begin()
    job = ask(cmd="job-getid")["jobid"]
    check("job-getid", ask(cmd="job-getid"), jobid=job)
    check("job-connect", ask(cmd="job-connect", jobid=job))
    check("job-disconnect", ask(cmd="job-disconnect", jobid=job))
    check("job-connect", ask(cmd="job-connect", jobid="nowhere"), rc="-1", errmsg="no_such_job")
    check("info-getjobattr", ask(cmd="info-getjobattr", key="universeSize"), found="TRUE")
    check("info-getjobattr", ask(cmd="info-getjobattr", key="nonsense"), found="FALSE")
    if RANK == 0:
        check("info-putnodeattr", ask(cmd="info-putnodeattr", key="attr", value="v w"))
    check("info-getnodeattr", ask(cmd="info-getnodeattr", key="attr", wait="TRUE"), found="TRUE", value="v w")
    check("info-getnodeattr", ask(cmd="info-getnodeattr", key="none", wait="FALSE"), found="FALSE")
    check("kvs-put", ask(cmd="kvs-put", key=f"key-{RANK}", value=f"value of {RANK}"))
    check("kvs-fence", ask(cmd="kvs-fence"))
    last = int(size) - 1
    found = ask(cmd="kvs-get", jobid=job, srcid=last, key=f"key-{last}")
    check("kvs-get", found, found="TRUE", value=f"value of {last}")
    check("kvs-get", ask(cmd="kvs-get", jobid=job, srcid=-1, key="none"), found="FALSE")
    check("ring", ask(cmd="ring", ring_count=1, ring_left="l", ring_right="r"), ring_count="0", ring_left="r")
    if RANK == 0:
        check("name-publish", ask(cmd="name-publish", name="service", port="a port"))
        check("name-lookup", ask(cmd="name-lookup", name="service"), found="TRUE", value="a port", port="a port")
        check("name-unpublish", ask(cmd="name-unpublish", name="service"))
        check("name-lookup", ask(cmd="name-lookup", name="service"), found="FALSE", rc="-1")
        request: dict[str, object] = {
            "ncmds": 1,
            "preputcount": 1,
            "ppkey0": "PARENT_PORT",
            "ppval0": "tag#0",
            "subcmd": sys.executable,
        }
        arguments: dict[str, object] = {"maxprocs": 1, "argc": 2, "argv0": os.path.abspath(__file__), "argv1": "child"}
        check("spawn", ask(cmd="spawn", **request, **arguments, infokeycount=0), nerrs="0")
        check("spawn", ask(cmd="spawn", **{**request, "subcmd": "/no/such"}, **arguments, infokeycount=0), rc="-1")
    check("nonsense", ask(cmd="nonsense"), rc="-1")
    check("kvs-fence", ask(cmd="kvs-fence"))
    check("finalize", ask(cmd="finalize"))


if len(sys.argv) > 1:
    be_child()
else:
    main()
