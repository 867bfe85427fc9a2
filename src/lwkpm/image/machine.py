"""Machine names: which a kernel runs, and the names used in SIF headers. Names are those of ``uname -m``."""

from __future__ import annotations

import os

#: What else a kernel of this machine executes beside its own programs (32-bit compatibility).
ALSO_RUNS = {"x86_64": ("i386",), "aarch64": ("arm",), "ppc64": ("ppc",), "s390x": ("s390",), "mips64": ("mips",)}

#: Other spellings of ``uname -m`` for the same instruction set.
SAME = {"i486": "i386", "i586": "i386", "i686": "i386", "armv6l": "arm", "armv7l": "arm", "armv8l": "arm"}

#: SIF architecture codes (two digits); "00" is "unknown".
#: https://github.com/apptainer/sif/blob/main/pkg/sif/arch.go
SIF_ARCH = {
    "01": "i386",
    "02": "x86_64",
    "03": "arm",
    "04": "aarch64",
    "05": "ppc64",
    "06": "ppc64le",
    "07": "mips",
    "08": "mipsle",
    "09": "mips64",
    "10": "mips64le",
    "11": "s390x",
    "12": "riscv64",
}


def host_machine() -> str:
    """The machine name of this node."""
    name = os.uname().machine
    return SAME.get(name, name)


def runs_here(machine: str) -> bool:
    """Whether this node's kernel executes programs for `machine` without an emulator."""
    host = host_machine()
    return machine == host or machine in ALSO_RUNS.get(host, ())
