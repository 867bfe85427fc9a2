"""PMI-1: lines ``cmd=<verb> key=value ...``, answered one by one."""

from __future__ import annotations

from lwkpm.pmi.events import Aborted, Finalized, SpawnCommand, SpawnRequested, exit_code, readable
from lwkpm.pmi.fence import Parked
from lwkpm.pmi.wire import parse_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from lwkpm.pmi.server import Connection, PmiJob, RankState

KVSNAME_MAX = 256
KEYLEN_MAX = 64
ECHO_MAX = 64  # of a client's own text in an error answer
SPAWN_BLOCKS_MAX = 64
ERRCODES_MAX = 256  # without codes a client takes all for 0, and the lines of old ones end at 1024 bytes


def handle_line(connection: Connection, line: str) -> None:
    """Answer one line (without its end)."""
    command, _, rest = line.partition(" ")
    verb = VERBS.get(command)
    who = connection.who
    if verb is not None and who is not None:
        verb(connection, who, rest)
    elif command in HANDSHAKE:
        HANDSHAKE[command](connection, rest)
    elif who is None:
        connection.violation("a request before the client said who it is", fatal=True)
    elif command.startswith("cmd="):
        _answer(connection, f"cmd={command[4:][:ECHO_MAX]}_result rc=-1 msg=unknown")
    else:
        connection.violation("a line without cmd=", fatal=True)


def handle_block(connection: Connection, block: str) -> None:
    """Take one block of a spawn request; ask the agent when its last block is here."""
    who = connection.who
    if who is None or not block.startswith("mcmd=spawn"):
        connection.violation("not a spawn request", fatal=True)
        return
    lines = [line.partition("=") for line in block.split("\n")]
    fields = {key: value for key, _, value in lines}
    connection.spawning.append((_spawn_command(fields), _numbered(fields, "preput_key_", "preput_val_")))
    done = parse_int(fields.get("spawnssofar", ""))
    total = parse_int(fields.get("totspawns", ""))
    if done is not None and total is not None and done < total and len(connection.spawning) < SPAWN_BLOCKS_MAX:
        return
    blocks, connection.spawning = connection.spawning, []
    connection.emit(
        SpawnRequested(
            job=who.job,
            rank=who.rank,
            commands=tuple(command for command, _ in blocks),
            preput=tuple(pair for _, preput in blocks for pair in preput),
            answer=_spawn_answer(connection, sum(command.processes for command, _ in blocks)),
        )
    )


def _spawn_answer(connection: Connection, processes: int) -> Callable[[str, str], None]:
    def answer(kvsname: str, trouble: str) -> None:
        codes = f" errcodes={','.join(['0'] * processes)}" if processes <= ERRCODES_MAX else ""
        _answer(connection, f"cmd=spawn_result rc=0{codes}" if kvsname else f"cmd=spawn_result rc=-1 msg={trouble}")

    return answer


def _numbered(fields: dict[str, str], key_prefix: str, value_prefix: str) -> tuple[tuple[str, str], ...]:
    """Pairs of ``<key_prefix>N`` and ``<value_prefix>N``, in the order of the keys' lines."""
    numbers = [key[len(key_prefix) :] for key in fields if key.startswith(key_prefix)]
    return tuple((fields[key_prefix + number], fields.get(value_prefix + number, "")) for number in numbers)


def _spawn_command(fields: dict[str, str]) -> SpawnCommand:
    """One command; its arguments are arg1.. (arg0.. from Flux), before or after argcnt."""
    numbered = sorted((int(key[3:]), value) for key, value in fields.items() if _is_argument(key))
    info = _numbered(fields, "info_key_", "info_val_")
    return SpawnCommand(
        program=readable(fields.get("execname", "")),
        arguments=tuple(readable(value) for _, value in numbered),
        processes=parse_int(fields.get("nprocs", "")) or 0,
        info=tuple((readable(key), readable(value)) for key, value in info),
    )


def _is_argument(key: str) -> bool:
    number = parse_int(key[3:]) if key.startswith("arg") else None
    return number is not None and number >= 0


def _answer(connection: Connection, line: str) -> None:
    connection.send(line.encode("latin-1") + b"\n")


def _fields(rest: str) -> dict[str, str]:
    """``key=value`` items, blanks between; in any order."""
    fields = {}
    for item in rest.split(" "):
        key, _, value = item.partition("=")
        fields[key] = value
    return fields


def _init(connection: Connection, rest: str) -> None:
    """Either version begins with this line; PMI-2 over TCP says who it is only in fullinit."""
    version = {"1": 1, "2": 2}.get(_fields(rest).get("pmi_version", ""))
    who = connection.who
    if version is None:
        _answer(connection, "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=-1")
    elif version == 1 and who is None:
        connection.violation("init before initack", fatal=True)
    else:
        connection.version = version
        _answer(connection, f"cmd=response_to_init pmi_version={version} pmi_subversion={2 - version} rc=0")
        if version == 1 and who is not None:
            connection.initialized(who, 1)


def _initack(connection: Connection, rest: str) -> None:
    who = connection.identify(_fields(rest).get("pmiid", ""))
    if who is not None:
        for line in ("cmd=initack rc=0", f"cmd=set size={who.job.size}", f"cmd=set rank={who.rank}", "cmd=set debug=0"):
            _answer(connection, line)


def _get_maxes(connection: Connection, who: RankState, _rest: str) -> None:
    sizes = f"kvsname_max={KVSNAME_MAX} keylen_max={KEYLEN_MAX} vallen_max={who.job.vallen_max}"
    _answer(connection, f"cmd=maxes {sizes} rc=0")


def _get_appnum(connection: Connection, who: RankState, _rest: str) -> None:
    _answer(connection, f"cmd=appnum appnum={who.job.appnums[who.rank]} rc=0")


def _get_my_kvsname(connection: Connection, who: RankState, _rest: str) -> None:
    _answer(connection, f"cmd=my_kvsname kvsname={who.job.kvsname} rc=0")


def _get_universe_size(connection: Connection, who: RankState, _rest: str) -> None:
    _answer(connection, f"cmd=universe_size size={who.job.universe_size} rc=0")


def _put(connection: Connection, who: RankState, rest: str) -> None:
    """The value is the rest of the line, blanks and `=` included, less one trailing blank."""
    head, found, value = rest.partition(" value=")
    fields = _fields(head)
    if not found or "key" not in fields:  # another order of the keys: then a value has no blanks
        fields = _fields(rest)
        found, value = "value" if "value" in fields else "", fields.get("value", "")
    value = value.removesuffix(" ")
    if fields.get("kvsname", who.job.kvsname) != who.job.kvsname:
        trouble = "unknown_kvsname"
    else:
        trouble = who.job.put(who, fields.get("key", ""), value, 1) if found else "no_value"
    _answer(connection, f"cmd=put_result rc=-1 msg={trouble}" if trouble else "cmd=put_result rc=0")


def _get(connection: Connection, who: RankState, rest: str) -> None:
    """Other jobs' spaces are readable: a spawned job may look at its parent's."""
    fields = _fields(rest)
    key = fields.get("key", "")
    job = connection.server.jobs.get(fields.get("kvsname", who.job.kvsname))
    value = None if job is None else job.find(key, 1)
    if value is None or "\n" in value:  # a PMI-2 client may have put what no line can carry
        _answer(connection, f"cmd=get_result rc=-1 msg=key_{key[:ECHO_MAX]}_not_found value=unknown")
    else:
        _answer(connection, f"cmd=get_result rc=0 value={value}")


def _getbyidx(connection: Connection, who: RankState, rest: str) -> None:
    """The old PMI_KVS_Iter; a value that no client of this version holds, or no line can carry, is passed over."""
    fields = _fields(rest)
    job = connection.server.jobs.get(fields.get("kvsname", who.job.kvsname))
    index = parse_int(fields.get("idx", ""))
    pair = None if job is None or index is None else job.kvs.at(index)
    while pair is not None and index is not None and job is not None and not _fits(job, pair[1]):
        index += 1
        pair = job.kvs.at(index)
    if pair is None or index is None:
        _answer(connection, "cmd=getbyidx_results rc=-1 reason=no_more_keyvals")
    else:
        _answer(connection, f"cmd=getbyidx_results rc=0 nextidx={index + 1} key={pair[0]} val={pair[1]}")


def _fits(job: PmiJob, value: str) -> bool:
    return "\n" not in value and len(value) <= job.longest[1]


def _barrier_in(connection: Connection, who: RankState, rest: str) -> None:
    if "group=" in rest:
        _group_barrier(connection, who, _fields(rest).get("group", ""))
    elif not who.job.fence.enter(who.rank, Parked(connection, b"cmd=barrier_out rc=0\n")):
        connection.violation("a second barrier_in before the barrier ended")
        _answer(connection, "cmd=barrier_out rc=-1 msg=already_in_barrier")


def _group_barrier(connection: Connection, who: RankState, group: str) -> None:
    """PMI-1.2: ``group=<WORLD|NODE|r0,r1,..>:<tag>``, several may be open at once."""
    text, _, tag_text = group.rpartition(":")
    tag = parse_int(tag_text)
    members = _members(who, text)
    if tag is None or members is None:
        _answer(connection, "cmd=barrier_out rc=-1 msg=bad_group")
        return
    parked = Parked(connection, b"cmd=barrier_out tag=%d rc=0\n" % tag)
    trouble = who.job.enter_group(who, members, tag, parked)
    if trouble:
        connection.violation(f"barrier of group {group[:ECHO_MAX]}: {trouble}")
        _answer(connection, f"cmd=barrier_out tag={tag} rc=-1 msg={trouble}")


def _members(who: RankState, text: str) -> frozenset[int] | None:
    if text == "WORLD":
        return frozenset(range(who.job.size))
    if text == "NODE":
        return frozenset(other.rank for other in who.job.ranks if other.node == who.node)
    numbers = [parse_int(item) for item in text.split(",")]
    members = frozenset(number for number in numbers if number is not None)
    return members if members and None not in numbers else None


def _finalize(connection: Connection, who: RankState, _rest: str) -> None:
    who.finalized = True
    _answer(connection, "cmd=finalize_ack rc=0")
    connection.emit(Finalized(job=who.job, rank=who.rank))


def _abort(connection: Connection, who: RankState, rest: str) -> None:
    """No answer. The message is the rest of the line, unescaped."""
    head, _, message = rest.partition("message=")
    code = exit_code(_fields(head).get("exitcode", ""))
    connection.abort(who)
    connection.emit(Aborted(job=who.job, rank=who.rank, code=code, message=readable(message)))


def _publish_name(connection: Connection, who: RankState, rest: str) -> None:
    """Service names are raw: all between ``service=`` and `` port=``, blanks included."""
    service, found, port = rest.partition("service=")[2].partition(" port=")
    trouble = connection.server.names.publish(who, service, port) if found else "no_port"
    _answer(connection, _name_result("publish", trouble))


def _unpublish_name(connection: Connection, who: RankState, rest: str) -> None:
    trouble = connection.server.names.unpublish(who, rest.partition("service=")[2])
    _answer(connection, _name_result("unpublish", trouble))


def _name_result(verb: str, trouble: str) -> str:
    """Old clients look at info, new ones at rc."""
    return f"cmd={verb}_result rc=-1 info={trouble}" if trouble else f"cmd={verb}_result rc=0 info=ok"


def _lookup_name(connection: Connection, _who: RankState, rest: str) -> None:
    port = connection.server.names.lookup(rest.partition("service=")[2])
    if port is None or " " in port or "\n" in port:
        _answer(connection, "cmd=lookup_result rc=-1 info=not_found")
    else:
        _answer(connection, f"cmd=lookup_result port={port} info=ok rc=0")


HANDSHAKE: dict[str, Callable[[Connection, str], None]] = {
    "cmd=init": _init,
    "cmd=initack": _initack,
}

VERBS: dict[str, Callable[[Connection, RankState, str], None]] = {
    "cmd=get_maxes": _get_maxes,
    "cmd=get_appnum": _get_appnum,
    "cmd=get_my_kvsname": _get_my_kvsname,
    "cmd=get_universe_size": _get_universe_size,
    "cmd=put": _put,
    "cmd=get": _get,
    "cmd=getbyidx": _getbyidx,
    "cmd=barrier_in": _barrier_in,
    "cmd=finalize": _finalize,
    "cmd=abort": _abort,
    "cmd=publish_name": _publish_name,
    "cmd=unpublish_name": _unpublish_name,
    "cmd=lookup_name": _lookup_name,
}
