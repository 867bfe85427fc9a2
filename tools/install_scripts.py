"""Writes .venv/bin/lwkpm and lwkpm-run for a checkout; run by the .venv's Python after ``pip install -e``.

pip's generated scripts import `re` (4 ms) and the `site` module reads every .pth file of the .venv (2 ms), which is as
much as all of lwkpm's own start. These scripts skip both: ``-I -S``, and the two directories that are needed.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

SCRIPTS = {"lwkpm": "main_entry", "lwkpm-run": "run_entry"}
TEMPLATE = """\
#!{python} -IS
import sys
sys.path += [{source!r}, {packages!r}]
from lwkpm.cli.main import {function}
sys.exit({function}())
"""


def main() -> int:
    """Replace pip's scripts by ours."""
    source = Path(__file__).resolve().parents[1] / "src"
    bin_dir = Path(sysconfig.get_path("scripts"))
    for name, function in SCRIPTS.items():
        script = bin_dir / name
        text = TEMPLATE.format(
            python=sys.executable, source=str(source), packages=sysconfig.get_path("platlib"), function=function
        )
        script.write_text(text)
        script.chmod(0o755)
    return 0


if __name__ == "__main__":
    sys.exit(main())
