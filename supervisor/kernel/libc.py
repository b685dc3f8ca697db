"""libc through ctypes, its argument types declared once, every failure an OSError.

`ctypes.CDLL` releases the GIL around each call; PyDLL must never be used here, because several of these calls can
block on what a program does with its memory or its descriptors.
"""

import ctypes
import os
import platform
from collections.abc import Callable
from typing import Any, Final

from supervisor.abi.numbers import ARCHITECTURES, COMMON

ARCHITECTURE: Final = ARCHITECTURES.get(platform.machine())

_libc: Final = ctypes.CDLL(None, use_errno=True)
CFunction = Callable[..., int]

get_errno: Final = ctypes.get_errno

_int, _long, _uint, _void, _size = ctypes.c_int, ctypes.c_long, ctypes.c_uint, ctypes.c_void_p, ctypes.c_size_t


def _declare(name: str, *types: Any, result: Any = ctypes.c_int) -> CFunction:
    function = getattr(_libc, name)
    function.argtypes = types
    function.restype = result
    return function  # type: ignore[no-any-return]


# Functions that libc has; the rest goes through syscall(2), whose arguments are all long.
bind = _declare("bind", _int, ctypes.c_char_p, _uint)
connect = _declare("connect", _int, ctypes.c_char_p, _uint)
listen = _declare("listen", _int, _int)
shutdown = _declare("shutdown", _int, _int)
accept4 = _declare("accept4", _int, _void, _void, _int)
getsockname = _declare("getsockname", _int, _void, ctypes.POINTER(_uint))
getpeername = _declare("getpeername", _int, _void, ctypes.POINTER(_uint))
getsockopt = _declare("getsockopt", _int, _int, _int, _void, ctypes.POINTER(_uint))
sendto = _declare("sendto", _int, ctypes.c_char_p, _size, _int, ctypes.c_char_p, _uint, result=ctypes.c_ssize_t)
sendmsg = _declare("sendmsg", _int, _void, _int, result=ctypes.c_ssize_t)
recvmsg = _declare("recvmsg", _int, _void, _int, result=ctypes.c_ssize_t)
setsockopt = _declare("setsockopt", _int, _int, _int, ctypes.c_char_p, _uint)
process_vm_readv = _declare(
    "process_vm_readv", _int, _void, ctypes.c_ulong, _void, ctypes.c_ulong, ctypes.c_ulong, result=ctypes.c_ssize_t
)
process_vm_writev = _declare(
    "process_vm_writev", _int, _void, ctypes.c_ulong, _void, ctypes.c_ulong, ctypes.c_ulong, result=ctypes.c_ssize_t
)
prctl = _declare("prctl", _int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
unshare = _declare("unshare", _int)
signalfd = _declare("signalfd", _int, _void, _int)
eventfd = _declare("eventfd", _uint, _int)
mmap = _declare("mmap", _void, _size, _int, _int, _int, _long, result=_void)
munmap = _declare("munmap", _void, _size)
syscall6 = _declare("syscall", _long, _long, _long, _long, _long, _long, _long, result=_long)


class IoVec(ctypes.Structure):
    """struct iovec of this process."""

    _fields_ = (("base", _void), ("len", _size))


class MsgHdr(ctypes.Structure):
    """struct msghdr of this process."""

    _fields_ = (
        ("name", _void), ("namelen", _uint), ("iov", ctypes.POINTER(IoVec)), ("iovlen", _size), ("control", _void),
        ("controllen", _size), ("flags", _int),
    )


def number(name: str) -> int:
    """The number of a system call on this machine. OSError(ENOSYS) on a machine that is not supported."""
    if name in COMMON:
        return COMMON[name]
    if ARCHITECTURE is None:
        raise OSError(38, f"machine {platform.machine()} is not supported")
    return ARCHITECTURE.calls[name]


def fail() -> OSError:
    """The OSError of the call that has just failed in this thread."""
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))


def syscall(nr: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0, e: int = 0, f: int = 0) -> int:
    """syscall(2). Returns its value; OSError with its errno."""
    result: int = syscall6(nr, a, b, c, d, e, f)
    if result < 0:
        raise fail()
    return result


def address_of(buffer: bytearray) -> int:
    """The address of a bytearray's storage: valid until it is resized or freed."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
