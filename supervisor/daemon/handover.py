"""Taking a listener over from a launcher.

The launcher cannot send it, because sendmsg is trapped by then: it writes the number, and we take it with pidfd_getfd.
"""

import os

from supervisor.errors import StartError, SyscallError, TraceeGone
from supervisor.kernel import process
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.listener import Listener
from supervisor.tracee.proc import parse_filters

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


def filters_of(pid: int) -> int:
    """How many seccomp filters a process has loaded. StartError when it is gone."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
            return parse_filters(file.read())
    except OSError as error:
        raise StartError(f"the launcher is gone: {error.strerror}") from None


def must_have_loaded(pid: int, before: int) -> None:
    """Has this very process loaded a filter since `before` was counted? StartError otherwise.

    Fact: a connection that a supervisor performs for a program carries the supervisor's pid, and the supervisor holds
    the program's listener.
    Consequence: a program that may reach a control socket could name its own listener there, and give itself another
    policy.
    Decision: only the process that has just put itself under a filter can hand a listener over.
    """
    if pid == os.getpid() or filters_of(pid) <= before:
        raise StartError("the process at the other end has not loaded the filter: it may not hand over a listener")


def as_listener(fd: HostFd) -> Listener:
    """A descriptor as a listener; StartError when it is something else."""
    if os.readlink(f"/proc/self/fd/{fd.fileno()}") != _LINK:
        raise StartError("the descriptor is not a seccomp listener")
    return Listener(fd)


