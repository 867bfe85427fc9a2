"""A PMIx client that is nobody's MPI, Debian's python3-pmix, as the rank program inside an image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import subprocess

    from tests.conftest import Image, LwkpmRun

CLIENT = Path(__file__).with_name("pmix_client.py")
NOT_FOUND, DUPLICATE_KEY = -46, -53


def run_clients(
    lwkpm_run: LwkpmRun, image: Image, ranks: int, what: str, *, user: bool
) -> subprocess.CompletedProcess[str]:
    """One job of `ranks` clients in the squashfs image."""
    bind = f"{CLIENT}:/mnt/client.py:ro"
    return lwkpm_run("-n", str(ranks), "-B", bind, image.sqfs, "python3", "/mnt/client.py", what, user=user)


def reports(done: subprocess.CompletedProcess[str], ranks: int) -> list[dict[str, Any]]:
    """What each client found; every one of them got from init to finalize."""
    assert done.returncode == 0, done.stderr
    found = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("REPORT ")]
    assert [(each["init"], each["finalize"]) for each in found] == [(0, 0)] * ranks
    return found


@pytest.mark.parametrize("ranks", [1, 4, 9])
def test_binary_values_of_other_ranks(
    lwkpm_run: LwkpmRun, images: dict[str, Image], ranks: int, *, as_ordinary_user: bool
) -> None:
    done = run_clients(lwkpm_run, images["bookworm"], ranks, "exchange", user=as_ordinary_user)
    found = sorted(reports(done, ranks), key=lambda each: int(each["pmix.lrank"]))
    assert [each["pmix.lrank"] for each in found] == list(range(ranks))
    assert [each["statuses"] for each in found] == [[0, 0, 0]] * ranks  # put, commit, fence
    assert [each["size"] for each in found] == [ranks] * ranks
    expected = [b"\0rank %d\0\0\xff\0" % ((rank + 1) % ranks) for rank in range(ranks)]
    assert [each["got"] for each in found] == [repr(blob) for blob in expected]


@pytest.mark.parametrize("ranks", [1, 4])
def test_publish_and_lookup(
    lwkpm_run: LwkpmRun, images: dict[str, Image], ranks: int, *, as_ordinary_user: bool
) -> None:
    done = run_clients(lwkpm_run, images["bookworm"], ranks, "lookup", user=as_ordinary_user)
    for each in reports(done, ranks):
        assert each["found"] == "port of 0; a=b"
        assert each["published"] == each["unpublished"] == each["fence"] == 0
        assert (each["absent"], each["again"], each["gone"]) == (NOT_FOUND, DUPLICATE_KEY, NOT_FOUND)


def test_abort_code_is_the_exit_status(lwkpm_run: LwkpmRun, images: dict[str, Image], as_ordinary_user: bool) -> None:
    done = run_clients(lwkpm_run, images["bookworm"], 2, "abort", user=as_ordinary_user)
    assert done.returncode == 42, done.stderr
    assert "rank 1" in done.stderr
