"""Every verb of PMI-2, from a client nobody's library is behind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import LwkpmRun

CLIENT = Path(__file__).with_name("pmi2_client.py")
VERBS = 24


@pytest.mark.parametrize("ranks", [1, 3])
def test_every_verb(lwkpm_run: LwkpmRun, ranks: int) -> None:
    done = lwkpm_run("-n", str(ranks), "-t", "50", "--pmi", "pmi2", "host://", "/usr/bin/python3", str(CLIENT))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    told = [line for line in lines if not line.startswith("child")]
    assert all(line.endswith(": OK") for line in told), done.stdout
    assert [line for line in lines if line.startswith("child")] == ["child of True, port tag#0"]
    assert len(told) == VERBS
    assert "could not spawn: no program '/no/such'" in done.stderr
