"""Plans of spawned worlds: what is asked for, what is inherited, what is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lwkpm.agent.namespace import Namespace, name_ranks
from lwkpm.agent.prepare import make_plans
from lwkpm.agent.spawn import MOST_SPAWNED, Command, SpawnRequest, find_programs, plan_spawn
from lwkpm.errors import LwkpmError, ProgramError, UsageError
from lwkpm.job.spec import AppContext, EnvRule, Job

if TYPE_CHECKING:
    from lwkpm.job.plan import Plan

ENVIRON = {"PATH": "/usr/bin:/bin", "HOME": "/root", "TERM": "x"}


def parent_world(**fields: object) -> Namespace:
    app = AppContext(
        image="host://", argv=("true",), np=2, env=(EnvRule(action="set", name="RULE", value="of parent"),)
    )
    job = Job(apps=(app,), **fields)  # type: ignore[arg-type]
    return Namespace(0, make_plans(job, ENVIRON, "/tmp")[0], 0)


def request(*commands: Command, world: Namespace | None = None) -> SpawnRequest:
    parent = (world or parent_world()).ranks[1]
    return SpawnRequest(parent=parent, commands=commands, answer=lambda _namespace, _trouble: None)


def command(processes: int = 1, program: str = "true", **info: str) -> Command:
    return Command(program=program, processes=processes, info=info)


def plan(*commands: Command, busy: tuple[int, ...] = (), world: Namespace | None = None) -> Plan:
    asked = request(*commands, world=world)
    return plan_spawn(asked, asked.parent.namespace.plan.containers, busy, ENVIRON)


def env_of(made: Plan, app: int = 0) -> dict[str, str]:
    return {name: value for name, _, value in (entry.partition("=") for entry in made.apps[app].env)}


def test_a_spawned_world_counts_from_zero_and_belongs_to_the_run() -> None:
    world = parent_world()
    made = plan(command(2), command(3, "false"), world=world)
    assert [(proc.rank, proc.app, proc.local_rank) for proc in made.procs] == [
        (0, 0, 0), (1, 0, 1), (2, 1, 2), (3, 1, 3), (4, 1, 4),
    ]  # fmt: skip
    assert (made.jobid, made.jobdir) == (world.plan.jobid, world.plan.jobdir)
    assert made.nspace != world.plan.nspace
    assert made.kvsname != world.plan.kvsname
    assert made.containers == world.plan.containers  # the parent's container, not a second one
    assert env_of(made)["PMI_SPAWNED"] == "1"
    assert env_of(made)["PMI_SIZE"] == "5"
    assert env_of(made)["LWKPM_JOB"] == world.plan.jobid


def test_what_is_not_said_is_as_with_the_parent() -> None:
    world = parent_world()
    made = plan(command(), world=world)
    assert made.apps[0].cwd == world.plan.apps[0].cwd
    assert env_of(made)["RULE"] == "of parent"


def test_info_keys() -> None:
    made = plan(command(wdir="/tmp", env="RULE=of child\nMORE=a=b"))
    assert made.apps[0].cwd == "/tmp"
    assert (env_of(made)["RULE"], env_of(made)["MORE"]) == ("of child", "a=b")


@pytest.mark.parametrize("info", [{"lwkpm_image": "@"}, {"env": "LWKPM_IMAGE=@"}])
def test_another_image_is_another_container(tmp_path_factory: pytest.TempPathFactory, info: dict[str, str]) -> None:
    tree = tmp_path_factory.mktemp("tree")
    for name in ("bin", "etc"):
        (tree / name).mkdir()
    world = parent_world()
    asked = {key: value.replace("@", str(tree)) for key, value in info.items()}
    made = plan(Command(program="true", processes=1, info=asked), world=world)
    assert len(made.containers) == len(world.plan.containers) + 1
    assert made.apps[0].container == 1
    assert made.containers[1].image == str(tree)
    assert "LWKPM_IMAGE" in env_of(made)


@pytest.mark.parametrize("variable", ["PMI_FD", "PMIX_RANK", "OMPI_COMM_WORLD_SIZE"])
def test_variables_of_the_wire_up_are_not_for_spawners(variable: str) -> None:
    with pytest.raises(UsageError, match=variable):
        plan(command(env=f"{variable}=7"))


@pytest.mark.parametrize("processes", [0, -1, MOST_SPAWNED + 1, 1 << 40])
def test_nonsense_numbers_are_refused(processes: int) -> None:
    with pytest.raises(UsageError, match="refused"):
        plan(command(processes))


def test_no_command_at_all_is_refused() -> None:
    with pytest.raises(UsageError):
        plan()


@pytest.mark.parametrize("host", ["elsewhere", "localhost,elsewhere"])
def test_other_hosts_are_refused(host: str) -> None:
    with pytest.raises(UsageError, match="elsewhere"):
        plan(command(host=host))


@pytest.mark.parametrize("host", ["localhost", os.uname().nodename, f"{os.uname().nodename}:4", ""])
def test_this_host_may_be_named(host: str) -> None:
    assert len(plan(command(host=host)).procs) == 1


def test_ranks_get_cpus_that_are_free() -> None:
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("needs two CPUs")
    world = parent_world(bind_to="hwthread")
    made = plan(command(1), busy=(cpus[0],), world=world)
    assert cpus[0] not in made.procs[0].cpus
    assert made.procs[0].cpus


def test_without_free_cpus_ranks_are_not_bound() -> None:
    made = plan(command(1), busy=tuple(os.sched_getaffinity(0)))
    assert made.procs[0].cpus == ()


def test_a_missing_image_is_an_error_of_the_spawn() -> None:
    with pytest.raises(LwkpmError, match="/no/such"):
        plan(command(lwkpm_image="/no/such"))


def test_programs_are_looked_for_before_anything_starts() -> None:
    asked = request(command(program="nosuch"))
    made = plan_spawn(asked, asked.parent.namespace.plan.containers, (), ENVIRON)
    with pytest.raises(ProgramError, match="nosuch"):
        find_programs(made, ["/"], asked.commands)


def test_path_is_looked_into_first() -> None:
    asked = request(command(program="true", path="/nowhere:/bin"))
    made = plan_spawn(asked, asked.parent.namespace.plan.containers, (), ENVIRON)
    assert find_programs(made, ["/"], asked.commands).apps[0].argv[0] == "/bin/true"


def test_a_missing_directory_is_found_too() -> None:
    asked = request(command(wdir="/no/such/directory"))
    made = plan_spawn(asked, asked.parent.namespace.plan.containers, (), ENVIRON)
    with pytest.raises(ProgramError, match="working directory"):
        find_programs(made, ["/"], asked.commands)


def test_ranks_are_named_with_their_world() -> None:
    first = parent_world()
    asked = request(command(2), world=first)
    made = plan_spawn(asked, first.plan.containers, (), ENVIRON)
    second = Namespace(1, made, 2, asked)
    third = Namespace(2, made, 4)
    assert second.ranks[1].title == "rank 1 of spawned job 1"
    assert third.ranks[0].title == "rank 0 of world 2"
    assert [rank.id for rank in second.ranks] == [2, 3]
    assert (first.ranks[1].label, second.ranks[1].label) == ("1", "1.1")
    assert name_ranks([*first.ranks, second.ranks[0]]) == "rank 0-1; rank 0 of spawned job 1"
    assert name_ranks([]) == "rank none"
