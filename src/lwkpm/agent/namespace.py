"""The worlds of a run. A namespace (PMIx's word) is what was started together: by the command line, or by one spawn."""

from __future__ import annotations

from lwkpm.agent.rank import Rank
from lwkpm.agent.report import fold_ranks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from lwkpm.agent.spawn import SpawnRequest
    from lwkpm.job.plan import Plan


class Namespace:
    """One world: its plan, its ranks, and the request it came from if it was spawned.

    `index` counts the run's namespaces; `first_id` is the id of its rank 0.
    """

    __slots__ = ("_first_reached", "answered", "index", "plan", "ranks", "request")

    def __init__(self, index: int, plan: Plan, first_id: int, request: SpawnRequest | None = None) -> None:
        self.index = index
        self.plan = plan
        self.request = request
        self.answered = False  # the rank that asked has been told
        self._first_reached: dict[bool, Rank] = {}  # by whether it was over PMIx
        self.ranks = [Rank(first_id + number, self, proc) for number, proc in enumerate(plan.procs)]

    @property
    def parent(self) -> Rank | None:
        """The rank that asked for it."""
        return None if self.request is None else self.request.parent

    def first_of_other_kind(self, rank: Rank, kind: str) -> Rank | None:
        """The first rank that came over `kind` when this one did not, or the other way round.

        Two such ranks cannot be one world: the servers of PMIx and of PMI-1 and PMI-2 know nothing of each other.
        """
        of_kind = rank.protocol == kind
        self._first_reached.setdefault(of_kind, rank)
        return self._first_reached.get(not of_kind)

    @property
    def of_which(self) -> str:
        """What follows a rank's number in messages: nothing in the first world."""
        if self.index == 0:
            return ""
        return f" of {'world' if self.request is None else 'spawned job'} {self.index}"


def name_ranks(ranks: Sequence[Rank]) -> str:
    """``rank 0-3,7``, ``rank 0-3; rank 0 of spawned job 1``; ``rank none`` for none."""
    groups: dict[Namespace, list[int]] = {}
    for rank in ranks:
        groups.setdefault(rank.namespace, []).append(rank.number)
    return "; ".join(f"rank {fold_ranks(numbers)}{which.of_which}" for which, numbers in groups.items()) or "rank none"
