"""getsockname(2) and getpeername(2)."""

from collections.abc import Callable

from supervisor.kernel import sockets
from supervisor.kernel.hostfd import HostFd
from supervisor.syscalls.call import Call
from supervisor.syscalls.reply import Reply, Value


def getsockname(call: Call, sockfd: int, addr: int, addrlen: int) -> Reply:
    """getsockname(2)."""
    return _name(call, sockfd, addr, addrlen, sockets.getsockname)


def getpeername(call: Call, sockfd: int, addr: int, addrlen: int) -> Reply:
    """getpeername(2)."""
    return _name(call, sockfd, addr, addrlen, sockets.getpeername)


def _name(call: Call, sockfd: int, addr: int, addrlen: int, ask: Callable[[HostFd], bytes]) -> Reply:
    fd, _ = call.take_socket(sockfd)
    name = ask(fd)
    call.must_still_wait()
    call.write_address(name, addr, addrlen)
    return Value(0)
