"""Netlink sockets that we bind or send on for a program.

Fact: a netlink socket without a port of its own gets its owner's pid, and the kernel takes the caller's for that.
Consequence: a socket that we bind would carry the daemon's pid, and programs compare it with their own.
Decision: ask for the program's pid first, as the kernel does, and leave the choice to it where that is taken.
"""

import errno
import struct
from typing import Final

from supervisor.abi.socket import AF_NETLINK
from supervisor.errors import SyscallError
from supervisor.kernel import sockets
from supervisor.kernel.hostfd import HostFd
from supervisor.syscalls.call import Call

_SOCKADDR_NL: Final = struct.Struct("=HHII")


def bind_as_program(call: Call, fd: HostFd, raw: bytes) -> None:
    """bind(2) of a netlink socket; nl_pid 0 asks for a port."""
    if len(raw) >= _SOCKADDR_NL.size:
        family, pad, pid, groups = _SOCKADDR_NL.unpack_from(raw)
        if family == AF_NETLINK and pid == 0 and not _port(fd):
            try:
                sockets.bind(fd, _SOCKADDR_NL.pack(family, pad, call.thread.status().tgid, groups))
            except SyscallError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return
    sockets.bind(fd, raw)


def name_as_program(call: Call, fd: HostFd) -> None:
    """Give a socket that is about to send the port that it would get by itself."""
    if not _port(fd):
        bind_as_program(call, fd, _SOCKADDR_NL.pack(AF_NETLINK, 0, 0, 0))


def _port(fd: HostFd) -> int:
    return int(_SOCKADDR_NL.unpack(sockets.getsockname(fd))[2])
