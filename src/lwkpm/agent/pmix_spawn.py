"""A PMIx_Spawn (MPI_Comm_spawn of Open MPI) as a request of ours, and its answer as a PMIx status."""

from __future__ import annotations

from lwkpm.agent.spawn import Command, SpawnRequest
from lwkpm.pmi.pmix import constants as c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from lwkpm.agent.namespace import Namespace
    from lwkpm.agent.rank import Rank
    from lwkpm.pmi.pmix.events import PmixCommand, PmixSpawnRequested
    from lwkpm.pmi.pmix.values import Info

#: Attributes that mean one of MPI's info keys. Those that only say how to map or print are not for us.
INFO_KEYS = {"pmix.wdir": "wdir", "pmix.host": "host", "pmix.addhost": "host"}
#: What an error of ours is in PMIx.
STATUSES = {
    "LWKPM-E041": c.ERR_JOB_EXE_NOT_FOUND,
    "LWKPM-E042": c.ERR_JOB_APP_NOT_EXECUTABLE,
    "LWKPM-E046": c.ERR_JOB_WDIR_NOT_FOUND,
    "LWKPM-E063": c.ERR_JOB_FAILED_TO_MAP,
}


def spawn_request(parent: Rank, event: PmixSpawnRequested) -> SpawnRequest:
    """What the agent carries out."""

    def answer(namespace: Namespace | None, trouble: str) -> None:
        if namespace is None:
            event.answer(STATUSES.get(trouble, c.ERR_JOB_FAILED_TO_LAUNCH), "")
        else:
            event.answer(c.SUCCESS, namespace.plan.nspace)

    shared = _info_keys(event.info)
    commands = tuple(_command(command, shared) for command in event.commands)
    return SpawnRequest(parent=parent, commands=commands, answer=answer)


def _command(command: PmixCommand, shared: dict[str, str]) -> Command:
    return Command(
        program=command.program,
        arguments=command.arguments,
        processes=command.processes,
        env=command.env,
        cwd=command.cwd,
        info={**shared, **_info_keys(command.info)},
    )


def _info_keys(infos: Iterable[Info]) -> dict[str, str]:
    """Texts under an MPI info key, or under a key of the user's own such as lwkpm_image."""
    named = ((INFO_KEYS.get(key, key), data) for key, _, data in infos)
    return {key: _text(data) for key, data in named if isinstance(data, (str, bytes)) and not key.startswith("pmix.")}


def _text(data: str | bytes) -> str:
    return data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data
