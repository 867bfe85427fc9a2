"""The events that tell of ended processes and jobs. Imported when one ends and somebody is left to be told.

Open MPI 5 registers for the three errors of `proc_events` (its fault tolerance, ULFM) and takes every info of type
PMIX_PROC in them for a failed process, so there must be one only.
"""

from __future__ import annotations

from lwkpm.pmi.pmix import constants as c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lwkpm.pmi.pmix.values import Info, Proc

ERR_PROC_ABORTED = -7
ERR_PROC_TERM_WO_SYNC = -200
EVENT_PROC_TERMINATED = -201
ERR_PROC_ABORTED_BY_SIG = -402
EVENT_JOB_END = -145
ERR_JOB_NON_ZERO_TERM = -187

EXIT_CODE = "pmix.exit.code"
JOB_TERM_STATUS = "pmix.job.term.status"
EVENT_NON_DEFAULT = "pmix.evnondef"
EVENT_DO_NOT_CACHE = "pmix.evnocache"
SIGNAL_BASE = 128  # how shells tell a signal in an exit status


def proc_events(
    proc: Proc, exit_code: int, signal: int, aborted: bool, unfinished: bool
) -> list[tuple[int, list[Info]]]:
    """(status, infos) of each event: the error if it is one, then the plain fact. `unfinished` = without PMIx_Finalize.

    None of them reaches default handlers: Open MPI's ends its process for whatever it is given.
    """
    infos: list[Info] = [
        (c.EVENT_AFFECTED_PROC, c.PROC, proc),
        (EXIT_CODE, c.INT, SIGNAL_BASE + signal if signal else exit_code),
        (EVENT_NON_DEFAULT, c.BOOL, True),
    ]
    status = _error(signal, aborted, unfinished)
    # An error is kept for those that register late; the fact that all went well is not.
    plain = (EVENT_PROC_TERMINATED, [*infos, (EVENT_DO_NOT_CACHE, c.BOOL, True)])
    return [plain] if status == c.SUCCESS else [(status, infos), plain]


def _error(signal: int, aborted: bool, unfinished: bool) -> int:
    if aborted:
        return ERR_PROC_ABORTED
    if signal:
        return ERR_PROC_ABORTED_BY_SIG
    return ERR_PROC_TERM_WO_SYNC if unfinished else c.SUCCESS


def job_event(nspace: str, code: int) -> tuple[int, Proc, int, list[Info]]:
    """(status, source, range, infos) of a job's end."""
    job = (nspace, c.RANK_WILDCARD)
    infos: list[Info] = [
        (c.EVENT_AFFECTED_PROC, c.PROC, job),
        (JOB_TERM_STATUS, c.STATUS, c.SUCCESS if code == 0 else ERR_JOB_NON_ZERO_TERM),
        (EXIT_CODE, c.INT, code),
        (EVENT_NON_DEFAULT, c.BOOL, True),
        (EVENT_DO_NOT_CACHE, c.BOOL, True),
    ]
    return EVENT_JOB_END, job, c.RANGE_LOCAL, infos
