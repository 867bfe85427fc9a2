"""The commands as processes: what the installed scripts call."""

from __future__ import annotations

import gc
import os
import sys

from lwkpm import modules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# A run makes some hundred objects for each rank, and thousands by importing, none of them garbage: by default that
# starts a collection every few ranks.
gc.set_threshold(50_000)
modules.install()


def main() -> NoReturn:
    """``lwkpm``."""
    from lwkpm.cli.main import main

    _leave(main())


def run() -> NoReturn:
    """``lwkpm-run``."""
    from lwkpm.cli.main import run_main

    _leave(run_main())


def _leave(status: int) -> NoReturn:
    """End without the interpreter's tear-down: it takes 3 ms, all that was held is released, and a thread of a libpmix
    that could not be finalized would call into what is being torn down.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            pass  # nobody reads on
    modules.refresh()
    os._exit(status)
