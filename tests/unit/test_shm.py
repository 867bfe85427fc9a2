from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lwkpm.agent import shm
from lwkpm.agent.prepare import kvsname_of, make_names

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_names_that_libraries_were_seen_to_use() -> None:
    # Open MPI 5.0.11 without a server, as pids 31694 and 31695 of the host vm
    prefixes = shm.singleton_prefixes([31694, 31695], "vm", 0)
    assert prefixes == ("sm_segment.vm.0.d28c0000.", "sm_segment.vm.0.fc550000.")


def test_host_names_with_dots_are_cut_in_the_namespace() -> None:
    cut = {name.split(".")[-2] for name in shm.singleton_prefixes([31694], "vm.example.org", 0)}
    assert cut == {"d28c0000"}
    assert len(shm.singleton_prefixes([31694], "vm.example.org", 0)) == 2


def test_kvs_name_follows_from_the_job_id() -> None:
    jobid, kvsname = make_names()
    assert kvsname_of(jobid) == kvsname
    assert not set(" ;=") & set(kvsname)


def test_only_the_jobs_own_files_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shm, "SHM", str(tmp_path))
    uid = os.geteuid()
    own = shm.singleton_prefixes([77], "vm", uid)[0] + "0"
    mine = [*(f"{prefix}0" for prefix in shm.segment_prefixes("kvs", "job", "vm", uid)), own]
    others = [*(f"{prefix}0" for prefix in shm.segment_prefixes("kvs2", "job2", "vm", uid)), own.replace("vm", "wm")]
    others += [f"{prefix}0" for prefix in shm.singleton_prefixes([78], "vm", uid)]
    for name in (*mine, *others):
        (tmp_path / name).touch()
    assert sorted(shm.remove_segments("kvs", "job", "vm", [77])) == sorted(mine)
    assert sorted(os.listdir(tmp_path)) == sorted(others)
