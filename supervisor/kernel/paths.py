"""Path look-ups on behalf of a program: from its root and its working directory, with its rights.

A look-up can take for ever (FUSE, NFS), so these functions are for worker threads.
"""

import ctypes
import errno
import os
import re
import stat
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Final

from supervisor.errors import CannotServe, SyscallError, TraceeGone
from supervisor.kernel import landlock, libc, sockets
from supervisor.kernel.hostfd import HostFd

CLONE_FS: Final = 0x200
_OPENAT2: Final = libc.number("openat2")
_FACCESSAT2: Final = libc.number("faccessat2")
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_IN_ROOT: Final = 0x10
_NAMES_A_PROCESS: Final = re.compile(rb"/proc/[0-9]+/")
_AT_EACCESS: Final = 0x200
_AT_EMPTY_PATH: Final = 0x1000

class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class ProgramPaths:
    """The paths of one stopped thread. `acting` enters the program's identity: a null context where it is ours."""

    def __init__(self, tid: int, acting: Callable[[], AbstractContextManager[None]]) -> None:
        self._tid = tid
        self._acting = acting

    def open(self, path: bytes, flags: int = 0) -> HostFd:
        """Open what `path` names, as an O_PATH descriptor. SyscallError with the look-up's errno.

        Where the roots are the same, this is a plain look-up from the thread's working directory. Elsewhere it is
        openat2(RESOLVE_IN_ROOT): an absolute symbolic link below /proc/TID/root would otherwise lead to *our* root.
        """
        flags |= os.O_PATH | os.O_CLOEXEC
        path = _not_ourselves(self._tid, path)
        if self._has_our_root():
            with self._directory("cwd") as start, self._as_program():
                return self._open_from(start, path, flags)
        if not path.startswith(b"/"):
            path = self._working_directory() + b"/" + path
        with self._directory("root") as start, self._as_program():
            return _open_in_root(start, path, flags)

    def _open_from(self, start: HostFd, path: bytes, flags: int) -> HostFd:
        """A plain look-up. Magic links (/proc/PID/cwd) are followed only where the path itself names the process: a
        link to /proc/self would lead to ours."""
        if _NAMES_A_PROCESS.match(path):
            return HostFd(os.open(path, flags, dir_fd=start.fileno()))
        try:
            return _openat2(start, path, flags, _RESOLVE_NO_MAGICLINKS)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            # ELOOP for forty links, too: then the plain look-up says the same.
            try:
                os.close(os.open(path, flags, dir_fd=start.fileno()))
            except OSError as plain:
                raise plain from None
        raise CannotServe("the path goes through a link of /proc that means another process to us")

    def is_home(self) -> bool:
        """Are its mounts ours? In a mount namespace of its own a program can put any socket under any name, so that
        names say nothing about what they lead to."""
        try:
            return os.readlink(f"/proc/{self._tid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
        except OSError as error:
            raise _cannot_look(self._tid, error) from None

    def open_writable(self, path: bytes) -> HostFd:
        """Open what the program may write, as connect(2) and send(2) ask of a unix socket. SyscallError(EACCES)."""
        fd = self.open(path)
        try:
            with self._as_program():
                _check_writable(fd)
        except BaseException:
            fd.close()
            raise
        return fd

    def bind(self, fd: HostFd, address: bytes, umask: int, directory: HostFd) -> None:
        """bind(2) a unix socket to the program's own string, from its working directory and with its umask, and only
        beneath `directory`. Blocks.

        Fact: the string becomes the socket's name, so nothing may stand in its place: a name through /proc/self/fd
        would stick, and peers could not answer it. But the kernel looks the string up once more.
        Consequence: links that the program changes meanwhile, or that mean something else to us (/proc/self/cwd),
        could lead the socket out of the directory that was judged.
        Decision: a thread that lives for this call alone, which Landlock lets make sockets beneath that directory
        only. Cost: 0.3 ms. Without Landlock (before 5.13) the name is checked afterwards, which is all that is left.
        CannotServe when the program's root is not ours.
        """
        if not self._has_our_root():
            raise CannotServe("bind(2) to a path in another root directory or mount namespace")
        with self._directory("cwd") as start:
            _in_a_thread_of_its_own(lambda: self._bind_here(fd, address, umask, directory, start))
        last = address[2:].split(b"\0", 1)[0].rpartition(b"/")[2]
        try:
            made = os.stat(last, dir_fd=directory.fileno(), follow_symlinks=False).st_mode
        except OSError:
            made = 0
        if not stat.S_ISSOCK(made):
            raise CannotServe("the path led to another directory when it was bound")

    def _bind_here(self, fd: HostFd, address: bytes, umask: int, directory: HostFd, start: HostFd) -> None:
        if libc.unshare(CLONE_FS):
            raise libc.fail()
        os.umask(umask)
        os.fchdir(start.fileno())
        with suppress(OSError):
            landlock.allow_sockets_only_beneath(directory)
        with self._as_program():
            sockets.bind(fd, address)

    def _working_directory(self) -> bytes:
        """Its name from the program's root: both are named from ours where they are in our mount namespace."""
        cwd, root = (os.readlink(b"/proc/%d/%s" % (self._tid, name)) for name in (b"cwd", b"root"))
        return cwd[len(root) :] if root != b"/" and (cwd + b"/").startswith(root + b"/") else cwd

    def _has_our_root(self) -> bool:
        try:
            theirs, ours = os.stat(f"/proc/{self._tid}/root"), os.stat("/")
            return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino) and self.is_home()
        except OSError as error:
            raise _cannot_look(self._tid, error) from None

    def _directory(self, name: str) -> HostFd:
        try:
            return HostFd(os.open(f"/proc/{self._tid}/{name}", os.O_PATH | os.O_CLOEXEC))
        except OSError as error:
            raise _cannot_look(self._tid, error) from None

    def _as_program(self) -> "_Translating":
        return _Translating(self._acting())


class _Translating:
    """The program's identity, and the errors of what is done with it as the program's errors."""

    def __init__(self, identity: AbstractContextManager[None]) -> None:
        self._identity = identity

    def __enter__(self) -> None:
        try:
            self._identity.__enter__()
        except OSError as error:
            raise CannotServe(f"acting as the program: {error.strerror}") from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._identity.__exit__(kind, error, trace)  # type: ignore[arg-type]
        if isinstance(error, OSError):
            raise SyscallError(error.errno or errno.EACCES) from None


def _cannot_look(tid: int, error: OSError) -> Exception:
    if error.errno in (errno.ENOENT, errno.ESRCH):
        return TraceeGone()
    return CannotServe(f"directories of thread {tid}: {error.strerror}")


def _in_a_thread_of_its_own(work: Callable[[], None]) -> None:
    """Run `work` on a new thread and wait for it; what it raises is raised here."""
    failure: list[BaseException] = []

    def body() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - handed over
            failure.append(error)

    thread = threading.Thread(target=body, name="bind", daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def _not_ourselves(tid: int, path: bytes) -> bytes:
    """/proc/self means the process that looks it up; say whose it is instead."""
    path = re.sub(rb"/(\./|/)+", b"/", path)
    for prefix in (b"/proc/self/", b"/proc/thread-self/"):
        if path.startswith(prefix):
            return b"/proc/%d/%s" % (tid, path[len(prefix) :])
    return path


def _open_in_root(root: HostFd, path: bytes, flags: int) -> HostFd:
    return _openat2(root, path, flags, _RESOLVE_IN_ROOT)


def _openat2(directory: HostFd, path: bytes, flags: int, resolve: int) -> HostFd:
    how = _OpenHow(flags, 0, resolve)
    name = ctypes.create_string_buffer(path)
    return HostFd(libc.syscall(
        _OPENAT2, directory.fileno(), ctypes.addressof(name), ctypes.addressof(how), ctypes.sizeof(how)
    ))


def _check_writable(fd: HostFd) -> None:
    empty = ctypes.create_string_buffer(b"")
    libc.syscall(_FACCESSAT2, fd.fileno(), ctypes.addressof(empty), os.W_OK, _AT_EMPTY_PATH | _AT_EACCESS)


def name_of(fd: HostFd) -> bytes:
    """The absolute path of an open descriptor, symbolic links resolved."""
    return os.readlink(os.fsencode(f"/proc/self/fd/{fd.fileno()}"))
