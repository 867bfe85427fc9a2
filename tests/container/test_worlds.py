"""Several worlds in one command: numbers, names, labels and statuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.container.place import Place

TELL = ("sh", "-c", "echo $LWKPM_RANK of $LWKPM_SIZE, $MPI_LOCALRANKID of $MPI_LOCALNRANKS, $PMIX_NAMESPACE $PMI_SIZE")


def test_each_part_counts_for_itself(place: Place) -> None:
    done = place.run("-l", "--separate-worlds", "-n", "1", place.image, *TELL, ":", "-n", "2", place.image, *TELL)
    assert done.returncode == 0, done.stderr
    lines = sorted(done.stdout.splitlines())
    names = [line.split()[-2] for line in lines]
    assert [line.replace(f" {name}", "") for line, name in zip(lines, names)] == [
        "[0] 0 of 1, 0 of 1, 1",
        "[1.0] 0 of 2, 0 of 2, 2",
        "[1.1] 1 of 2, 1 of 2, 2",
    ]
    assert names[0] != names[1] == names[2]
    place.assert_clean()


def test_without_the_option_parts_are_one_world(place: Place) -> None:
    done = place.run("-l", "-n", "1", place.image, *TELL, ":", "-n", "2", place.image, *TELL)
    names = {line.split()[-2] for line in done.stdout.splitlines()}
    assert len(names) == 1
    assert "[2] 2 of 3, 2 of 3," in done.stdout


def test_a_failure_names_its_world(place: Place) -> None:
    command = ("-n", "2", place.image, "sleep", "30", ":", "-n", "2", place.image, "sh", "-c", "exit $LWKPM_RANK")
    done = place.run("--json=-", "--separate-worlds", *command)
    assert done.returncode == 1
    assert "rank 1 of world 1 (pid " in done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert events[-1]["failed"] == ["1.1"]
    assert {event.get("world", 0) for event in events if event["event"] == "proc_start"} == {0, 1}
    place.assert_clean()


def test_the_plan_shows_every_world(place: Place) -> None:
    parts = ("-n", "1", place.image, "true", ":", "-n", "2", place.image, "false")
    done = place.run("--dry-run", "--separate-worlds", *parts)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("container 0:") == 2
    assert "app 0: ranks 0-0" in done.stdout
    assert "app 1: ranks 0-1" in done.stdout
    plans = json.loads(place.run("--dry-run", "--json", "--separate-worlds", *parts).stdout)
    assert [len(plan["procs"]) for plan in plans] == [1, 2]


def test_stop_in_init_needs_a_socket_of_the_rank(place: Place) -> None:
    done = place.run("--stop-in-init", "--pmi", "port", "-n", "1", place.image, "true")
    assert done.returncode == 125
    assert "LWKPM-E003" in done.stderr
