"""PMIx_Spawn: what is asked for, and the answer. Imported by the first spawn."""

from __future__ import annotations

from lwkpm.pmi.pmix import constants as c
from lwkpm.pmi.pmix.events import PmixCommand, PmixSpawnRequested
from lwkpm.pmi.pmix.values import encode, read_infos, read_strings, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lwkpm.pmi.pmix.answers import Answers
    from lwkpm.pmi.pmix.events import PmixEvent
    from lwkpm.pmi.pmix.values import Info, Proc

NSPACE_MAX = 255  # bytes; pmix_nspace_t is char[256]


def read_commands(apps: Any, count: int) -> list[PmixCommand]:
    """Copy an array of pmix_app_t. Clients give argv[0] as well, the program's name or its last component."""
    found = []
    for index in range(count):
        app = apps[index]
        argv = read_strings(app.argv)
        found.append(
            PmixCommand(
                program=text(app.cmd) or (argv[0] if argv else ""),
                arguments=tuple(argv[1:]),
                env=tuple(read_strings(app.env)),
                cwd=text(app.cwd),
                processes=app.maxprocs,
                info=tuple(read_infos(app.info, app.ninfo)),
            )
        )
    return found


def trouble(commands: list[PmixCommand]) -> int:
    """PMIX_SUCCESS, or the status that refuses a request which no host could serve."""
    wrong = any(not command.program or command.processes < 1 for command in commands)
    return c.ERR_BAD_PARAM if wrong or not commands else c.SUCCESS


def spawn_answer(
    answers: Answers, token: tuple[Any, Any], done: Callable[[str], None] | None
) -> Callable[[int, str], None]:
    """What the agent calls with (status, new namespace or ""); the second call and later ones do nothing.

    `done` is told the new namespace.
    """
    open_tokens = [token]

    def answer(status: int, nspace: str) -> None:
        if not open_tokens:
            return
        if status == c.SUCCESS and not 0 < len(encode(nspace)) <= NSPACE_MAX:
            raise ValueError(f"not a namespace: {nspace!r}")
        answers.spawned(open_tokens.pop(), status, nspace)
        if done is not None and status == c.SUCCESS:
            done(nspace)

    return answer


def spawn(
    answers: Answers,
    proc: Proc,
    infos: list[Info],
    commands: list[PmixCommand],
    token: tuple[Any, Any],
    done: Callable[[str], None] | None = None,
) -> list[PmixEvent]:
    """The event of a request, or the refusal of nonsense."""
    answer = spawn_answer(answers, token, done)
    status = trouble(commands)
    if status != c.SUCCESS:
        answer(status, "")
        return []
    return [
        PmixSpawnRequested(nspace=proc[0], rank=proc[1], commands=tuple(commands), info=tuple(infos), answer=answer)
    ]
