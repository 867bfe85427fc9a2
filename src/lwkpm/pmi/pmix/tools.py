"""Tools that connect to a run: debuggers, monitors, launchers of more jobs. Imported by the first one."""

from __future__ import annotations

import os

from lwkpm.pmi.pmix import constants as c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from lwkpm.pmi.pmix.job import Job
    from lwkpm.pmi.pmix.values import Info, Proc

NSPACE = "pmix.nspace"
ERR_INVALID_CRED = -12


def admit(infos: Sequence[Info], jobs: Mapping[str, Job], tools: Collection[str]) -> tuple[int, Proc]:
    """(status, identity) for a tool: ours if it brings none. Only our own user is let in."""
    given = {key: data for key, _, data in infos}
    if given.get(c.USERID) != os.geteuid():
        return ERR_INVALID_CRED, ("", c.RANK_UNDEF)
    name = given.get(NSPACE)
    if not isinstance(name, str) or not name:
        return c.SUCCESS, (f"lwkpm-tool-{os.getpid()}-{len(tools) + 1}", 0)
    if name in jobs:
        return c.ERR_DUPLICATE_KEY, ("", c.RANK_UNDEF)
    rank = given.get(c.RANK)
    return c.SUCCESS, (name, rank if isinstance(rank, int) else 0)


def read_uri(folder: str) -> str:
    """The first line of what libpmix wrote there (pmix.HOST.tool.PID and the like)."""
    for name in sorted(os.listdir(folder)):
        with open(f"{folder}/{name}", encoding="utf-8", errors="surrogateescape") as text:
            return text.readline().strip()
    return ""


def remove_folder(folder: str) -> None:
    """Remove what libpmix may have left; 4.2 has removed it all."""
    if os.path.isdir(folder):
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)
