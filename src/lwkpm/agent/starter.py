"""Starting the ranks of a world: an ENV frame for each part, a SPAWN for each rank, as fast as they can be written."""

from __future__ import annotations

import os

from lwkpm.job.environment import rank_entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lwkpm.agent.channels import StandardStreams
    from lwkpm.agent.namespace import Namespace
    from lwkpm.agent.rank import Rank
    from lwkpm.agent.service import PmiService
    from lwkpm.agent.worlds import Worlds
    from lwkpm.job.plan import AppPlan, Proc
    from lwkpm.job.spec import AppContext


class Starter:
    """Orders ranks; their streams and their wire-up are opened on the way."""

    def __init__(self, worlds: Worlds, streams: StandardStreams, service: PmiService) -> None:
        self._worlds = worlds
        self._streams = streams
        self._service = service
        self._environments = 0  # of all parts so far: conenter knows each by its number

    def start(self, world: Namespace) -> None:
        """Order every rank of a world whose containers are there."""
        world.plan = world.plan.replace(apps=tuple(map(self._complete, world.plan.apps, world.plan.job.apps)))
        common = self._service.common_entries(world)
        served = {entry.partition("=")[0] for entry in common}  # once: of two values programs take this one or that
        first = self._environments
        self._environments += len(world.plan.apps)
        for number, app in enumerate(world.plan.apps, first):
            kept = [entry for entry in app.env if entry.partition("=")[0] not in served]
            self._worlds.links[app.container].environment(number, [*kept, *common])
        for rank in world.ranks:
            self._order(rank, first + rank.proc.app)

    def _complete(self, app: AppPlan, context: AppContext) -> AppPlan:
        """With what only the mounted image tells."""
        container = self._worlds.containers[app.container]
        if not container.mounted:
            return app
        from lwkpm.agent.mounted import complete_app

        return complete_app(app, context, self._worlds.root(app.container), os.environ, container.shims)

    def _order(self, rank: Rank, environment: int) -> None:
        plan, proc = rank.namespace.plan, rank.proc
        app = plan.apps[proc.app]
        self._worlds.ranks[rank.id] = rank
        fds = self._streams.open(rank)
        pmi_fd, wire_up = self._service.wire_up(rank)
        if pmi_fd >= 0:
            fds.append(pmi_fd)
        entries = rank_entries(rank=rank.number, local_rank=proc.local_rank, pmi=plan.job.pmi)
        link = self._worlds.links[app.container]
        link.spawn(rank.id, environment, app.argv, [*entries, *wire_up], app.cwd, cpu_mask(proc), fds)


def cpu_mask(proc: Proc) -> bytes:
    """The rank's CPUs as the kernel's bit mask, empty when it is not bound."""
    if not proc.cpus:
        return b""
    bits = sum(1 << cpu for cpu in proc.cpus)
    return bits.to_bytes((max(proc.cpus) // 64 + 1) * 8, "little")
