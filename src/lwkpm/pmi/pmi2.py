"""PMI-2: frames ``cmd=<verb>;key=value;...;``; every answer carries rc=, and thrid= when the request did."""

from __future__ import annotations

from lwkpm.pmi.board import Waiting
from lwkpm.pmi.events import Aborted, Finalized, SpawnCommand, SpawnRequested, readable
from lwkpm.pmi.fence import Parked, RingParked
from lwkpm.pmi.wire import frame, parse_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from lwkpm.pmi.server import Connection, RankState

    Fields = dict[str, str]

ECHO_MAX = 64
_SEMICOLON = "\ud800"  # stands for an escaped `;` while splitting; cannot come out of latin-1 bytes
_OK = "rc=0;"
_ABSENT = "found=FALSE;rc=0;"


def handle_frame(connection: Connection, payload: str, slurm_header: bool) -> None:
    """Answer one request; a left-justified length betrays Slurm's libpmi2, which escapes `;`."""
    connection.slurm = connection.slurm or slurm_header
    pairs = _split(payload, connection.slurm)
    fields = dict(pairs)
    command = fields.get("cmd", "")
    verb = VERBS.get(command)
    who = connection.who
    if command == "fullinit":
        _fullinit(connection, fields)
    elif who is None:
        connection.violation("a request before the client said who it is", fatal=True)
    elif verb is not None:
        verb(connection, who, fields)
    elif command == "spawn":
        _spawn(connection, who, pairs)
    else:
        fields["cmd"] = command.replace("\n", " ")[:ECHO_MAX]
        _answer(connection, fields, "rc=-1;errmsg=unknown;")


def _split(payload: str, slurm: bool) -> list[tuple[str, str]]:
    """Items in order. MPICH does not escape `;`: a value of its holding one is cut there, as by every server."""
    escaped = slurm and ";;" in payload
    if escaped:
        payload = payload.replace(";;", _SEMICOLON)
    pairs = []
    for item in payload.split(";"):
        key, _, value = item.partition("=")
        pairs.append((key, value.replace(_SEMICOLON, ";") if escaped else value))
    return pairs


def _response(connection: Connection, fields: Fields, rest: str) -> bytes:
    """A response frame; the thread id goes back to the thread that asks."""
    thread = fields.get("thrid")
    prefix = "" if thread is None else f"thrid={_escape(connection, thread)};"
    return frame(f"cmd={_escape(connection, fields['cmd'])}-response;{prefix}{rest}")


def _answer(connection: Connection, fields: Fields, rest: str) -> None:
    connection.send(_response(connection, fields, rest))


def _result(connection: Connection, fields: Fields, trouble: str) -> None:
    _answer(connection, fields, f"rc=-1;errmsg={trouble};" if trouble else _OK)


def _escape(connection: Connection, value: str) -> str:
    return value.replace(";", ";;") if connection.slurm else value


def _told(connection: Connection, value: str) -> str:
    """A neighbour's value; MPICH's client would read what follows a `;` as keys of the answer, so it ends there."""
    return _escape(connection, value if connection.slurm else value.partition(";")[0])


def _found(connection: Connection, value: str | None, name: str = "value") -> str:
    """The body of a lookup's answer; a `;` put by others cannot be told to MPICH's client."""
    if value is None or (";" in value and not connection.slurm):
        return _ABSENT
    return f"found=TRUE;{name}={_escape(connection, value)};{_OK}"


def _fullinit(connection: Connection, fields: Fields) -> None:
    """Over TCP `srcid` (libpmi2) or `pmirank` (MPICH) is the token, else the socket tells who it is.

    The hyphens matter: with underscores libpmi2 fails with PMI_Init returned 14.
    """
    if "srcid" in fields:
        connection.slurm = True
    who = connection.identify(fields.get("srcid", fields.get("pmirank", "")))
    if who is None or who.aborted:
        return
    job = who.job
    parent = f"spawner-jobid={job.parent_kvsname};" if job.spawned else ""
    place = f"rank={who.rank};size={job.size};appnum={job.appnums[who.rank]};{parent}"
    _answer(connection, fields, f"rc=0;pmi-version=2;pmi-subversion=0;{place}debugged=FALSE;pmiverbose=FALSE;")
    connection.initialized(who, 2)


def _job_getid(connection: Connection, who: RankState, fields: Fields) -> None:
    _answer(connection, fields, f"jobid={who.job.kvsname};{_OK}")


def _job_connect(connection: Connection, who: RankState, fields: Fields) -> None:
    """PMI2_Job_Connect and Job_Disconnect: every job of the run may read every other's keys, so that there is nothing
    to do but to say whether the job exists.
    """
    known = fields.get("jobid", "") in connection.server.jobs
    _result(connection, fields, "" if known else "no_such_job")


def _getjobattr(connection: Connection, who: RankState, fields: Fields) -> None:
    _answer(connection, fields, _found(connection, who.job.keys.get(fields.get("key", ""))))


def _putnodeattr(connection: Connection, who: RankState, fields: Fields) -> None:
    """Answered before the waiters: the putter may be one of them on another thread."""
    board = who.job.boards[who.node]
    mark = len(connection.out)
    trouble = board.put(who.rank, fields.get("key", ""), fields.get("value", ""))
    woken = bytes(connection.out[mark:])
    del connection.out[mark:]
    _result(connection, fields, trouble)
    connection.out += woken


def _getnodeattr(connection: Connection, who: RankState, fields: Fields) -> None:
    key = fields.get("key", "")
    board = who.job.boards[who.node]
    value = board.space.get(key)
    if value is not None or fields.get("wait") != "TRUE":
        _answer(connection, fields, _found(connection, value))
        return
    waiting = Waiting(connection, lambda put: _response(connection, fields, _found(connection, put)))
    trouble = board.wait(key, waiting)
    if trouble:
        _result(connection, fields, trouble)


def _kvs_put(connection: Connection, who: RankState, fields: Fields) -> None:
    trouble = who.job.put(who, fields["key"], fields["value"], 2) if {"key", "value"} <= fields.keys() else "no_value"
    _result(connection, fields, trouble)


def _kvs_get(connection: Connection, who: RankState, fields: Fields) -> None:
    job = connection.server.jobs.get(fields.get("jobid") or who.job.kvsname)
    value = None if job is None else job.find(fields.get("key", ""), 2)
    _answer(connection, fields, _found(connection, value))


def _kvs_fence(connection: Connection, who: RankState, fields: Fields) -> None:
    if not who.job.fence.enter(who.rank, Parked(connection, _response(connection, fields, _OK))):
        connection.violation("a second kvs-fence before the fence ended")
        _result(connection, fields, "already in fence")


def _ring(connection: Connection, who: RankState, fields: Fields) -> None:
    """MVAPICH2's PMIX_Ring: my index, my left neighbour's right value, my right neighbour's left value."""

    def answer_of(index: int, left: str, right: str) -> bytes:
        ends = f"ring-left={_told(connection, left)};ring-right={_told(connection, right)};"
        return _response(connection, fields, f"rc=0;ring-count={index};{ends}")

    count = parse_int(fields.get("ring-count", "1"))
    ends = (fields.get("ring-left", ""), fields.get("ring-right", ""))
    if count is None or not 0 <= count < 1 << 31 or max(map(len, ends)) > who.job.kvs.value_max:
        _result(connection, fields, "bad ring")
    elif not who.job.ring.enter(who.rank, RingParked(connection, count, ends, answer_of)):
        connection.violation("a second ring before the ring closed")
        _result(connection, fields, "already in ring")


def _name_publish(connection: Connection, who: RankState, fields: Fields) -> None:
    trouble = connection.server.names.publish(who, fields.get("name", ""), fields.get("port", ""))
    _result(connection, fields, trouble)


def _name_unpublish(connection: Connection, who: RankState, fields: Fields) -> None:
    _result(connection, fields, connection.server.names.unpublish(who, fields.get("name", "")))


def _name_lookup(connection: Connection, _who: RankState, fields: Fields) -> None:
    """Slurm's client reads value, MPICH's reads port: both get both."""
    port = connection.server.names.lookup(fields.get("name", ""))
    if port is None or (";" in port and not connection.slurm):
        _answer(connection, fields, "found=FALSE;rc=-1;errmsg=not found;")
    else:
        text = _escape(connection, port)
        _answer(connection, fields, f"found=TRUE;value={text};port={text};{_OK}")


def _abort(connection: Connection, who: RankState, fields: Fields) -> None:
    """No answer, and no code: exitcode=-1 whatever MPI_Abort was given; the exit status has it."""
    message = fields.get("msg", fields.get("message", ""))
    connection.abort(who)
    connection.emit(Aborted(job=who.job, rank=who.rank, code=None, message=readable(message)))


def _finalize(connection: Connection, who: RankState, fields: Fields) -> None:
    who.finalized = True
    _answer(connection, fields, _OK)
    connection.emit(Finalized(job=who.job, rank=who.rank))


def _spawn(connection: Connection, who: RankState, pairs: list[tuple[str, str]]) -> None:
    """Keys repeat per command: everything after a `subcmd` belongs to it."""
    starts = [place for place, (key, _) in enumerate(pairs) if key == "subcmd"]
    ends = [*starts[1:], len(pairs)]
    head = pairs[: starts[0]] if starts else pairs
    fields = dict(pairs)

    def answer(kvsname: str, trouble: str) -> None:
        body = f"rc=0;jobid={kvsname};nerrs=0;" if kvsname else f"rc=-1;errmsg={trouble};"
        _answer(connection, fields, body)

    connection.emit(
        SpawnRequested(
            job=who.job,
            rank=who.rank,
            commands=tuple(_spawn_command(pairs[begin:end]) for begin, end in zip(starts, ends)),
            preput=_paired(head, "ppkey", "ppval"),
            answer=answer,
        )
    )


def _paired(pairs: list[tuple[str, str]], key_prefix: str, value_prefix: str) -> tuple[tuple[str, str], ...]:
    """The n-th ``<key_prefix>N`` with the n-th ``<value_prefix>N``."""
    keys = [value for key, value in pairs if key.startswith(key_prefix) and key[len(key_prefix) :].isdigit()]
    values = [value for key, value in pairs if key.startswith(value_prefix)]
    return tuple(zip(keys, values))


def _spawn_command(pairs: list[tuple[str, str]]) -> SpawnCommand:
    """One command; argv0 is its first argument, not the program."""
    fields = dict(pairs)
    return SpawnCommand(
        program=readable(fields["subcmd"]),
        arguments=tuple(readable(value) for key, value in pairs if key.startswith("argv")),
        processes=parse_int(fields.get("maxprocs", "")) or 0,
        info=tuple((readable(key), readable(value)) for key, value in _paired(pairs, "infokey", "infoval")),
    )


VERBS: dict[str, Callable[[Connection, RankState, dict[str, str]], None]] = {
    "job-getid": _job_getid,
    "job-connect": _job_connect,
    "job-disconnect": _job_connect,
    "info-getjobattr": _getjobattr,
    "info-putnodeattr": _putnodeattr,
    "info-getnodeattr": _getnodeattr,
    "kvs-put": _kvs_put,
    "kvs-get": _kvs_get,
    "kvs-fence": _kvs_fence,
    "ring": _ring,
    "name-publish": _name_publish,
    "name-unpublish": _name_unpublish,
    "name-lookup": _name_lookup,
    "abort": _abort,
    "finalize": _finalize,
}
