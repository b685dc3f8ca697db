"""getsockopt(2) and setsockopt(2)."""

import errno

from supervisor.abi.socket import SO_ZEROCOPY, SOL_SOCKET
from supervisor.errors import SyscallError
from supervisor.policy.verdict import Verdict
from supervisor.syscalls.call import Call, Denied
from supervisor.syscalls.reply import Continue, Reply
from supervisor.syscalls.send import DIVERTING


def getsockopt(_call: Call, _sockfd: int, _level: int, _optname: int, _optval: int, _optlen: int) -> Reply:
    """getsockopt(2): the kernel answers."""
    return Continue()


def setsockopt(call: Call, _sockfd: int, level: int, optname: int, _optval: int, _optlen: int) -> Reply:
    """setsockopt(2): decided on the integers alone, then the kernel's.

    Options that divert packets are refused where destinations are; SO_ZEROCOPY is refused where the daemon sends
    copies, so that programs fall back instead of waiting for completions that never come.
    """
    policy = call.session.policy
    if (level, optname) in DIVERTING and (policy.can_refuse("connect") or policy.can_refuse("send")):
        call.wants_event = True
        raise Denied(Verdict(False, "options that divert packets are refused where destinations are", policy.errno))
    if (level, optname) == (SOL_SOCKET, SO_ZEROCOPY) and policy.can_refuse("send"):
        raise SyscallError(errno.EOPNOTSUPP)
    return Continue()
