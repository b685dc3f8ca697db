"""connect(2)."""

import errno
import math
from functools import partial

import trio

from supervisor.abi.socket import AF_UNIX, SO_SNDTIMEO, SOCK_DGRAM, SOCK_RAW
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
    fd = call.take(sockfd)
    raw = call.capture_address(addr, addrlen)
    kind = call.kind_of(fd)
    return settle(call, "connect", kind, raw, partial(_perform, call, fd, kind))


def _perform(call: Call, fd: HostFd, kind: SocketKind, target: Target) -> Reply | Later:
    with as_program(call):
        if kind.type in (SOCK_DGRAM, SOCK_RAW):
            # Sets an address and a route: it never waits, so the plain call is safe.
            sockets.connect(fd, target.raw)
            return Value(0)
        connecting = call.session.waiting.connect(fd, target.raw)
    if connecting.result is not None:
        return _answer(call, fd, kind, target, connecting.result)
    if sockets.is_nonblocking(fd):
        # The ring waits for TCP whatever the file says; the handshake goes on without it.
        return _without_waiting(connecting)
    return _waiting(call, fd, kind, target, connecting)


def _without_waiting(connecting: Connecting) -> Reply:
    connecting.take_back()
    if connecting.result is not None:
        return Value(0) if connecting.result == 0 else Fail(-connecting.result)
    return Fail(errno.EINPROGRESS)


def _answer(call: Call, fd: HostFd, kind: SocketKind, target: Target, result: int) -> Reply | Later:
    if result == -errno.EALREADY and not sockets.is_nonblocking(fd):
        # A blocking connect that comes again after a signal, or a second thread's: the kernel waits with it.
        return _waiting(call, fd, kind, target, None)
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
            return Value(0) if result == 0 else Fail(-result)
        late = connecting.result if connecting else None
        if late is not None:
            return Value(0) if late == 0 else Fail(-late)
        return Fail(expired)

    def interrupted() -> Reply:
        late = connecting.result if connecting else None
        if late is not None:
            return Value(0) if late == 0 else Fail(-late)
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
