"""``python -m tools.images NAME...``: build images (demo, or test images; ``tests`` is all of those), print paths."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tools.images.build import build_demo, build_test_image
from tools.images.recipes import TEST_RECIPES

if TYPE_CHECKING:
    from pathlib import Path

PARALLEL = 2  # an image is network and disk by turns; more than two only queue on a small machine


def build(name: str) -> Path:
    """One image by name."""
    return build_demo() if name == "demo" else build_test_image(name)


def main(names: list[str]) -> int:
    """Build all, two at a time, and print a path per line in the order asked."""
    wanted = [name for given in names for name in (TEST_RECIPES if given == "tests" else [given])]
    unknown = [name for name in wanted if name != "demo" and name not in TEST_RECIPES]
    if unknown or not wanted:
        print(f"usage: python -m tools.images demo|tests|{'|'.join(TEST_RECIPES)} ...", file=sys.stderr)
        return 2
    with ThreadPoolExecutor(PARALLEL) as pool:
        for path in pool.map(build, wanted):
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
