"""Other processes: pidfds, their descriptors and their memory."""

import ctypes
import errno
import os
import resource
import signal
from collections.abc import Sequence
from typing import Final

from supervisor.errors import SyscallError, TraceeGone
from supervisor.kernel import libc
from supervisor.kernel.hostfd import HostFd

PIDFD_THREAD: Final = os.O_EXCL
KCMP_FILES: Final = 2

_PIDFD_OPEN: Final = libc.number("pidfd_open")
_PIDFD_GETFD: Final = libc.number("pidfd_getfd")
_KCMP: Final = libc.number("kcmp")
_TGKILL: Final = libc.number("tgkill")
_PR_SET_PDEATHSIG: Final = 1
_IOV_BATCH: Final = 1024


def open_pidfd(pid: int, flags: int = 0) -> HostFd:
    """pidfd_open(2). TraceeGone when there is no such process; OSError(EINVAL) for flags the kernel lacks."""
    try:
        return HostFd(libc.syscall(_PIDFD_OPEN, pid, flags))
    except OSError as error:
        if error.errno == errno.ESRCH:
            raise TraceeGone from None
        raise


def take_fd(pidfd: HostFd, number: int) -> HostFd:
    """Duplicate descriptor `number` of the process or thread behind `pidfd` (pidfd_getfd(2)).

    SyscallError(EBADF) when the number is not open there. OSError(EPERM) when we may not look into it.
    """
    try:
        return HostFd(libc.syscall(_PIDFD_GETFD, pidfd.fileno(), number, 0))
    except OSError as error:
        if error.errno == errno.EBADF:
            raise SyscallError(errno.EBADF) from None
        if error.errno == errno.ESRCH:
            raise TraceeGone from None
        raise


def shares_files(one: int, other: int) -> bool:
    """Do two tasks have the same descriptor table (kcmp(2), KCMP_FILES)?"""
    return libc.syscall(_KCMP, one, other, KCMP_FILES) == 0


def read_memory(pid: int, address: int, length: int) -> bytes:
    """Read up to `length` bytes at `address` of another process (process_vm_readv(2)).

    Shorter where the memory ends: reading stops at the first page that is not there. OSError(EFAULT) when not even
    the first byte is readable, OSError(EPERM) when we may not look, TraceeGone when the process is gone.
    """
    buffer = bytearray(length)
    local = libc.IoVec(libc.address_of(buffer), length)
    remote = libc.IoVec(address, length)
    count = libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    if count < 0:
        raise _memory_error()
    return bytes(buffer) if count == length else bytes(buffer[:count])


def read_vectors(pid: int, ranges: Sequence[tuple[int, int]]) -> bytes:
    """Read several (address, length) ranges one after the other into one buffer; stops at the first bad page."""
    total = sum(length for _, length in ranges)
    buffer = bytearray(total)
    return bytes(buffer[: _transfer(libc.process_vm_readv, pid, buffer, ranges)])


def write_memory(pid: int, address: int, data: bytes) -> int:
    """Write `data` at `address` of another process; the count written, short where writable memory ends."""
    local = libc.IoVec(ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data))
    remote = libc.IoVec(address, len(data))
    count: int = libc.process_vm_writev(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    if count < 0:
        raise _memory_error()
    return count


def write_vectors(pid: int, ranges: Sequence[tuple[int, int]], source: int, length: int) -> int:
    """Copy `length` bytes at our address `source` to these ranges of another process, as far as they go; the count.

    OSError(EFAULT) when not even the first byte could be written. At most 1,024 ranges (UIO_MAXIOV).
    """
    local = libc.IoVec(source, length)
    remote = (libc.IoVec * len(ranges))(*(libc.IoVec(address, size) for address, size in ranges))
    count: int = libc.process_vm_writev(pid, ctypes.byref(local), 1, remote, len(ranges), 0)
    if count < 0:
        raise _memory_error()
    return count


def spare_descriptors() -> int:
    """How many more this process can open. The directory's size is their count (Linux 6.2; 0 before)."""
    count = os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - count


def _transfer(
    call: libc.CFunction, pid: int, buffer: bytearray, ranges: Sequence[tuple[int, int]]
) -> int:
    """One process_vm_* call a batch of ranges. The count moved; 0 when the very first byte was refused."""
    if not buffer:
        return 0
    base = libc.address_of(buffer)
    done = 0
    for start in range(0, len(ranges), _IOV_BATCH):
        batch = ranges[start : start + _IOV_BATCH]
        remote = (libc.IoVec * len(batch))(*(libc.IoVec(address, length) for address, length in batch))
        wanted = sum(length for _, length in batch)
        local = libc.IoVec(base + done, wanted)
        count = call(pid, ctypes.byref(local), 1, remote, len(batch), 0)
        if count < 0:
            if done:
                return done
            raise _memory_error()
        done += count
        if count < wanted:
            return done
    return done


def _memory_error() -> Exception:
    code = libc.get_errno()
    if code == errno.ESRCH:
        return TraceeGone()
    return OSError(code, os.strerror(code))


def signal_thread(tgid: int, tid: int, number: int) -> None:
    """tgkill(2): ProcessLookupError when the thread is gone."""
    libc.syscall(_TGKILL, tgid, tid, number)


def raise_descriptor_limit() -> None:
    """Raise RLIMIT_NOFILE of this process to its hard limit: received descriptors past it are lost for good."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def die_with_parent(parent: int) -> None:
    """prctl(PR_SET_PDEATHSIG): SIGKILL when the parent ends; at once when it has ended already."""
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) or os.getppid() != parent:
        os._exit(0)
