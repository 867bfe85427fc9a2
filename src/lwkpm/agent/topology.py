"""Reads the CPUs this process may use and their topology from the kernel."""

from __future__ import annotations

import os

from lwkpm.job.topology import Topology, make_topology, parse_cpulist

_CPUS = "/sys/devices/system/cpu"
_NODES = "/sys/devices/system/node"


def allowed_cpus() -> tuple[int, ...]:
    """The CPUs of the affinity mask, which a batch system or cgroup may have narrowed."""
    return tuple(sorted(os.sched_getaffinity(0)))


def read_topology() -> Topology:
    """The topology of the allowed CPUs. Cores are read once, not once per hardware thread (2 files per core)."""
    allowed = allowed_cpus()
    core_lists: dict[int, str] = {}
    packages: dict[int, str] = {}
    for cpu in allowed:
        if cpu in core_lists:
            continue
        core = _read(f"{_CPUS}/cpu{cpu}/topology/thread_siblings_list")
        package = _read(f"{_CPUS}/cpu{cpu}/topology/physical_package_id")
        for sibling in parse_cpulist(core) if core else ():
            core_lists[sibling] = core
        for sibling in (cpu, *(parse_cpulist(core) if core else ())):
            packages[sibling] = package if package.isdigit() else "0"  # -1 where the firmware does not say
    return make_topology(allowed, core_lists, packages, _node_lists())


def _node_lists() -> dict[int, str]:
    try:
        names = [name for name in os.listdir(_NODES) if name.startswith("node") and name[4:].isdigit()]
    except OSError:
        return {}
    return {int(name[4:]): _read(f"{_NODES}/{name}/cpulist") for name in names}


def _read(path: str) -> str:
    """A sysfs file, '' if there is none (plain descriptors: `open` costs three times as much)."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, 65536).decode().strip()
    except OSError:
        return ""
    finally:
        os.close(fd)
