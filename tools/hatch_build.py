"""Builds conenter and the PMI libraries into the wheel; the tag says Linux and machine, never a Python version."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConenterHook(BuildHookInterface):  # type: ignore[type-arg,unused-ignore,misc]
    """Runs the C parts' Makefiles for a wheel; an editable install uses the source tree's own build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add lwkpm/bin/conenter, lwkpm/lib/libpmi*.so.0 and the platform tag."""
        if version == "editable":
            return
        launcher, shim = Path(self.root) / "launcher", Path(self.root) / "pmix_shim"
        subprocess.run(["make", "-C", str(launcher)], check=True)
        subprocess.run(["make", "-C", str(shim)], check=True)
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["force_include"][str(launcher / "conenter")] = "lwkpm/bin/conenter"
        build_data["force_include"][str(launcher / "mpir" / "libmpir.so")] = "lwkpm/lib/liblwkpm-mpir.so"
        for library in ("libpmi.so.0", "libpmi2.so.0"):
            build_data["force_include"][str(shim / "lib" / library)] = f"lwkpm/lib/{library}"
