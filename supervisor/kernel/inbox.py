"""recvmsg(2) into memory of ours, from where it is copied on to another process.

The buffers are kept: a program's receive buffers are often far larger than what is received, and fresh memory for each
call costs more than the call. What was received is therefore valid until the next call of the same inbox.
"""

import ctypes
import errno
import fcntl
import struct
import termios
from typing import Final, NamedTuple

from supervisor.abi.socket import MSG_TRUNC, SOCKADDR_STORAGE_SIZE
from supervisor.errors import SyscallError
from supervisor.kernel import libc
from supervisor.kernel.hostfd import HostFd

SIZE: Final = 256 * 1024
CONTROL_SIZE: Final = 64 * 1024
_INT: Final = struct.Struct("=i")


class Received(NamedTuple):
    """One message. `result` is what recvmsg returned: with MSG_TRUNC it can be more than what was copied, `copied`, to
    `address`. `control` and `flags` are msg_control and msg_flags as the kernel left them."""

    result: int
    copied: int
    address: int
    name: bytes
    control: bytes
    flags: int


class Inbox:
    """Buffers for one message at a time: not for several threads."""

    def __init__(self) -> None:
        self._data = bytearray(SIZE)
        self._name = bytearray(SOCKADDR_STORAGE_SIZE)
        self._control = bytearray(CONTROL_SIZE)
        self._at = libc.address_of(self._data)
        self._name_at = libc.address_of(self._name)
        self._control_at = libc.address_of(self._control)
        self._vector = libc.IoVec()
        self._header = libc.MsgHdr()
        self._header.iov = ctypes.pointer(self._vector)
        self._header.iovlen = 1
        self._reference = ctypes.byref(self._header)

    def receive(
        self, fd: HostFd, size: int, *, control: int = 0, has_control: bool = False, flags: int = 0
    ) -> Received:
        """recvmsg(2) of up to `size` bytes with a msg_controllen of `control`. SyscallError as the kernel's.

        Without `has_control` msg_control is NULL, whatever its length. Large sizes are cut to what is there.
        """
        large = None
        if size > SIZE:
            size = min(size, max(SIZE, available(fd)))
            large = bytearray(size) if size > SIZE else None
        address = self._at if large is None else libc.address_of(large)
        header = self._header
        header.name, header.namelen = self._name_at, SOCKADDR_STORAGE_SIZE
        self._vector.base, self._vector.len = address, size
        header.control = self._control_at if has_control else None
        header.controllen = min(control, CONTROL_SIZE) if has_control else control
        header.flags = 0
        if has_control:  # the kernel leaves padding as it is, and it was another program's
            ctypes.memset(self._control_at, 0, header.controllen)
        if flags & MSG_TRUNC:  # the count may be of more than was copied
            ctypes.memset(address, 0, size)
        count = libc.recvmsg(fd.fileno(), self._reference, flags)
        if count < 0:
            raise SyscallError(libc.get_errno())
        self._large = large  # kept until the next call: `address` is in it
        name = bytes(self._name[: header.namelen]) if header.namelen else b""
        written = bytes(self._control[: header.controllen]) if has_control and header.controllen else b""
        return Received(count, min(count, size), address, name, written, header.flags)


def available(fd: HostFd) -> int:
    """FIONREAD: the bytes that a stream has, or the size of the next datagram; 0 where a socket does not say."""
    answer = bytearray(_INT.size)
    try:
        fcntl.ioctl(fd.fileno(), termios.FIONREAD, answer, True)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOTTY, errno.EOPNOTSUPP):
            return 0
        raise
    return int(_INT.unpack(answer)[0])
