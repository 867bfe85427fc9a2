"""What the host lets this caller do, and who the caller is: the facts that `native` plans from."""

from __future__ import annotations

import os
import resource

from lwkpm.container.native import Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from lwkpm.errors import LwkpmError
    from lwkpm.image.detect import Image

CAP_SYS_ADMIN = 21


def _has_sys_admin() -> bool:
    try:
        with open("/proc/self/status", "rb") as file:
            status = file.read()
        return bool(int(status.split(b"CapEff:")[1].split(None, 1)[0], 16) >> CAP_SYS_ADMIN & 1)
    except (OSError, IndexError, ValueError):
        return False


def _find_program(name: str, environ: Mapping[str, str]) -> str:
    for directory in environ.get("PATH", "/usr/bin:/bin").split(":"):
        path = os.path.join(directory, name)
        if directory and os.access(path, os.X_OK):
            return path
    return ""


def find_squashfuse(environ: Mapping[str, str]) -> str:
    """squashfuse's path if this caller can use it: the program, and /dev/fuse readable and writable."""
    program = _find_program("squashfuse", environ)
    return program if program and os.access("/dev/fuse", os.R_OK | os.W_OK) else ""


def _names(uid: int, gid: int, environ: Mapping[str, str]) -> tuple[str, str, str]:
    """(user, group, home). A number without a name is common where accounts come from elsewhere."""
    import grp
    import pwd

    try:
        entry = pwd.getpwuid(uid)
        user, home = entry.pw_name, entry.pw_dir
    except KeyError:
        user, home = environ.get("USER") or f"u{uid}", "/"
    try:
        group = grp.getgrgid(gid).gr_name
    except KeyError:
        group = f"g{gid}"
    return user, group, environ.get("HOME") or home


def read_host(jobdir: str, cwd: str, environ: Mapping[str, str]) -> Host:
    """The facts, for the effective user."""
    uid, gid = os.geteuid(), os.getegid()
    user, group, home = _names(uid, gid, environ)
    return Host(
        uid=uid,
        gid=gid,
        user=user,
        group=group,
        home=home,
        cwd=cwd,
        jobdir=jobdir,
        nofile_soft=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        root_mounts=uid == 0 and _has_sys_admin(),
    )


def complete_for(host: Host, image: Image, environ: Mapping[str, str], *, may_unpack: bool) -> Host:
    """`host` with the way by which this caller gets at a file image: loop device, FUSE, or an unpacked copy."""
    if image.kind not in ("squashfs", "sif") or host.root_mounts:
        return host
    squashfuse = find_squashfuse(environ)
    if squashfuse and image.fstype == "squashfs":
        return host.replace(squashfuse=squashfuse)
    if image.fstype != "squashfs":
        raise _root_only(image)
    from lwkpm.container.unpack import cache_path, unpack

    return host.replace(unpacked=unpack(image, environ) if may_unpack else cache_path(image, environ))


def _root_only(image: Image) -> LwkpmError:
    from lwkpm.errors import ImageError

    return ImageError(
        "LWKPM-E026",
        f"only root can mount {image.uri}",
        f"its root file system is {image.fstype}; ordinary users mount or unpack squashfs only",
        "build it again with a squashfs root (apptainer build NEW.sif OLD.sif), or use it as a directory",
    )
