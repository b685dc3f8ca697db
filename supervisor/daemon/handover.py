"""Taking a listener over from a launcher.

The launcher cannot send it, because sendmsg is trapped by then: it writes the number, and we take it with pidfd_getfd.
"""

import os

from supervisor.errors import StartError, SyscallError, TraceeGone
from supervisor.kernel import process
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.listener import Listener

_LINK = "anon_inode:seccomp notify"


def take_listener(pid: int, number: object) -> Listener:
    """The listener that process `pid` has as descriptor `number`. StartError, with the reason, when it is none."""
    if not isinstance(number, int) or not 0 <= number < 1 << 31:
        raise StartError("the launcher named no descriptor")
    try:
        with process.open_pidfd(pid) as pidfd:
            fd = process.take_fd(pidfd, number)
    except (TraceeGone, SyscallError):
        raise StartError("the launcher has no such descriptor") from None
    except OSError as error:
        raise StartError(
            f"may not look into the launcher ({error.strerror}): the supervisor needs to be its ancestor under Yama, "
            "to have its user id, or CAP_SYS_PTRACE"
        ) from None
    try:
        return as_listener(fd)
    except BaseException:
        fd.close()
        raise


def as_listener(fd: HostFd) -> Listener:
    """A descriptor as a listener; StartError when it is something else."""
    if os.readlink(f"/proc/self/fd/{fd.fileno()}") != _LINK:
        raise StartError("the descriptor is not a seccomp listener")
    return Listener(fd)


