"""getsockopt(2) and setsockopt(2): who answers is in `sockets.option`."""

import errno
from typing import Final

from supervisor.abi.socket import AF_INET, AF_INET6, AF_UNIX, SO_ZEROCOPY, SOL_SOCKET
from supervisor.errors import SyscallError
from supervisor.kernel import sockets
from supervisor.policy.verdict import Verdict
from supervisor.sockets.option import BY_NUMBER, CLEARED_BY_READING, DIVERTING, LARGEST, TELLS_OF_THE_PEER
from supervisor.syscalls.call import Call, Denied
from supervisor.syscalls.reply import Continue, Reply, Value
from supervisor.syscalls.settle import as_program

_SERVICED: Final = frozenset({AF_INET, AF_INET6, AF_UNIX})


def getsockopt(call: Call, sockfd: int, level: int, optname: int, optval: int, optlen: int) -> Reply:
    """getsockopt(2): here for plain values; for the rest, and with bad pointers, by the kernel."""
    option = level, optname
    row = BY_NUMBER.get(option)
    fd, kind = call.take_socket(sockfd)
    if row is None or row.because or kind.family not in _SERVICED:
        return Continue()
    if option in TELLS_OF_THE_PEER and not _shares_namespaces(call):
        return Continue()
    try:
        length = int.from_bytes(call.thread.read(optlen, 4), "little", signed=True)
    except SyscallError:
        return Continue()
    if not 0 <= length <= LARGEST:
        return Continue()
    if option in CLEARED_BY_READING and not call.thread.can_write([(optval, length), (optlen, 4)]):
        return Continue()
    call.must_still_wait()
    value = sockets.get_option(fd, level, optname, length)
    try:
        call.thread.write(optval, value)
        call.thread.write(optlen, len(value).to_bytes(4, "little"))
    except SyscallError:
        return Continue()
    return Value(0)


def setsockopt(call: Call, sockfd: int, level: int, optname: int, optval: int, optlen: int) -> Reply:
    """setsockopt(2): decided on the integers alone, then performed here with the program's rights, or by the kernel.

    Options that divert packets are refused where destinations are; SO_ZEROCOPY is refused where the daemon sends
    copies, so that programs fall back instead of waiting for completions that never come.
    """
    policy = call.session.policy
    if (level, optname) in DIVERTING and (policy.can_refuse("connect") or policy.can_refuse("send")):
        call.wants_event = True
        raise Denied(Verdict(False, "options that divert packets are refused where destinations are", policy.errno))
    if (level, optname) == (SOL_SOCKET, SO_ZEROCOPY) and policy.can_refuse("send"):
        raise SyscallError(errno.EOPNOTSUPP)
    row = BY_NUMBER.get((level, optname))
    fd, kind = call.take_socket(sockfd)
    if row is None or row.because or kind.family not in _SERVICED or optlen < 0:
        return Continue()
    if not call.thread.shares_namespace("user"):
        return Continue()  # its capabilities are worth something to its own sockets that ours are not
    try:
        value = call.thread.read(optval, min(optlen, row.size))
    except SyscallError:
        return Continue()
    length = min(optlen, LARGEST)
    with as_program(call):
        call.must_still_wait()
        sockets.set_option(fd, level, optname, value.ljust(length, b"\0"), length)
    return Value(0)


def _shares_namespaces(call: Call) -> bool:
    return call.thread.shares_namespace("pid") and call.thread.shares_namespace("user")
