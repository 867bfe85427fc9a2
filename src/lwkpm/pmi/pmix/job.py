"""The job as PMIx clients ask for it: attributes of the job, of its applications and of every process."""

from __future__ import annotations

from lwkpm.pmi.pmix import constants as c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lwkpm.pmi.pmix.values import Info, Proc

    Node = tuple[str, Sequence[int]]  # host name, ranks in local-rank order


class Job:
    """What the server keeps of a registered job.

    `parent` is the process that spawned it, `psets` are ranks by name, `hosts` the nodes, `spread` = more than one.
    """

    __slots__ = ("appnums", "hosts", "parent", "psets", "size", "spread")

    def __init__(
        self, appnums: Sequence[int], parent: Proc | None, psets: Mapping[str, Sequence[int]], hosts: Sequence[str]
    ) -> None:
        self.size = len(appnums)
        self.appnums = appnums
        self.parent = parent
        self.psets = psets
        self.hosts = hosts
        self.spread = len(hosts) > 1


def spawned_infos(parent: Proc | None) -> list[Info]:
    """What tells a spawned job whose child it is. Clients ask for it by job and by process."""
    return [] if parent is None else [(c.SPAWNED, c.BOOL, True), (c.PARENT_ID, c.PROC, parent)]


def pset_infos(rank: int, psets: Mapping[str, Sequence[int]]) -> list[Info]:
    """The process set of a rank, "" for none: Open MPI asks every rank for one, and takes no answer as an error."""
    return (
        [(c.PSET_NAME, c.STRING, next((name for name, ranks in psets.items() if rank in ranks), ""))] if psets else []
    )


def job_infos(nspace: str, appnums: Sequence[int], nodes: Sequence[Node], here: int, universe_size: int) -> list[Info]:
    """Everything but the process data. `here` indexes `nodes`.

    The maps are given as plain lists (hosts by comma, ranks by comma and nodes by semicolon): libpmix takes them as
    they are when no regular expression component claims them, and a compressed one would hold NUL bytes.
    """
    size = len(appnums)
    local = nodes[here][1]
    return [
        (c.JOBID, c.STRING, nspace),
        (c.UNIV_SIZE, c.UINT32, universe_size),
        (c.JOB_SIZE, c.UINT32, size),
        (c.JOB_NUM_APPS, c.UINT32, len(set(appnums))),
        (c.MAX_PROCS, c.UINT32, max(universe_size, size)),
        (c.NUM_NODES, c.UINT32, len(nodes)),
        (c.LOCAL_SIZE, c.UINT32, len(local)),
        (c.NODE_SIZE, c.UINT32, len(local)),
        (c.NODE_MAP, c.STRING, ",".join(host for host, _ in nodes)),
        (c.PROC_MAP, c.STRING, ";".join(_rank_list(ranks) for _, ranks in nodes)),
        *app_infos(appnums),
    ]


def _rank_list(ranks: Sequence[int]) -> str:
    return ",".join(map(str, ranks))


def app_infos(appnums: Sequence[int]) -> list[Info]:
    """One array per application: number, size, first rank."""
    ranks: dict[int, list[int]] = {}
    for rank, app in enumerate(appnums):
        ranks.setdefault(app, []).append(rank)
    return [
        (
            c.APP_INFO_ARRAY,
            c.DATA_ARRAY,
            (
                c.INFO,
                [
                    (c.APPNUM, c.UINT32, app),
                    (c.APP_SIZE, c.UINT32, len(members)),
                    (c.APPLDR, c.PROC_RANK, members[0]),
                ],
            ),
        )
        for app, members in sorted(ranks.items())
    ]


def proc_infos(job: Job, nodes: Sequence[Node]) -> list[list[Info]]:
    """PMIX_PROC_DATA of each process. Once one is given libpmix derives nothing from the maps: all must be in it."""
    found: list[list[Info]] = []
    app_rank: dict[int, int] = {}
    place = {rank: (node, local) for node, (_, ranks) in enumerate(nodes) for local, rank in enumerate(ranks)}
    for rank, app in enumerate(job.appnums):
        node, local = place[rank]
        app_rank[app] = app_rank.get(app, -1) + 1
        found.append(
            [
                (c.RANK, c.PROC_RANK, rank),  # must come first
                (c.APPNUM, c.UINT32, app),
                (c.LOCAL_RANK, c.UINT16, local),
                (c.NODE_RANK, c.UINT16, local),
                (c.NODEID, c.UINT32, node),
                (c.GLOBAL_RANK, c.PROC_RANK, rank),
                (c.APP_RANK, c.PROC_RANK, app_rank[app]),
                (c.HOSTNAME, c.STRING, nodes[node][0]),
                *spawned_infos(job.parent),
                *pset_infos(rank, job.psets),
            ]
        )
    return found
