"""Writes .venv/bin/lwkpm and lwkpm-run for a checkout; run by the .venv's Python after ``pip install -e``.

pip's generated scripts import `re` (4 ms) and the `site` module reads every .pth file of the .venv (2 ms), which is as
much as all of lwkpm's own start. These scripts skip both: ``-I -S``, and the two directories that are needed. They
name the interpreter that the .venv was made from, since starting it through the .venv takes 0.6 ms more.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

SCRIPTS = {"lwkpm": "main", "lwkpm-run": "run"}
TEMPLATE = """\
#!{python} -IS
import sys
sys.path += [{source!r}, {packages!r}]
from lwkpm.entry import {function}
{function}()
"""


def main() -> int:
    """Replace pip's scripts by ours."""
    source = Path(__file__).resolve().parents[1] / "src"
    bin_dir = Path(sysconfig.get_path("scripts"))
    for name, function in SCRIPTS.items():
        script = bin_dir / name
        text = TEMPLATE.format(
            python=Path(sys.executable).resolve(),
            source=str(source),
            packages=sysconfig.get_path("platlib"),
            function=function,
        )
        script.write_text(text)
        script.chmod(0o755)
    return 0


if __name__ == "__main__":
    sys.exit(main())
