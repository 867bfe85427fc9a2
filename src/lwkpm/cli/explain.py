"""``lwkpm explain [CODE]``: the catalogue of errors."""

from __future__ import annotations

from lwkpm.cli.catalogue import CATALOGUE
from lwkpm.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def explain(words: Sequence[str]) -> str:
    """The text for a code (``LWKPM-E021``, ``E021`` or ``21``), or the list of all codes."""
    if not words:
        return "".join(f"{code}  {title}\n" for code, (title, _) in CATALOGUE.items())
    code = full_code(words[0])
    if code not in CATALOGUE:
        raise UsageError(
            "LWKPM-E015",
            f"there is no error code {words[0]!r}",
            "codes look like LWKPM-E021",
            "lwkpm explain (without a code) lists all of them",
        )
    title, text = CATALOGUE[code]
    return f"{code}: {title}\n\n{text}\n"


def full_code(word: str) -> str:
    """``e21``, ``E021``, ``lwkpm-e021`` -> ``LWKPM-E021``."""
    digits = word.upper().replace("LWKPM-", "").lstrip("E")
    return f"LWKPM-E{digits.zfill(3)}"
