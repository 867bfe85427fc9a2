"""What this machine can do, asked by trying it. A probe answers None (it can) or a sentence: what is missing."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tools.images.build import cache_dir

ROOT = Path(__file__).resolve().parents[1]
TEST_USER = "lwktest"
LWKPM_RUN = ROOT / ".venv" / "bin" / "lwkpm-run"

Probe = Callable[[], "str | None"]


def as_user(command: list[str]) -> list[str]:
    """The command as the ordinary test user; unchanged when we already are an ordinary user."""
    if os.geteuid() != 0:
        return command
    return [*own_fuse_device(), "setpriv", "--reuid", TEST_USER, "--regid", TEST_USER, "--init-groups", *command]


@cache
def own_fuse_device() -> tuple[str, ...]:
    """A command prefix that gives a process a /dev/fuse open to all, as udev makes it; empty where it already is.

    A machine without udev has it for root only; in a mount namespace of our own nothing of the machine changes.
    """
    try:
        if os.stat("/dev/fuse").st_mode & 0o006 == 0o006:
            return ()
        node = cache_dir() / "fuse"
        if not node.exists():
            node.parent.mkdir(parents=True, exist_ok=True)
            os.mknod(node, stat.S_IFCHR | 0o600, os.makedev(10, 229))
        node.chmod(0o666)
    except OSError:
        return ()
    script = 'mount --bind "$0" /dev/fuse && exec "$@"'
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(node))


def user_home() -> str:
    """The ordinary user's home directory."""
    return pwd.getpwnam(TEST_USER).pw_dir if os.geteuid() == 0 else str(Path.home())


def try_command(command: list[str], missing: str) -> str | None:
    """None when the command ends with status 0, else `missing` with the last line it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError as error:
        return f"{missing}: {error}"
    if done.returncode == 0:
        return None
    said = (done.stderr or done.stdout).strip().splitlines()
    return f"{missing}: {said[-1] if said else f'exit {done.returncode}'}"


@cache
def root() -> str | None:
    """Are we root?"""
    return None if os.geteuid() == 0 else "needs root"


@cache
def ordinary_user() -> str | None:
    """Is there a user without privileges, and can that user run this checkout?"""
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(TEST_USER)
        except KeyError:
            return f"no user {TEST_USER}; tools/setup.sh test makes it"
    readable = f"the checkout {ROOT} or its .venv cannot be reached by the ordinary user"
    return try_command(as_user([str(LWKPM_RUN.with_name("python")), "-Sc", f"open({str(LWKPM_RUN)!r})"]), readable)


@cache
def user_namespaces() -> str | None:
    """May an ordinary user make user and mount namespaces?"""
    return ordinary_user() or try_command(
        as_user(["unshare", "--user", "--mount", "--map-current-user", "true"]), "user namespaces are blocked"
    )


@cache
def loop_devices() -> str | None:
    """May root attach a file to a loop device?"""
    return root() or try_command(["losetup", "--find"], "no loop device")


@cache
def mksquashfs() -> str | None:
    """Is mksquashfs installed?"""
    return None if shutil.which("mksquashfs") else "mksquashfs is missing (squashfs-tools)"


@cache
def fuse_device() -> str | None:
    """May the ordinary user open /dev/fuse?"""
    opener = as_user(["/usr/bin/python3", "-Sc", "import os; os.open('/dev/fuse', os.O_RDWR)"])
    return ordinary_user() or try_command(opener, "/dev/fuse cannot be opened by the ordinary user")


@cache
def squashfuse() -> str | None:
    """Can the ordinary user mount a squashfs by squashfuse?"""
    return mksquashfs() or fuse_device() or mount_by_squashfuse()


def mount_by_squashfuse() -> str | None:
    """Really mount a tiny image in a namespace of its own, where the mount ends with the process."""
    with tempfile.TemporaryDirectory(prefix="lwkpm-probe-") as work:
        folder = Path(work)
        folder.chmod(0o755)
        (folder / "tree").mkdir()
        (folder / "tree" / "file").write_text("x")
        (folder / "at").mkdir()
        image = folder / "image.sqfs"
        subprocess.run(["mksquashfs", str(folder / "tree"), str(image), "-quiet", "-no-progress"], check=True)
        script = f"squashfuse -f {image} {work}/at & sleep 0.5; cat {work}/at/file; s=$?; kill $!; wait; exit $s"
        namespace = ["unshare", "--user", "--mount", "--map-root-user", "sh", "-c", script]
        return try_command(as_user(namespace), "squashfuse cannot mount")


@cache
def cross_memory_attach() -> str | None:
    """Does process_vm_readv work on the own process?"""
    libc = ctypes.CDLL(None, use_errno=True)
    return None if libc.process_vm_readv(os.getpid(), None, 0, None, 0, 0) == 0 else "process_vm_readv is blocked"


@cache
def gdb() -> str | None:
    """Can gdb run a program, as debuggers do?"""
    command = ["gdb", "-q", "-batch", "-nx", "-ex", "run", "--args", "/bin/true"]
    return try_command(command, "gdb cannot run a program") if shutil.which("gdb") else "gdb is missing"


@cache
def python3_pmix() -> str | None:
    """Is Debian's PMIx binding there?"""
    return try_command(["/usr/bin/python3", "-W", "ignore", "-c", "import pmix"], "python3-pmix is missing")


PROBES: dict[str, Probe] = {
    "root": root,
    "ordinary_user": ordinary_user,
    "user_namespaces": user_namespaces,
    "loop_devices": loop_devices,
    "mksquashfs": mksquashfs,
    "squashfuse": squashfuse,
    "fuse_device": fuse_device,
    "cross_memory_attach": cross_memory_attach,
    "gdb": gdb,
    "python3_pmix": python3_pmix,
}


def missing(*names: str) -> str | None:
    """The first thing missing of the named capabilities."""
    return next((why for why in (PROBES[name]() for name in names) if why), None)
