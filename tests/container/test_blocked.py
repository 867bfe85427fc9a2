"""What the site does not allow: user namespaces, loop devices and FUSE, directories of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.container.test_bad_input import check

if TYPE_CHECKING:
    from tests.container.place import Place

HERE = Path(__file__).parent
# A limit of the caller's own user namespace, so that the machine's stays as it is; then without its capabilities.
NO_MORE = 'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --inh-caps=-all --ambient-caps=-all -- "$@"'
WAYS = {
    "limit": ("unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", NO_MORE, "sh"),
    "seccomp": ("/usr/bin/python3", HERE / "without_unshare.py"),
}


@pytest.mark.needs("user_namespaces")
@pytest.mark.parametrize(("way", "said"), [("limit", "max_user_namespaces is 0"), ("seccomp", "seccomp=unconfined")])
def test_user_namespaces_are_blocked(place: Place, way: str, said: str) -> None:
    done = place.run("-n", "2", place.image, "true", user=True, prefix=WAYS[way])
    check(place, done, 125, said)
    assert "LWKPM-E032" in done.stderr
    assert done.stderr.count("lwkpm: error:") == 1


@pytest.mark.needs("user_namespaces")
@pytest.mark.parametrize("way", sorted(WAYS))
def test_without_a_container_no_namespace_is_needed(place: Place, way: str) -> None:
    done = place.run("-n", "2", "host://", "echo", "there", user=True, prefix=WAYS[way])
    assert (done.returncode, done.stdout) == (0, "there\nthere\n"), done.stderr
