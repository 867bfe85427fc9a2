"""The CPUs a job may use and how they lie in cores, packages and NUMA domains; read from texts given by the caller."""

from __future__ import annotations

from lwkpm.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Topology(Value):
    """Logical CPUs (`cpus`, ascending) and what each belongs to. A core is named by its lowest CPU, allowed or not."""

    cpus: tuple[int, ...]
    core_of_cpu: Mapping[int, int]
    package_of_cpu: Mapping[int, int]
    numa_of_cpu: Mapping[int, int]

    def cores(self) -> tuple[tuple[int, ...], ...]:
        """The allowed CPUs of each core, cores ordered by package, NUMA domain and number."""
        groups: dict[tuple[int, int, int], list[int]] = {}
        for cpu in self.cpus:
            key = (self.package_of_cpu[cpu], self.numa_of_cpu[cpu], self.core_of_cpu[cpu])
            groups.setdefault(key, []).append(cpu)
        return tuple(tuple(groups[key]) for key in sorted(groups))


def parse_cpulist(text: str) -> tuple[int, ...]:
    """The kernel's and the user's list form: ``0,2-4`` -> 0, 2, 3, 4. ValueError if it is not one."""
    cpus: list[int] = []
    for piece in text.strip().split(","):
        first, dash, last = piece.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ValueError(f"{piece!r} is neither a CPU number nor a range")
        low, high = int(first), int(last or first)
        if high < low or high > 1 << 16:
            raise ValueError(f"{piece!r} is not a range of CPUs")
        cpus.extend(range(low, high + 1))
    return tuple(cpus)


def make_topology(
    allowed: tuple[int, ...],
    core_lists: Mapping[int, str],
    packages: Mapping[int, str],
    node_lists: Mapping[int, str],
) -> Topology:
    """From sysfs texts: per CPU the list of its core's CPUs and its package id, per NUMA node the list of its CPUs.

    What is missing (a container without /sys) falls back to one core per CPU, one package and one NUMA domain.
    """
    numa = {cpu: node for node, text in node_lists.items() if text.strip() for cpu in parse_cpulist(text)}
    return Topology(
        cpus=tuple(sorted(allowed)),
        core_of_cpu={cpu: min(parse_cpulist(core_lists[cpu])) if cpu in core_lists else cpu for cpu in allowed},
        package_of_cpu={cpu: int(packages.get(cpu, "0")) for cpu in allowed},
        numa_of_cpu={cpu: numa.get(cpu, 0) for cpu in allowed},
    )
