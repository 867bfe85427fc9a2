"""The native container: which operations conenter carries out for an image. Pure: everything it needs is given.

Layout while it is made: a tmpfs over ``JOBDIR/.c`` holds ``lower`` (the image), ``upper`` and ``work`` (what the
program writes) and ``root`` (their overlay), which becomes ``/``. The mounts exist in the job's mount namespace only.
"""

from __future__ import annotations

from lwkpm.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lwkpm.image.detect import Image
    from lwkpm.job.spec import Bind

    Operations = tuple[tuple[str, ...], ...]

SCRATCH = ".c"

#: Host trees that every container sees (containers.md 7). /dev brings /dev/shm: ranks and the MPI's shared memory
#: need the host's. Recursive, because a user namespace may not separate a mount from what is mounted below it.
HOST_TREES = ("/dev", "/sys", "/tmp", "/var/tmp")
#: Files of the host that make names resolve inside as outside.
HOST_FILES = ("/etc/hosts", "/etc/resolv.conf", "/etc/localtime")
#: Below these a working directory of the host is not bound: it would hide the image's own files.
IMAGE_TREES = ("/bin", "/etc", "/lib", "/lib64", "/opt", "/sbin", "/usr", "/var")


class Host(Value):
    """What the plan needs to know of the host and the caller."""

    uid: int
    gid: int
    user: str
    group: str
    home: str
    shell: str = "/bin/sh"
    cwd: str
    jobdir: str
    nofile_soft: int
    root_mounts: bool  # may use loop devices and mount without a user namespace
    squashfuse: str = ""  # path of the program when it and /dev/fuse can be used
    unpacked: str = ""  # a directory with the image's content, where neither of the two is possible


def namespaces(host: Host, pid_namespace: bool) -> str:
    """The namespaces to make, as conenter's ``unshare`` takes them."""
    kinds = ["mnt"] if host.root_mounts else ["user", "mnt"]
    return ",".join([*kinds, "pid"] if pid_namespace else kinds)


def mount_image(image: Image, host: Host, lower: str) -> list[tuple[str, ...]]:
    """How the image's tree gets to `lower`."""
    if image.kind == "rootfs" or host.unpacked:
        return [("mkdir", lower), ("bind", host.unpacked or image.path, lower, "rec")]
    if host.root_mounts:
        span = str(image.offset), str(image.size)
        return [("mkdir", lower), ("loop", image.path, *span, image.fstype, lower)]
    helper = (host.squashfuse, "-f", "-o", f"offset={image.offset}", image.path, lower)
    return [("mkdir", lower), ("fuse", lower, *helper)]


def _is_below(path: str, trees: Sequence[str]) -> bool:
    return any(path == tree or path.startswith(tree + "/") for tree in trees)


def host_binds(host: Host, pid_namespace: bool) -> Iterator[tuple[str, str, str]]:
    """(source, target, flags) of what is bound without being asked for."""
    if not pid_namespace:
        yield "/proc", "/proc", "rec"
    for tree in HOST_TREES:
        yield tree, tree, "rec,nofail"
    bound = [*HOST_TREES]
    for path in (host.home, host.jobdir, host.cwd):
        if path not in ("", "/") and not _is_below(path, [*bound, *IMAGE_TREES]):
            bound.append(path)
            yield path, path, "rec,nofail"
    for name in HOST_FILES:
        yield name, name, "ro,nofail"


def identity_lines(host: Host) -> list[tuple[str, ...]]:
    """The caller's entries in passwd and group, so that getpwuid and ``whoami`` work in any image."""
    user = f"{host.user}:x:{host.uid}:{host.gid}:{host.user}:{host.home}:{host.shell}"
    return [
        ("addline", "/etc/passwd", f"{host.user}:", user),
        ("addline", "/etc/group", f"{host.group}:", f"{host.group}:x:{host.gid}:"),
    ]


def plan_operations(image: Image, host: Host, binds: Sequence[Bind] = (), *, pid_namespace: bool = False) -> Operations:
    """The operations for `image`, in order. ``host://`` only gets limits: its ranks run where the launcher runs."""
    limits = ("nofile", str(host.nofile_soft))
    if image.kind == "host":
        return (limits,)
    scratch = f"{host.jobdir}/{SCRATCH}"
    lower, upper, work, root = (f"{scratch}/{name}" for name in ("lower", "upper", "work", "root"))
    mounts = [*host_binds(host, pid_namespace), *((b.source, b.target, ",".join((*b.options, "rec"))) for b in binds)]
    ops: list[tuple[str, ...]] = [limits, ("unshare", namespaces(host, pid_namespace)), ("scratch", scratch)]
    ops += mount_image(image, host, lower)
    ops += [("target", lower, upper, target, source) for source, target, _ in mounts]
    ops += [("target", lower, upper, "/proc", "/proc")] if pid_namespace else []
    ops += [("overlay", lower, upper, work, root), ("root", root)]
    ops += [("proc", "/proc")] if pid_namespace else []
    ops += [("bind", *mount) for mount in mounts]
    return (*ops, *identity_lines(host), ("pivot",))


def visible_trees(ops: Operations) -> tuple[str, tuple[tuple[str, str], ...]]:
    """(image's directory on the host, (host path, path inside) of what is mounted over it) of planned operations.

    The first is ``/`` without a container, and empty where the image is a file that is yet to be mounted.
    """
    lower = next((op[1] for op in ops if op[0] == "overlay"), "")
    binds = [(op[1], op[2]) for op in ops if op[0] == "bind"]
    root = next((source for source, target in binds if target == lower), "")
    return root if lower else "/", tuple(bind for bind in binds if bind[1] != lower)


def with_binds(ops: Operations, binds: Sequence[tuple[str, str]]) -> Operations:
    """`ops` with further read-only mounts of (host path, path inside), after those that are there."""
    overlay = next((number for number, op in enumerate(ops) if op[0] == "overlay"), None)
    mounts = [("bind", source, target, "ro") for source, target in binds]
    mounts = [mount for mount in mounts if mount not in ops]
    if overlay is None or not mounts:
        return ops
    _, lower, upper, *_ = ops[overlay]
    made = [("target", lower, upper, target, source) for _, source, target, _ in mounts]
    last = max(number for number, op in enumerate(ops) if op[0] in ("bind", "root", "proc"))
    return (*ops[:overlay], *made, *ops[overlay : last + 1], *mounts, *ops[last + 1 :])
