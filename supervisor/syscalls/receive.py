"""recvfrom(2), recvmsg(2), recvmmsg(2).

No decision depends on a pointer of theirs, so the kernel does them.
"""

from supervisor.syscalls.call import Call
from supervisor.syscalls.reply import Continue, Reply


def recvfrom(_call: Call, _sockfd: int, _buf: int, _len: int, _flags: int, _src_addr: int, _addrlen: int) -> Reply:
    """recvfrom(2), and recv(2)."""
    return Continue()


def recvmsg(_call: Call, _sockfd: int, _msg: int, _flags: int) -> Reply:
    """recvmsg(2)."""
    return Continue()


def recvmmsg(_call: Call, _sockfd: int, _msgvec: int, _vlen: int, _flags: int, _timeout: int) -> Reply:
    """recvmmsg(2)."""
    return Continue()
