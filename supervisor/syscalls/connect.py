"""connect(2)."""

import errno
import math
from contextlib import nullcontext
from functools import partial

import trio

from supervisor.abi.socket import AF_INET, AF_INET6, AF_UNIX, SO_SNDTIMEO, SOCK_DGRAM, SOCK_RAW
from supervisor.errors import SyscallError
from supervisor.families.provider import Target
from supervisor.kernel import sockets
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.sockets import SocketKind
from supervisor.syscalls.call import Call
from supervisor.syscalls.reply import ERESTARTSYS, Fail, Later, Reply, Value
from supervisor.syscalls.settle import as_program, settle
from supervisor.syscalls.waiting import Connecting


def connect(call: Call, sockfd: int, addr: int, addrlen: int) -> Reply | Later:
    """connect(2): `__sys_connect` looks at the descriptor, then the address, then whether it is a socket."""
    fd, kind = call.take_file(sockfd)
    raw = call.capture_address(addr, addrlen)
    if kind is None:
        raise SyscallError(errno.ENOTSOCK)
    return settle(call, "connect", kind, raw, partial(_perform, call, fd, kind))


def _perform(call: Call, fd: HostFd, kind: SocketKind, target: Target) -> Reply | Later:
    # Nobody asks who connects an inet socket.
    acting = nullcontext if kind.family in (AF_INET, AF_INET6) else partial(as_program, call)
    if kind.type in (SOCK_DGRAM, SOCK_RAW):
        # Sets an address and a route: it never waits, so the plain call is safe.
        with acting():
            sockets.connect(fd, target.raw)
        return Value(0)
    if sockets.is_nonblocking(fd):
        result = call.session.waiting.connect_now(fd, target.raw, acting)
        if result != -errno.EINTR:
            return _reply(result)
        # The flag was cleared just then: it is a blocking connect after all.
    connecting = call.session.waiting.connect(fd, target.raw, acting)
    if connecting.result == -errno.EALREADY and not sockets.is_nonblocking(fd):
        # A blocking connect that comes again after a signal, or a second thread's: the kernel waits with it.
        return _waiting(call, fd, kind, target, None)
    if connecting.result is not None:
        return _reply(connecting.result)
    return _waiting(call, fd, kind, target, connecting)


def _reply(result: int) -> Reply:
    return Value(0) if result == 0 else Fail(-result)


def _waiting(call: Call, fd: HostFd, kind: SocketKind, target: Target, connecting: Connecting | None) -> Later:
    timeout = sockets.timeout_of(fd, SO_SNDTIMEO)
    expired = errno.EAGAIN if kind.family == AF_UNIX else errno.EINPROGRESS if connecting else errno.EALREADY

    async def run() -> Reply:
        with trio.move_on_after(math.inf if timeout is None else timeout):
            if connecting is not None:
                result = await connecting.wait()
            else:
                result = await _wait_on(call, fd, target)
            return _reply(result)
        late = connecting.result if connecting else None
        return Fail(expired) if late is None else _reply(late)

    def interrupted() -> Reply:
        late = connecting.result if connecting else None
        if late is not None:
            return _reply(late)
        # With a timeout a native connect is never restarted: the time would start again.
        return Fail(ERESTARTSYS if timeout is None else errno.EINTR)

    return Later(run, interrupted)


async def _wait_on(call: Call, fd: HostFd, target: Target) -> int:
    """Wait with a handshake that is under way, until the kernel says how it ended."""
    while True:
        await trio.lowlevel.wait_writable(fd.fileno())
        connecting = call.session.waiting.connect(fd, target.raw)
        result = connecting.result if connecting.result is not None else await connecting.wait()
        if result != -errno.EALREADY:
            return result
