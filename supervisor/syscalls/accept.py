"""accept(2) and accept4(2)."""

import errno
import math
import os
from functools import partial

import trio

from supervisor.abi.socket import SO_RCVTIMEO, SOCK_CLOEXEC, SOCK_NONBLOCK
from supervisor.errors import SyscallError
from supervisor.kernel import sockets
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.sockets import SocketKind
from supervisor.sockets.address import parse_reported
from supervisor.syscalls.call import Call, Denied
from supervisor.syscalls.reply import ERESTARTSYS, Continue, Fail, InstallFd, Later, Reply


def accept(call: Call, sockfd: int, addr: int, addrlen: int) -> Reply | Later:
    """accept(2)."""
    return accept4(call, sockfd, addr, addrlen, 0)


def accept4(call: Call, sockfd: int, addr: int, addrlen: int, flags: int) -> Reply | Later:
    """accept4(2).

    A connection that is there is accepted here, judged by its peer, and installed. When there is none and no rule is
    about peers, the kernel may as well do the waiting: a call parked in the daemon makes every other one dearer.
    """
    fd, kind = call.take_file(sockfd)
    if flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK):
        raise SyscallError(errno.EINVAL)
    if kind is None:
        raise SyscallError(errno.ENOTSOCK)
    if call.thread.table_is_full():
        raise SyscallError(errno.EMFILE)  # before a connection is taken that could not be given
    call.must_still_wait()
    waiting = call.session.waiting
    while True:
        try:
            accepted = waiting.accept_now(fd, flags & SOCK_NONBLOCK)
        except SyscallError as error:
            if error.errno != errno.EAGAIN or sockets.is_nonblocking(fd):
                raise
            if not call.session.policy.can_refuse("accept"):
                return Continue()
            return _later(call, fd, kind, addr, addrlen, flags)
        if accepted is None:
            return _later(call, fd, kind, addr, addrlen, flags)
        reply = _judged(call, kind, accepted, addr, addrlen, flags)
        if reply is not None:
            return reply


def _judged(
    call: Call, kind: SocketKind, accepted: tuple[HostFd, bytes], addr: int, addrlen: int, flags: int
) -> Reply | None:
    """The reply for one accepted connection; None when its peer is refused: it is closed, and the next one asked."""
    fd, raw = accepted
    call.owned.append(fd)
    call.address = None
    try:
        call.judge("accept", kind, parse_reported(raw))
    except Denied:
        call.session.report(call.event("refused", 0))
        call.owned.remove(fd)
        fd.close()
        return None
    if addr:
        call.must_still_wait()
        call.write_address(raw, addr, addrlen)
    return InstallFd(fd, os.O_CLOEXEC if flags & SOCK_CLOEXEC else 0)


def _later(call: Call, fd: HostFd, kind: SocketKind, addr: int, addrlen: int, flags: int) -> Later:
    timeout = sockets.timeout_of(fd, SO_RCVTIMEO)
    return Later(
        partial(_wait, call, fd, kind, timeout, addr, addrlen, flags),
        lambda: Fail(ERESTARTSYS if timeout is None else errno.EINTR),
    )


async def _wait(
    call: Call, fd: HostFd, kind: SocketKind, limit: float | None, addr: int, addrlen: int, flags: int
) -> Reply:
    parked = call.session.waiting.parked
    parked[fd] = call.thread.pidfd()
    try:
        return await _wait_parked(call, fd, kind, limit, addr, addrlen, flags)
    finally:
        parked.pop(fd, None)


async def _wait_parked(
    call: Call, fd: HostFd, kind: SocketKind, limit: float | None, addr: int, addrlen: int, flags: int
) -> Reply:
    blocking = not sockets.is_nonblocking(fd)
    with trio.move_on_after(math.inf if limit is None else limit):
        while True:
            if blocking:
                await trio.lowlevel.wait_readable(fd.fileno())
            call.must_still_wait()
            try:
                accepted = await call.session.waiting.accept(fd, flags & SOCK_NONBLOCK)
            except SyscallError as error:
                if error.errno != errno.EAGAIN or not blocking:
                    raise
                await trio.lowlevel.checkpoint()  # another process was faster
                continue
            reply = _judged(call, kind, accepted, addr, addrlen, flags)
            if reply is not None:
                return reply
    return Fail(errno.EAGAIN)
