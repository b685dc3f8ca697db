"""The socket calls on our own descriptors, with raw addresses and real flags.

Python's socket module retries EINTR, keeps timeouts and wants tuples; here a call is made once, with the bytes as
they were captured. A failure is the kernel's verdict on the program's call, so it is raised as SyscallError.
"""

import ctypes
import errno
import fcntl
import os
import socket as _socket
import struct
from functools import cache
from typing import Final, NamedTuple

from supervisor.abi.socket import (
    SO_COOKIE,
    SO_DOMAIN,
    SO_LINGER,
    SO_PROTOCOL,
    SO_TYPE,
    SOCKADDR_STORAGE_SIZE,
    SOL_SOCKET,
)
from supervisor.errors import SyscallError
from supervisor.kernel import libc
from supervisor.kernel.hostfd import HostFd, closer

TIMEVAL: Final = struct.Struct("@ll")
_INT: Final = struct.Struct("@i")
_LINGER: Final = struct.Struct("@ii")
_COOKIE: Final = struct.Struct("=Q")


class SocketKind(NamedTuple):
    """What a socket is: SO_DOMAIN, SO_TYPE, SO_PROTOCOL."""

    family: int
    type: int
    protocol: int


def _check(result: int) -> int:
    if result < 0:
        raise SyscallError(libc.get_errno())
    return result


def get_option(fd: HostFd, level: int, name: int, size: int) -> bytes:
    """getsockopt(2) with a buffer of `size` bytes; what the kernel wrote of it."""
    buffer = ctypes.create_string_buffer(size)
    length = ctypes.c_uint(size)
    _check(libc.getsockopt(fd.fileno(), level, name, buffer, ctypes.byref(length)))
    return buffer.raw[: length.value]


def set_option(fd: HostFd, level: int, name: int, value: bytes, length: int) -> None:
    """setsockopt(2). `length` is what the kernel is told; `value` has at least as much of it as the option takes."""
    _check(libc.setsockopt(fd.fileno(), level, name, value, length))


def get_int_option(fd: HostFd, level: int, name: int) -> int:
    """getsockopt(2) of an int."""
    return int(_INT.unpack(get_option(fd, level, name, 4))[0])


def kind_of(fd: HostFd) -> SocketKind:
    """What socket this is. SyscallError(ENOTSOCK) for other files, EBADF for an O_PATH descriptor."""
    try:
        # Python asks for the three by itself, in C: half the cost.
        probe = _socket.socket(fileno=fd.fileno())
    except OSError as error:
        if error.errno in (errno.ENOTSOCK, errno.EBADF):
            raise SyscallError(error.errno) from None
    else:
        kind = SocketKind(int(probe.family), int(probe.type), probe.proto)
        probe.detach()
        return kind
    return SocketKind(
        get_int_option(fd, SOL_SOCKET, SO_DOMAIN),
        get_int_option(fd, SOL_SOCKET, SO_TYPE),
        get_int_option(fd, SOL_SOCKET, SO_PROTOCOL),
    )


def closes_at_once(fd: HostFd) -> bool:
    """Is it a pipe, or a socket that does not linger? Asked of the descriptor alone: other files may hang at
    close(2), and at fstat(2)."""
    try:
        fcntl.fcntl(fd.fileno(), fcntl.F_GETPIPE_SZ)
    except OSError:
        try:
            return not lingers(fd)
        except SyscallError:
            return False
    return True


def is_path(fd: HostFd) -> bool:
    """Is it an O_PATH descriptor?"""
    return bool(fcntl.fcntl(fd.fileno(), fcntl.F_GETFL) & os.O_PATH)


def let_go(passed: list[HostFd]) -> None:
    """Close copies of a program's files, whatever they are.

    The program may expect to see the effect of closing its own copy at once; but of files whose close can hang (FUSE)
    no answer may depend.
    """
    for fd in passed:
        if closes_at_once(fd):
            fd.close()
        else:
            closer.close(fd)


def lingers(fd: HostFd) -> bool:
    """Does closing the last copy of this socket wait (SO_LINGER)?"""
    on, seconds = _LINGER.unpack(get_option(fd, SOL_SOCKET, SO_LINGER, _LINGER.size))
    return bool(on and seconds)


def cookie_of(fd: HostFd) -> int:
    """SO_COOKIE: the identity of a socket for as long as the machine runs."""
    return int(_COOKIE.unpack(get_option(fd, SOL_SOCKET, SO_COOKIE, 8))[0])


def timeout_of(fd: HostFd, name: int) -> float | None:
    """SO_RCVTIMEO or SO_SNDTIMEO in seconds; None when it is not set."""
    seconds, micro = TIMEVAL.unpack(get_option(fd, SOL_SOCKET, name, TIMEVAL.size))
    return seconds + micro / 1e6 if seconds or micro else None


def is_nonblocking(fd: HostFd) -> bool:
    """O_NONBLOCK as it is now. Another thread may change it the next moment: use it only to choose whether to wait,
    never to decide that a call cannot block."""
    return not os.get_blocking(fd.fileno())


def bind(fd: HostFd, address: bytes) -> None:
    """bind(2)."""
    _check(libc.bind(fd.fileno(), address, len(address)))


def connect(fd: HostFd, address: bytes) -> None:
    """connect(2). Blocks on a blocking stream socket: use `Ring.connect` for those."""
    _check(libc.connect(fd.fileno(), address, len(address)))


def listen(fd: HostFd, backlog: int) -> None:
    """listen(2)."""
    _check(libc.listen(fd.fileno(), backlog))


def shutdown(fd: HostFd, how: int) -> None:
    """shutdown(2)."""
    _check(libc.shutdown(fd.fileno(), how))


def _name(call: libc.CFunction, fd: HostFd) -> bytes:
    buffer = ctypes.create_string_buffer(SOCKADDR_STORAGE_SIZE)
    length = ctypes.c_uint(SOCKADDR_STORAGE_SIZE)
    _check(call(fd.fileno(), buffer, ctypes.byref(length)))
    return buffer.raw[: length.value]


def getsockname(fd: HostFd) -> bytes:
    """getsockname(2): the whole address."""
    return _name(libc.getsockname, fd)


def getpeername(fd: HostFd) -> bytes:
    """getpeername(2): the whole address."""
    return _name(libc.getpeername, fd)


def sendto(fd: HostFd, data: bytes, flags: int, address: bytes) -> int:
    """sendto(2)."""
    return _check(libc.sendto(fd.fileno(), data, len(data), ctypes.c_int(flags), address, len(address)))


_UNMAPPED: Final = 8
"""An address below vm.mmap_min_addr: nothing is ever mapped there."""


def sendmsg(
    fd: HostFd, address: bytes | None, data: bytes, control: bytes, flags: int, unreadable: int = 0
) -> int:
    """sendmsg(2) of one buffer. `address` None sends no name, b"" a name of length 0. The count sent.

    `unreadable` bytes follow the data in an iovec that faults: where the program's own buffer ended in memory that is
    not there, every protocol's way of failing half-way (or before: EMSGSIZE) is the kernel's own.
    """
    header = libc.MsgHdr()
    if address is not None:
        header.name = ctypes.cast(ctypes.c_char_p(address), ctypes.c_void_p)
        header.namelen = len(address)
    vectors = (libc.IoVec * 2)(
        libc.IoVec(ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data)), libc.IoVec(_UNMAPPED, unreadable)
    )
    header.iov = vectors
    header.iovlen = 2 if unreadable else 1
    if control:
        header.control = ctypes.cast(ctypes.c_char_p(control), ctypes.c_void_p)
        header.controllen = len(control)
    return _check(libc.sendmsg(fd.fileno(), ctypes.byref(header), ctypes.c_int(flags)))


@cache
def option_memory() -> int:
    """net.core.optmem_max: the kernel answers ENOBUFS to control data past it (`sock_kmalloc`)."""
    try:
        with open("/proc/sys/net/core/optmem_max", "rb") as file:
            return int(file.read())
    except OSError:
        return 128 * 1024
