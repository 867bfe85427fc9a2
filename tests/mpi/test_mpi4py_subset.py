"""A few modules of mpi4py's own tests under lwkpm-run; ``make test-mpi4py`` runs all of them on both sides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.capabilities import missing
from tests.conftest import load_image
from tools.mpi4py_suite.collect import collect
from tools.mpi4py_suite.launch import Order, Target

MODULES = ("test_comm", "test_dynproc", "test_group", "test_info", "test_op", "test_status")
IDLE_S = 60.0


@pytest.mark.parametrize("name", ["mpich-5.0.2", "openmpi-5.0.11"])
def test_modules_of_mpi4py_pass_under_lwkpm_run(name: str) -> None:
    why = missing("root") and missing("user_namespaces")
    if why:
        pytest.skip(why)
    root = Path(load_image("mpi4py").rootfs)
    facts = json.loads((root.parent / "image.json").read_text())
    entry = next(each for each in facts["mpis"] if each["name"] == name)
    target = Target(name, entry["family"], entry["dir"], entry["env"], str(root), enter=())
    found = collect("lwkpm", target, 2, Order(MODULES), IDLE_S)
    assert found.bad() == {}
    assert found.counts()["ok"] > 100
    assert found.library.startswith({"mpich": "MPICH", "openmpi": "Open MPI"}[entry["family"]])
