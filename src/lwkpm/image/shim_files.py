"""Where our PMI libraries are, on the host and inside; apart from `image.shim`, which is imported for few programs."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where the libraries are inside a container.
INSIDE = "/run/lwkpm/lib"
SONAMES = ("libpmi.so.0", "libpmi2.so.0")
ALWAYS, NEVER = "always", "never"


def find_shims(environ: Mapping[str, str]) -> str:
    """The host directory that holds both libraries: $LWKPM_PMI_LIB, the source tree's, the wheel's; '' without any."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    places = (
        environ.get("LWKPM_PMI_LIB", ""),
        os.path.join(package, "..", "..", "pmix_shim", "lib"),
        os.path.join(package, "lib"),
    )
    for place in places:
        if place and all(os.path.isfile(os.path.join(place, soname)) for soname in SONAMES):
            return os.path.abspath(place)
    return ""
