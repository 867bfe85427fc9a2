"""All worlds of a run with their ranks, and where each rank lives: its container and that container's conenter."""

from __future__ import annotations

from lwkpm.agent.namespace import Namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lwkpm.agent.conenter import ConenterLink
    from lwkpm.agent.rank import Rank
    from lwkpm.agent.spawn import SpawnRequest
    from lwkpm.job.plan import ContainerPlan, Plan


class Worlds:
    """`links` are the conenters by container number; `ranks` the ranks that were ordered, by id."""

    def __init__(self, plans: Sequence[Plan], links: list[ConenterLink]) -> None:
        self.links = links
        self.ranks: dict[int, Rank] = {}
        self.ids = 0  # of all ranks that are planned
        self.all: list[Namespace] = []
        self.waiting = [self.add(plan) for plan in plans]  # for their containers

    def add(self, plan: Plan, request: SpawnRequest | None = None) -> Namespace:
        """A new world; its ranks count once they are ordered."""
        world = Namespace(len(self.all), plan, self.ids, request)
        self.ids += len(world.ranks)
        self.all.append(world)
        return world

    def take_ready(self) -> Iterator[Namespace]:
        """The worlds whose containers are there, no longer waiting."""
        for world in [world for world in self.waiting if self._is_ready(world)]:
            self.waiting.remove(world)
            yield world

    def _is_ready(self, world: Namespace) -> bool:
        """The command line's worlds start together, when every container is there."""
        if world.request is None:
            return all(link.ready for link in self.links)
        return all(self.links[app.container].ready for app in world.plan.apps)

    def running(self) -> list[Rank]:
        """Ranks that were started and have not ended."""
        return [rank for rank in self.ranks.values() if rank.running]

    @property
    def containers(self) -> Sequence[ContainerPlan]:
        """All there are: every spawn that brings a new one adds it to those before."""
        return max((world.plan.containers for world in self.all), key=len)

    def container_of(self, rank: Rank) -> int:
        """The number of a rank's container."""
        return rank.namespace.plan.apps[rank.proc.app].container

    def link_of(self, rank: Rank) -> ConenterLink:
        """The conenter that is a rank's parent."""
        return self.links[self.container_of(rank)]

    def root(self, container: int) -> str:
        """A container's root directory as seen from here, while its conenter lives."""
        kind = self.containers[container].kind
        return "/" if kind == "host" else f"/proc/{self.links[container].pid}/root"

    def signal_all(self, number: int) -> None:
        """Signal the process group of every rank."""
        for link in self.links:
            if not link.ended:
                link.kill(-1, number)
