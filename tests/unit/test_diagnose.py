"""Why a container could not be made, from conenter's step, object and errno."""

from __future__ import annotations

import errno

import pytest

from lwkpm.agent.diagnose import setup_error
from lwkpm.job.plan import ContainerPlan

CONTAINER = ContainerPlan(image="app.sqfs", kind="squashfs", ops=())


@pytest.mark.parametrize(
    ("step", "target", "error", "code", "said"),
    [
        ("unshare", "mnt", errno.EINVAL, "LWKPM-E036", "plain chroot"),
        ("unshare", "user,mnt", errno.EINVAL, "LWKPM-E032", "user namespaces"),
        ("unshare", "user,mnt", errno.ENOSPC, "LWKPM-E032", "limit"),
        ("loop", "app.sqfs", errno.EINVAL, "LWKPM-E033", "damaged"),
        ("loop", "app.sqfs", errno.ENXIO, "LWKPM-E033", "loop devices"),
        ("bind", "/no/such", errno.ENOENT, "LWKPM-E034", "/no/such"),
        ("overlay", "/x", errno.ENODEV, "LWKPM-E035", "overlay"),
        ("pivot", "", errno.EBUSY, "LWKPM-E036", "pivot"),
    ],
)
def test_every_step_has_its_error(step: str, target: str, error: int, code: str, said: str) -> None:
    found = setup_error(CONTAINER, error, step, target)
    assert found.code == code
    assert said in f"{found.what} {found.why} {found.fix}"
    assert "app.sqfs" in found.what
