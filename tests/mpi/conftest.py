"""Fixtures of the PMIx tests: which libpmix is the server's, which Open MPI the client's."""

from __future__ import annotations

import pytest

from tests.mpi.pmix_cases import DEBIAN_LIBRARY, OPENMPI, openmpi


@pytest.fixture(params=["4.2", "5.0"], ids=["libpmix-4.2", "libpmix-5.0"])
def library(request: pytest.FixtureRequest) -> str:
    """Path of a server library: Debian's 4.2 and the wheel's 5.0."""
    if request.param == "5.0":
        return str(openmpi("5.0.11") / "lib" / "openmpi" / "libpmix.so.2")
    if not DEBIAN_LIBRARY.exists():
        pytest.skip("Debian's libpmix2 is missing")
    return str(DEBIAN_LIBRARY)


@pytest.fixture(params=sorted(OPENMPI), ids=[f"openmpi-{version}" for version in sorted(OPENMPI)])
def version(request: pytest.FixtureRequest) -> str:
    """An Open MPI version."""
    return str(request.param)


@pytest.fixture(params=["4.2", "5.0"], ids=["client-4.2", "client-5.0"])
def client(request: pytest.FixtureRequest) -> dict[str, str]:
    """Environment of C clients: which libpmix they run with, whatever they were compiled with."""
    folder = openmpi("5.0.11") / "lib" / "openmpi" if request.param == "5.0" else DEBIAN_LIBRARY.parent
    return {"LD_LIBRARY_PATH": str(folder)}
