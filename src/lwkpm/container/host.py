"""What the host lets this caller do, and who the caller is: the facts that `native` plans from."""

from __future__ import annotations

import os
import stat

from lwkpm.container.native import Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from lwkpm.errors import LwkpmError
    from lwkpm.image.detect import Image

    Mounts = tuple[tuple[str, str], ...]

CAP_SYS_ADMIN = 21

#: Where a PMI library lies that an MPI library, not the program itself, was linked with.
LIBRARY_DIRECTORIES = (
    "/usr/lib64",
    f"/usr/lib/{os.uname().machine}-linux-gnu",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/lib64/slurmpmi",
)
PMI_LIBRARIES = ("libpmi.so.0", "libpmi2.so.0")
#: Bytes at a program's two ends: link editors put the names of libraries before the code, patchelf at the end.
HEAD, TAIL = 512 << 10, 128 << 10


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
        nofile_soft=os.sysconf("SC_OPEN_MAX"),  # the soft limit, -1: none; `resource` costs 0.15 ms of import
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


def may_call_pmi(root: str, mounts: Mounts, argv0: str, cwd: str, env: Mapping[str, str]) -> bool:
    """Whether it is worth to look closer (`image.shim`) at a program in trees as told by `native.visible_trees`.

    It is when the program names libpmi, or when its image has such a library; looking costs 0.1 ms and no import.
    """
    if "I_MPI_PMI_LIBRARY" in env:
        return True
    directories = [*env.get("LD_LIBRARY_PATH", "").split(":"), *LIBRARY_DIRECTORIES]
    libraries = (f"{one}/{name}" for one in directories if one for name in PMI_LIBRARIES)
    if "/" in argv0:
        programs = [os.path.join(cwd, argv0)]
    else:
        programs = [f"{one}/{argv0}" for one in env.get("PATH", "").split(":")]
    seen = (_on_host(root, mounts, path) for path in programs)
    return any(path and os.path.lexists(path) for path in (_on_host(root, mounts, one) for one in libraries)) or (
        _names_pmi(next((path for path in seen if path and os.path.exists(path)), ""))
    )


def _on_host(root: str, mounts: Mounts, path: str) -> str:
    """Where `path` of a container most likely is on the host (links out of the image are followed to the host)."""
    for source, target in reversed(mounts):
        if path.startswith(target) and path[len(target) : len(target) + 1] in ("", "/"):
            return source + path[len(target) :]
    return f"{root.rstrip('/')}{path}" if root else ""


def _names_pmi(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return False
        return b"libpmi" in os.pread(fd, HEAD, 0) or (
            status.st_size > HEAD and b"libpmi" in os.pread(fd, TAIL, max(HEAD, status.st_size - TAIL))
        )
    finally:
        os.close(fd)
