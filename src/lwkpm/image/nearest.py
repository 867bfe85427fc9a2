"""Help for names that do not exist: what is there, and what was probably meant. Used on error paths only."""

from __future__ import annotations

import os

#: Names looked at per directory: enough for any directory of images or programs, bounded for the others.
MAX_NAMES = 20_000


def list_names(directory: str) -> list[str]:
    """At most MAX_NAMES entries of `directory`; none when it cannot be read."""
    names: list[str] = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) >= MAX_NAMES:
                    break
    except OSError:
        return []
    return names


def nearest_name(name: str, candidates: list[str]) -> str:
    """The candidate most like `name`, or ''."""
    from difflib import get_close_matches

    lower = {one.lower(): one for one in candidates}
    found = get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    # a forgotten or wrong suffix leaves short names too far apart for the ratio above
    stem = name.lower().partition(".")[0]
    found = found or [one for one in lower if stem and one.partition(".")[0] == stem][:1]
    return lower[found[0]] if found else ""


def first_missing(path: str) -> str:
    """The topmost part of the absolute `path` that is not there."""
    known = path
    while known != "/":
        parent = os.path.dirname(known)
        if os.path.lexists(parent):
            break
        known = parent
    return known


def first_closed(path: str) -> str:
    """Which part of `path` denies access, with its mode and owner: '/x is mode 0700 of uid 0'."""
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        part = "/".join(parts[:depth]) or "/"
        last = depth == len(parts)
        if not os.access(part, os.R_OK if last else os.X_OK):
            break
    try:
        status = os.stat(part)
    except OSError as error:
        return f"{part}: {error.strerror}"
    return f"{part} is mode {status.st_mode & 0o7777:04o} of uid {status.st_uid}"


def explain_missing(path: str) -> tuple[str, str]:
    """(why, fix) for an absolute path that does not exist."""
    missing = first_missing(path)
    if os.path.islink(missing):
        return (
            f"{missing} is a link to {os.readlink(missing)}, which does not exist",
            "mend the link or name its target",
        )
    parent, name = os.path.split(missing)
    if not os.path.isdir(parent):
        return f"{parent} is not a directory", f"name an image; {parent} itself is a file"
    near = nearest_name(name, list_names(parent))
    why = f"there is no {name} in {parent}"
    return why, f"did you mean {os.path.join(parent, near)}?" if near else "check the path, or build the image there"
