"""Why a program of an image did not start. Used after an exec failed, to put the bare errno into words."""

from __future__ import annotations

import errno
import os
import stat

from lwkpm.errors import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, ProgramError
from lwkpm.image.elf import MAGIC, ElfError, read_elf_fd
from lwkpm.image.machine import host_machine, runs_here
from lwkpm.image.nearest import list_names, nearest_name
from lwkpm.image.rootpath import open_in_root, resolve_in_root

CODE_MISSING = "LWKPM-E040"
CODE_DIRECTORY = "LWKPM-E041"
CODE_REFUSED = "LWKPM-E042"
CODE_MACHINE = "LWKPM-E043"
CODE_FORMAT = "LWKPM-E044"
CODE_INTERPRETER = "LWKPM-E045"

#: What execvp uses without PATH (confstr CS_PATH).
DEFAULT_PATH = "/bin:/usr/bin"
#: The kernel reads 256 bytes for the ``#!`` line and follows at most 5 interpreters.
SCRIPT_LINE = 256
MAX_INTERPRETERS = 5

LOADERS = {"ld-linux": "glibc", "ld64.so": "glibc", "ld-musl": "musl"}


def check_program(root: str, program: str, path_variable: str, cwd: str) -> None:
    """Raise ProgramError for what keeps `program` from being executed in the tree `root`, if anything is found.

    `path_variable` is PATH and `cwd` the working directory, both as seen inside.
    """
    where = _find(root, program, path_variable, cwd)
    user = ""  # the file that names `where` as its interpreter
    for _ in range(MAX_INTERPRETERS + 1):
        _check_file(root, where, user)
        interpreter = _check_content(root, where)
        if not interpreter:
            return
        user, where = where, _join(cwd, interpreter)


def _join(cwd: str, path: str) -> str:
    return path if path.startswith("/") else f"{cwd.rstrip('/')}/{path}"


def _stat(root: str, path: str) -> os.stat_result | None:
    """Of the file behind all links; None when there is none."""
    try:
        return os.lstat(resolve_in_root(root, path))
    except PermissionError:
        raise ProgramError(
            CODE_REFUSED,
            f"cannot execute {path}",
            "a directory on the way to it denies you search (x) access",
            "give search access to the directories of the image, e.g. chmod -R a+rX DIR",
            EXIT_NOT_EXECUTABLE,
        ) from None
    except OSError:
        return None


def _find(root: str, program: str, path_variable: str, cwd: str) -> str:
    """Where exec looks for `program`: the absolute path inside, or ProgramError when it is nowhere."""
    directories = [_join(cwd, one or ".") for one in (path_variable or DEFAULT_PATH).split(":")]
    if "/" in program:
        where = _join(cwd, program)
        if _stat(root, where) is not None:
            return where
        raise _missing(root, program, os.path.dirname(where), [os.path.dirname(where)])
    found = [f"{one.rstrip('/')}/{program}" for one in directories if program]
    there, closed = [], []
    for path in found:
        try:
            status = _stat(root, path)
        except ProgramError as error:  # exec goes on with the next directory of PATH
            closed.append(error)
            continue
        if status is not None and stat.S_ISREG(status.st_mode) and status.st_mode & 0o111:
            return path
        there += [path] if status is not None else []
    if there:
        return there[0]
    if closed:
        raise closed[0]
    raise _missing(root, program, f"PATH ({':'.join(directories)})", directories)


def _missing(root: str, program: str, place: str, directories: list[str]) -> ProgramError:
    name = os.path.basename(program)
    names = {one: directory for directory in reversed(directories) for one in _names(root, directory)}
    near = nearest_name(name, list(names))
    fix = "check the spelling, or give the path of the program inside the image"
    fix = f"did you mean {names[near].rstrip('/')}/{near}?" if near else fix
    why = f"there is no {name or 'name'} in {place} inside the image"
    if "/" in program and not near and not _names(root, directories[0]):
        why = f"there is no directory {place} inside the image, or it is empty"
    return ProgramError(CODE_MISSING, f"no program {program!r}", why, fix, EXIT_NOT_FOUND)


def _names(root: str, directory: str) -> list[str]:
    try:
        return list_names(resolve_in_root(root, directory))
    except OSError:
        return []


def _check_file(root: str, path: str, user: str) -> None:
    """Existence, kind and mode of `path`; `user` is the program that needs it as its interpreter."""
    status = _stat(root, path)
    if status is None:
        raise _missing_interpreter(path, user)
    if stat.S_ISDIR(status.st_mode):
        what, fix = f"cannot execute {path}", "name a program in it"
        raise ProgramError(CODE_DIRECTORY, what, "it is a directory", fix, EXIT_NOT_EXECUTABLE)
    real = resolve_in_root(root, path)
    mode = f"its mode is {status.st_mode & 0o7777:04o}, it belongs to uid {status.st_uid}"
    if not stat.S_ISREG(status.st_mode):
        why, fix = "it is no regular file", "name a program"
    elif not status.st_mode & 0o111:
        why, fix = (
            f"it is not marked executable: {mode}",
            f"chmod +x {path} in the image, or name its interpreter first",
        )
    elif not os.access(real, os.X_OK):
        noexec = os.statvfs(real).f_flag & os.ST_NOEXEC
        why = (
            "its file system is mounted noexec" if noexec else f"you may not execute it: {mode}, you are {os.geteuid()}"
        )
        fix = "put it on a file system without noexec" if noexec else f"chmod a+rx {path} in the image"
    else:
        return
    raise ProgramError(CODE_REFUSED, f"cannot execute {path}", why, fix, EXIT_NOT_EXECUTABLE)


def _missing_interpreter(path: str, user: str) -> ProgramError:
    """`user` names an interpreter that is not there: exec says ENOENT, as if `user` itself were missing."""
    kind = next((libc for prefix, libc in LOADERS.items() if os.path.basename(path).startswith(prefix)), "")
    why = f"{user} needs the interpreter {path!r}, which is not in the image"
    fix = f"install {path} in the image, or correct the first line of {user}"
    if kind:
        why = f"{user} is built for {kind} and needs the loader {path}, which is not in the image"
        fix = f"use an image with {kind} for this machine, or build the program statically or inside the image"
    elif path.endswith("\r"):
        why, fix = f"the first line of {user} ends in a carriage return (Windows line ends)", f"dos2unix {user}"
    return ProgramError(CODE_INTERPRETER, f"cannot execute {user}: no interpreter", why, fix, EXIT_NOT_FOUND)


def _check_content(root: str, path: str) -> str:
    """The interpreter that the file asks for, '' for none; ProgramError if the kernel cannot run its format."""
    try:
        fd = open_in_root(root, path)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            return ""  # executable but not readable: allowed, and nothing to be learnt from it
        raise _bad_format(path, error.strerror or str(error)) from None
    try:
        head = os.pread(fd, SCRIPT_LINE, 0)
        if head.startswith(MAGIC):
            return _check_elf(fd, path)
    finally:
        os.close(fd)
    if head.startswith(b"#!"):
        line = os.fsdecode(head[2:].split(b"\n", 1)[0]).strip(" \t")
        return line.replace("\t", " ").split(" ", 1)[0]
    raise _bad_format(path, f"it is neither an ELF program nor a script with #! (first bytes {head[:8].hex(' ')})")


def _bad_format(path: str, why: str) -> ProgramError:
    fix = "for a script, write #!/bin/sh into its first line; otherwise build or copy the program again"
    if why.startswith("it is neither") and "first bytes )" in why:
        why = "the file is empty"
    return ProgramError(CODE_FORMAT, f"cannot execute {path}", why, fix, EXIT_NOT_EXECUTABLE)


def _check_elf(fd: int, path: str) -> str:
    """The loader of the ELF file open as `fd`."""
    try:
        elf = read_elf_fd(fd)
    except ElfError as error:
        raise _bad_format(path, f"its ELF data is damaged: {error}") from None
    if not runs_here(elf.machine):
        why = f"it is built for {elf.machine}, this node is {host_machine()}"
        fix = f"use an image for {host_machine()}"
        raise ProgramError(CODE_MACHINE, f"cannot execute {path}", why, fix, EXIT_NOT_EXECUTABLE)
    if elf.type not in ("EXEC", "DYN"):
        raise _bad_format(path, f"it is an ELF file of type {elf.type}, not a program")
    return elf.interp
