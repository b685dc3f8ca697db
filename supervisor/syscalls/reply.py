"""What a call can be answered with. A closed union: CONTINUE together with a value cannot be written."""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from supervisor.kernel.hostfd import HostFd

ERESTARTSYS: Final = 512
"""Not an errno that programs see: the kernel restarts the call under SA_RESTART and says EINTR otherwise."""


class Value(NamedTuple):
    """The call returns this, 0 or more."""

    value: int


class InstallFd(NamedTuple):
    """The call returns a new descriptor of the program, a copy of `fd`. `flags` is O_CLOEXEC or 0."""

    fd: HostFd
    flags: int


class Continue(NamedTuple):
    """The kernel performs the call itself. Only where nothing that was decided can change under us."""


class Fail(NamedTuple):
    """The call fails: a positive errno, or ERESTARTSYS."""

    errno: int


Reply = Value | InstallFd | Continue | Fail


class Later:
    """A call that has to wait: `run` becomes a task.

    `interrupted` is asked for the reply when a signal is meant for the thread while `run` still waits; by default the
    kernel decides between a restart and EINTR.
    """

    __slots__ = ("interrupted", "run")

    def __init__(
        self, run: Callable[[], Awaitable[Reply]], interrupted: Callable[[], Reply] = lambda: Fail(ERESTARTSYS)
    ) -> None:
        self.run = run
        self.interrupted = interrupted


def after(first: Callable[[], Awaitable[Reply | Later]]) -> Later:
    """A call that waits for `first`, and then for whatever that leaves to be waited for, on its terms."""

    async def run() -> Reply:
        reply = await first()
        if isinstance(reply, Later):
            later.interrupted = reply.interrupted
            return await reply.run()
        return reply

    later = Later(run)
    return later
