"""Path look-ups on behalf of a program: from its root and its working directory, with its rights.

A look-up can take for ever (FUSE, NFS), so these functions are for worker threads. Each worker leaves the file system
context that the threads of a process share (unshare(CLONE_FS)), so that its working directory and umask are its own.
"""

import ctypes
import errno
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from supervisor.errors import CannotServe, SyscallError, TraceeGone
from supervisor.kernel import libc, sockets
from supervisor.kernel.hostfd import HostFd

CLONE_FS: Final = 0x200
_OPENAT2: Final = libc.number("openat2")
_FACCESSAT2: Final = libc.number("faccessat2")
_RESOLVE_IN_ROOT: Final = 0x10
_AT_EACCESS: Final = 0x200
_AT_EMPTY_PATH: Final = 0x1000

_thread = threading.local()


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
                return HostFd(os.open(path, flags, dir_fd=start.fileno()))
        if not path.startswith(b"/"):
            path = os.readlink(os.fsencode(f"/proc/{self._tid}/cwd")) + b"/" + path
        with self._directory("root") as start, self._as_program():
            return _open_in_root(start, path, flags)

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

    def bind(self, fd: HostFd, address: bytes, umask: int) -> None:
        """bind(2) a unix socket to the program's own string, from its working directory and with its umask.

        The string becomes the socket's name, so nothing may stand in its place: a name through /proc/self/fd would
        stick, and peers could not answer it. CannotServe when the program's root is not ours.
        """
        if not self._has_our_root():
            raise CannotServe("bind(2) to a path in another root directory or mount namespace")
        _own_file_system_context()
        before = os.umask(umask)
        try:
            with self._directory("cwd") as start:
                os.fchdir(start.fileno())
            with self._as_program():
                sockets.bind(fd, address)
        finally:
            os.umask(before)
            os.chdir("/")

    def _has_our_root(self) -> bool:
        try:
            theirs, ours = os.stat(f"/proc/{self._tid}/root"), os.stat("/")
            return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino) and os.readlink(
                f"/proc/{self._tid}/ns/mnt"
            ) == os.readlink("/proc/self/ns/mnt")
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


def _own_file_system_context() -> None:
    if not getattr(_thread, "unshared", False):
        if libc.unshare(CLONE_FS):
            raise libc.fail()
        _thread.unshared = True


def _not_ourselves(tid: int, path: bytes) -> bytes:
    """/proc/self means the process that looks it up; say whose it is instead."""
    for prefix in (b"/proc/self/", b"/proc/thread-self/"):
        if path.startswith(prefix):
            return b"/proc/%d/%s" % (tid, path[len(prefix) :])
    return path


def _open_in_root(root: HostFd, path: bytes, flags: int) -> HostFd:
    how = _OpenHow(flags, 0, _RESOLVE_IN_ROOT)
    name = ctypes.create_string_buffer(path)
    return HostFd(libc.syscall(
        _OPENAT2, root.fileno(), ctypes.addressof(name), ctypes.addressof(how), ctypes.sizeof(how)
    ))


def _check_writable(fd: HostFd) -> None:
    empty = ctypes.create_string_buffer(b"")
    libc.syscall(_FACCESSAT2, fd.fileno(), ctypes.addressof(empty), os.W_OK, _AT_EMPTY_PATH | _AT_EACCESS)


def name_of(fd: HostFd) -> bytes:
    """The absolute path of an open descriptor, symbolic links resolved."""
    return os.readlink(os.fsencode(f"/proc/self/fd/{fd.fileno()}"))
