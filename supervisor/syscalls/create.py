"""socket(2) and socketpair(2).

The arguments are integers, so what was decided cannot change: the kernel makes the socket, in the program's cgroup,
under its label and its uid.
"""

import errno

from supervisor.abi.inet import IPPROTO_MPTCP
from supervisor.abi.socket import AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_RAW, SOCK_TYPE_MASK
from supervisor.errors import SyscallError
from supervisor.kernel.sockets import SocketKind
from supervisor.syscalls.call import Call, Denied
from supervisor.syscalls.reply import Continue, Reply


def socket(call: Call, domain: int, type_: int, protocol: int) -> Reply:
    """socket(2). A refused MPTCP answers EPROTONOSUPPORT, as a kernel without it does: programs fall back to TCP."""
    try:
        _judge(call, domain, type_, protocol)
    except Denied:
        if protocol == IPPROTO_MPTCP and domain in (AF_INET, AF_INET6):
            raise SyscallError(errno.EPROTONOSUPPORT) from None
        raise
    return Continue()


def socketpair(call: Call, domain: int, type_: int, protocol: int, _sv: int) -> Reply:
    """socketpair(2)."""
    _judge(call, domain, type_, protocol)
    return Continue()


def _judge(call: Call, domain: int, type_: int, protocol: int) -> None:
    made = type_ & SOCK_TYPE_MASK
    if domain == AF_UNIX and made == SOCK_RAW:
        made = SOCK_DGRAM  # what the kernel makes of it
    call.judge("socket", SocketKind(domain, made, protocol), None)
