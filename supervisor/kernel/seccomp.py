"""Loading a filter into this thread, and what the kernel says of itself."""

import ctypes
import errno
import struct
from typing import Final

from supervisor.abi.seccomp import (
    SECCOMP_FILTER_FLAG_NEW_LISTENER,
    SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
    SECCOMP_GET_ACTION_AVAIL,
    SECCOMP_RET_USER_NOTIF,
    SECCOMP_SET_MODE_FILTER,
)
from supervisor.kernel import libc
from supervisor.kernel.hostfd import HostFd

_SECCOMP: Final = libc.number("seccomp")
_INSTRUCTION_SIZE: Final = 8
PR_SET_DUMPABLE: Final = 4
PR_SET_NO_NEW_PRIVS: Final = 38
PR_SET_CHILD_SUBREAPER: Final = 36


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def set_no_new_privs() -> None:
    """prctl(PR_SET_NO_NEW_PRIVS): exec never gains privilege again, in this process and its children."""
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise libc.fail()


def set_undumpable() -> None:
    """prctl(PR_SET_DUMPABLE, 0): processes of the same user can neither trace this one nor open its memory."""
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise libc.fail()


def set_child_subreaper() -> None:
    """prctl(PR_SET_CHILD_SUBREAPER): orphaned descendants become children of this process."""
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise libc.fail()


def has_user_notification() -> bool:
    """Does the kernel know SECCOMP_RET_USER_NOTIF?"""
    action = struct.pack("=I", SECCOMP_RET_USER_NOTIF)
    buffer = ctypes.create_string_buffer(action, 4)
    return bool(libc.syscall6(_SECCOMP, SECCOMP_GET_ACTION_AVAIL, 0, ctypes.addressof(buffer), 0, 0, 0) == 0)


def has_filter_flag(flag: int) -> bool:
    """Does the kernel know this flag of SECCOMP_SET_MODE_FILTER?

    Probed with a NULL program, as seccomp(2) suggests: a known flag gives EFAULT, an unknown one EINVAL.
    WAIT_KILLABLE_RECV is only legal beside NEW_LISTENER.
    """
    flags = flag | SECCOMP_FILTER_FLAG_NEW_LISTENER
    libc.syscall6(_SECCOMP, SECCOMP_SET_MODE_FILTER, flags, 0, 0, 0, 0)
    return bool(libc.get_errno() == errno.EFAULT)


def load_filter(program: bytes) -> HostFd:
    """Install a BPF program (struct sock_filter[]) in this thread and return its new listener.

    Uses WAIT_KILLABLE_RECV where the kernel has it. Needs no_new_privs or CAP_SYS_ADMIN. OSError(EBUSY) when a filter
    of this thread has a listener already: the kernel allows one in a process tree.
    """
    flags = SECCOMP_FILTER_FLAG_NEW_LISTENER
    if has_filter_flag(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV):
        flags |= SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
    buffer = ctypes.create_string_buffer(program, len(program))
    header = _Program(len(program) // _INSTRUCTION_SIZE, ctypes.addressof(buffer))
    return HostFd(libc.syscall(_SECCOMP, SECCOMP_SET_MODE_FILTER, flags, ctypes.addressof(header)))
