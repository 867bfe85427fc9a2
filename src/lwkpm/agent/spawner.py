"""Spawn requests of ranks, from the question to the answer. What is wrong with one is an error of its rank's call, with
a line for the user; the job goes on.
"""

from __future__ import annotations

import os

from lwkpm.agent.conenter import start_containers
from lwkpm.agent.descriptors import allow_descriptors
from lwkpm.agent.spawn import find_programs, plan_spawn
from lwkpm.errors import LwkpmError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lwkpm.agent.conenter import Handler
    from lwkpm.agent.loop import Loop
    from lwkpm.agent.namespace import Namespace
    from lwkpm.agent.report import Report
    from lwkpm.agent.service import PmiService
    from lwkpm.agent.spawn import SpawnRequest
    from lwkpm.agent.worlds import Worlds


class Spawner:
    """Plans spawned worlds and tells who asked. Imported by the first request."""

    def __init__(self, worlds: Worlds, service: PmiService, report: Report) -> None:
        self._worlds = worlds
        self._service = service
        self._report = report

    def plan(self, request: SpawnRequest, loop: Loop, handler: Handler) -> bool:
        """Make a world that waits for its containers, and start the containers that are not there; False: refused."""
        worlds = self._worlds
        busy = [cpu for rank in worlds.running() for cpu in rank.proc.cpus]
        try:
            plan = plan_spawn(request, worlds.containers, busy, os.environ)
            allow_descriptors(worlds.ids + len(plan.procs))
            new = start_containers(loop, plan.containers[len(worlds.links) :])
            world = worlds.add(plan, request)
            for link in new:
                link.handler = handler
                worlds.links.append(link)
            self._service.add_namespace(world)
        except LwkpmError as error:
            self.refuse(request, error)
            return False
        worlds.waiting.append(world)
        return True

    def check(self, world: Namespace, request: SpawnRequest) -> bool:
        """Whether every program is in its container; only now can be looked into all of them."""
        roots = [self._worlds.root(number) for number in range(len(self._worlds.links))]
        try:
            world.plan = find_programs(world.plan, roots, request.commands)
        except LwkpmError as error:
            self._service.forget(world)
            self.refuse(request, error)
            return False
        return True

    def refuse(self, request: SpawnRequest, error: LwkpmError) -> None:
        """Tell the rank and the user that there is no new world."""
        self._report.note(f"{request.parent.title} could not spawn: {error.what}: {error.why} [{error.code}]")
        request.answer(None, error.code)

    def refuse_those_in(self, container: int, error: LwkpmError) -> bool:
        """The container could not be made: refuse the spawns that wait for it. Whether nobody else waits for it."""
        worlds = self._worlds
        hit = [world for world in worlds.waiting if container in {app.container for app in world.plan.apps}]
        for world in hit:
            if world.request is not None:
                worlds.waiting.remove(world)
                self._service.forget(world)
                self.refuse(world.request, error)
        return bool(hit) and all(world.request is not None for world in hit)

    def answer_if_started(self, world: Namespace) -> None:
        """Tell who asked, once every rank is a process."""
        if world.request is not None and not world.answered and all(rank.pid for rank in world.ranks):
            world.answered = True
            self._report.detail(f"{world.request.parent.title} spawned {len(world.ranks)} processes")
            world.request.answer(world, "")
