"""Turning what went wrong into errors that say what, why and what to do. Imported only when something did."""

from __future__ import annotations

import errno
import os

from lwkpm.errors import (
    EXIT_NOT_EXECUTABLE,
    EXIT_NOT_FOUND,
    ContainerError,
    LwkpmError,
    PmiError,
    ProgramError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lwkpm.job.plan import AppPlan, ContainerPlan

#: What stands in the way of a user namespace: file, the value that blocks, the administrator's line.
USERNS_KNOBS = (
    ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=65536"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)

#: Where no knob says so: what unshare's errno means here, and what to do. ENOSPC has nothing to do with a disk.
_RAISE = "end other containers of this user, or ask the administrator to raise user.max_user_namespaces"
USERNS_CAUSES = {
    errno.EPERM: (
        "a seccomp filter (an engine's, around this shell) or a security module forbids it",
        "inside another container allow it (docker, podman: --security-opt seccomp=unconfined), or run as root",
    ),
    errno.ENOSPC: ("a limit of the kernel on namespaces is reached, here or in a namespace around", _RAISE),
    errno.EUSERS: ("user namespaces are nested too deep", "start the job outside the namespaces around this shell"),
    errno.EINVAL: ("the kernel was built without user namespaces", "run as root, or on a kernel with CONFIG_USER_NS"),
}

#: What openpmix 5 writes whenever a client of version 4 connects, and nothing is wrong.
PMIX_NOISE = "bfrop_pmix41.c"

#: How an MPI of each family is told where its server is, and what usually hides it.
SINGLETON_FIX = {
    "PMIx": "{offer}check that nothing on the way (env -i, a wrapper script) unsets PMIX_* or changes the user",
    "PMI-2": "{offer}check that nothing unsets PMI_* or closes descriptor 3, and unset I_MPI_PMI_LIBRARY in the image",
    "PMI-1": "{offer}check that nothing unsets PMI_* or closes descriptor 3 (try --pmi port)",
}


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def setup_error(container: ContainerPlan, error: int, step: str, target: str) -> LwkpmError:
    """conenter could not make the container: `step` failed on `target` with errno `error`."""
    reason = f"{step} {target}: {os.strerror(error)}"
    if step == "unshare" and error == errno.EINVAL and "user" not in target.split(","):
        return ContainerError(
            "LWKPM-E036",
            f"cannot make the container of {container.image}",
            f"{reason}: the root directory here is no mount point, as in a plain chroot",
            "run outside of the chroot, or make its directory a mount before you enter it (mount --bind DIR DIR)",
        )
    if step == "unshare":
        return _namespace_error(container, error, reason)
    if step in ("loop", "fuse"):
        return _mount_error(container, error, reason)
    if step == "bind":
        return ContainerError(
            "LWKPM-E034",
            f"cannot bind into the container of {container.image}",
            reason,
            "check that the source exists and may be read (-B src:dst:nofail skips it)",
        )
    if step == "overlay":
        return ContainerError(
            "LWKPM-E035",
            f"cannot make the container of {container.image} writable",
            f"{reason} (overlayfs over the image)",
            "the kernel needs overlayfs (5.11 or later for ordinary users): modprobe overlay",
        )
    return ContainerError(
        "LWKPM-E036", f"cannot make the container of {container.image}", reason, "run with -v and report this"
    )


def _namespace_error(container: ContainerPlan, error: int, reason: str) -> LwkpmError:
    knobs = [knob for knob in USERNS_KNOBS if _read(knob[0]) == knob[1]]
    if knobs:
        path, blocked, cure = knobs[0]
        why, fix = f"{reason}; {path} is {blocked}", f"ask the administrator for `{cure}`, or run as root"
    else:
        cause, fix = USERNS_CAUSES.get(error, USERNS_CAUSES[errno.EPERM])
        why = f"{reason}: {cause}"
    return ContainerError(
        "LWKPM-E032", f"user namespaces are blocked, so {container.image} cannot be started", why, fix
    )


def _mount_error(container: ContainerPlan, error: int, reason: str) -> LwkpmError:
    if error in (errno.EINVAL, errno.EIO, errno.EUCLEAN, errno.EBADMSG):
        return ContainerError(
            "LWKPM-E033",
            f"cannot mount {container.image}",
            f"{reason}: the file is damaged, or the kernel lacks its compression",
            "check it with `unsquashfs -s` and copy or build it again",
        )
    return ContainerError(
        "LWKPM-E033",
        f"cannot mount {container.image}",
        reason,
        "check that loop devices (root) or /dev/fuse and squashfuse (users) may be used; a directory needs neither",
    )


def start_error(app: AppPlan, container: ContainerPlan, root: str, error: int, step: str, target: str) -> LwkpmError:
    """A rank could not become its program."""
    program = app.argv[0]
    if step == "chdir":
        return ProgramError(
            "LWKPM-E046",
            f"cannot use {target} as the working directory in {container.image}",
            os.strerror(error),
            "name a directory that exists inside with -w, or bind it with -B",
            EXIT_NOT_EXECUTABLE,
        )
    if step == "exec":
        explained = _explain_exec(root, app)
        if explained is not None:
            return explained
        return ProgramError(
            "LWKPM-E042",
            f"cannot run {program!r} in {container.image}",
            os.strerror(error),
            "check the program's name, mode and architecture",
            EXIT_NOT_FOUND if error in (errno.ENOENT, errno.ENOTDIR) else EXIT_NOT_EXECUTABLE,
        )
    return LwkpmError(
        "LWKPM-E074",
        f"cannot start {program!r}",
        f"{step} {target}: {os.strerror(error)}",
        "check the limits of processes (ulimit -u) and memory",
    )


def _explain_exec(root: str, app: AppPlan) -> LwkpmError | None:
    """The image's own evidence: no such file, no execute bit, another architecture, a missing interpreter."""
    from lwkpm.image.program import check_program

    path = next((entry[5:] for entry in app.env if entry.startswith("PATH=")), "/usr/bin:/bin")
    try:
        check_program(root, app.argv[0], path, app.cwd)
    except ProgramError as error:
        return error
    except OSError:
        pass  # the image cannot be read from here: errno has to do
    return None


def singleton_error(
    who: str, library: str, root: str, when: str, pmi: str, pmix_missing: str, pmix_said: str = ""
) -> LwkpmError:
    """Ranks loaded an MPI library but never reached a PMI server: each would be a world of its own.

    `pmix_missing`: why no PMIx server is offered; `pmix_said`: what libpmix wrote, such as why it refused a client.
    """
    from lwkpm.image.mpi import identify

    try:
        mpi = identify(root, library)
        family, speaks = f"{mpi.family} {mpi.version}".strip(), tuple(mpi.speaks)
    except (OSError, LwkpmError):
        family, speaks = "an MPI library", ()
    speaks = speaks or ("PMIx", "PMI-2", "PMI-1")
    first = "PMIx" if "PMIx" in speaks else speaks[0]
    said = _telling_lines(pmix_said)
    offer = "" if pmi == "auto" else f"leave --pmi {pmi} out, so that all protocols are offered, and "
    if pmix_missing and first == "PMIx":
        offer = "install a libpmix for lwkpm (pip install 'lwkpm[pmix]'), and "
    return PmiError(
        "LWKPM-E055",
        f"{who} loaded an MPI library but never reached a PMI server",
        f"{when}; {family} ({library}) speaks {' or '.join(speaks)}; without a server each rank is a world of its own"
        + (f"; PMIx was not offered: {pmix_missing}" if pmix_missing and first == "PMIx" else "")
        + (f"; libpmix said:\n{said}" if said and first == "PMIx" else ""),
        SINGLETON_FIX[first].format(offer=offer),
    )


def _telling_lines(text: str, count: int = 5) -> str:
    lines = [line for line in text.strip().splitlines() if PMIX_NOISE not in line]
    return "\n".join(lines[-count:])


def no_finalize_error(who: str, protocol: str) -> LwkpmError:
    """A rank (`who`, such as ``rank 3``) ended with status 0 between MPI_Init and MPI_Finalize."""
    return PmiError(
        "LWKPM-E062",
        f"{who} exited after MPI_Init without MPI_Finalize",
        f"it had reached the {protocol} server and ended with status 0; the others may wait for it for ever",
        "call MPI_Finalize before exit (or MPI_Abort to end the job)",
    )


def mixed_error(one: str, protocol: str, other: str, other_protocol: str) -> LwkpmError:
    """Ranks of one world came to servers that know nothing of each other."""
    return PmiError(
        "LWKPM-E064",
        f"{one} speaks {protocol} and {other} speaks {other_protocol}: they cannot be one MPI world",
        "their programs use different MPI libraries (or kinds of one), which could not exchange messages either",
        "use one MPI for all parts, or give --separate-worlds: a world for each part between the ':'",
    )


def process_state(pid: int) -> str:
    """One line about a process that does not end: state, kernel function, name."""
    status = dict(line.partition(":")[::2] for line in _read(f"/proc/{pid}/status").splitlines())
    name, state = status.get("Name", "?").strip(), status.get("State", "gone").strip()
    where = _read(f"/proc/{pid}/wchan").strip("0")  # 0: not in the kernel
    return f"pid {pid} {name}: {state}" + (f", in {where}" if where else "")


def descendants(pid: int) -> list[int]:
    """`pid` and every process below it."""
    found = [pid]
    for parent in found:
        children = _read(f"/proc/{parent}/task/{parent}/children").split()
        found.extend(int(child) for child in children if len(found) < 1000)
    return found


def loaded_mpi(pid: int) -> str:
    """The MPI library that a running rank, or a process below it, has mapped; "" if none."""
    from lwkpm.image.mpi import find_library

    for each in descendants(pid):
        paths = [line.partition("/")[2] for line in _read(f"/proc/{each}/maps").splitlines() if "/" in line]
        library = find_library("/" + path for path in paths)
        if library:
            return library
    return ""
