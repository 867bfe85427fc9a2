"""One exception family; every message has three parts: what happened, why (the evidence), what to do.

Codes are stable, `lwkpm explain CODE` and the documentation use them. Ranges: 00x usage, 02x image, 03x container,
04x program, 05x PMI, 06x ranks, 07x resources.
"""

from __future__ import annotations

EXIT_LAUNCHER = 125
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127
EXIT_TIMEOUT = 124


class LwkpmError(Exception):
    """An error for the user: `code` such as ``LWKPM-E021``, `what`, `why`, `fix`, and the exit status it means."""

    def __init__(self, code: str, what: str, why: str, fix: str, exit_status: int = EXIT_LAUNCHER) -> None:
        super().__init__(code, what, why, fix, exit_status)
        self.code = code
        self.what = what
        self.why = why
        self.fix = fix
        self.exit_status = exit_status

    def __str__(self) -> str:
        return f"{self.what}\n  why: {self.why}\n  do:  {self.fix}\n  [{self.code}]"


class UsageError(LwkpmError):
    """The command line asks for something that is not possible (exit 125)."""


class ImageError(LwkpmError):
    """The image is missing, damaged or of an unknown kind (125, or 127 when it does not exist)."""


class ContainerError(LwkpmError):
    """The kernel or the site does not let the container start (exit 125)."""


class ProgramError(LwkpmError):
    """The program cannot be run in the image (126 not executable, 127 not found)."""


class PmiError(LwkpmError):
    """A PMI server cannot be offered, or ranks did not reach it (exit 125)."""


class ResourceError(LwkpmError):
    """Not enough of something: descriptors, space, processes (exit 125)."""
