"""accept(2) and accept4(2)."""

import errno
import math
import os
from functools import partial
from typing import NamedTuple

import trio

from supervisor.abi.socket import SO_RCVTIMEO, SOCK_CLOEXEC, SOCK_NONBLOCK
from supervisor.errors import SyscallError
from supervisor.kernel import sockets
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.sockets import SocketKind
from supervisor.sockets.address import parse_reported
from supervisor.syscalls.call import Call, Denied
from supervisor.syscalls.parking import Parked
from supervisor.syscalls.reply import ERESTARTSYS, Continue, Fail, InstallFd, Later, Reply


class _Ask(NamedTuple):
    """The arguments of accept4(2)."""

    sockfd: int
    addr: int
    addrlen: int
    flags: int


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
    ask = _Ask(sockfd, addr, addrlen, flags)
    waiting = call.session.waiting
    while True:
        try:
            accepted = waiting.accept_now(fd, flags & SOCK_NONBLOCK)
        except SyscallError as error:
            if error.errno != errno.EAGAIN or sockets.is_nonblocking(fd):
                raise
            if not call.session.policy.can_refuse("accept"):
                return Continue()
            return _later(call, fd, kind, ask)
        if accepted is None:
            return _later(call, fd, kind, ask)
        reply = _judged(call, kind, accepted, ask)
        if reply is not None:
            return reply


def _judged(call: Call, kind: SocketKind, accepted: tuple[HostFd, bytes], ask: _Ask) -> Reply | None:
    """The reply for one accepted connection; None when its peer is refused: it is closed, and the next one asked."""
    fd, raw = accepted
    call.owned.append(fd)
    call.address = None
    try:
        call.judge("accept", kind, parse_reported(raw))
    except Denied:
        call.session.refusals += 1
        try:
            call.session.report(call.event("refused", 0))
        except Exception:  # noqa: BLE001 - a log that fails must not end anything
            call.session.unrecorded += 1
        call.owned.remove(fd)
        fd.close()
        return None
    if ask.addr:
        call.must_still_wait()
        call.write_address(raw, ask.addr, ask.addrlen)
    return InstallFd(fd, os.O_CLOEXEC if ask.flags & SOCK_CLOEXEC else 0)


def _later(call: Call, fd: HostFd, kind: SocketKind, ask: _Ask) -> Later:
    """Park the call now: what is still held when its thread is killed keeps its port."""
    timeout = sockets.timeout_of(fd, SO_RCVTIMEO)
    return Later(
        partial(_wait, call, fd, kind, None if sockets.is_nonblocking(fd) else _park(call, fd), timeout, ask),
        lambda: Fail(ERESTARTSYS if timeout is None else errno.EINTR),
    )


def _park(call: Call, fd: HostFd) -> tuple[Parked, int]:
    cookie = sockets.cookie_of(fd)
    call.owned.remove(fd)
    return call.session.waiting.parking.park(fd), cookie


async def _wait(
    call: Call, fd: HostFd, kind: SocketKind, parked: tuple[Parked, int] | None, limit: float | None, ask: _Ask
) -> Reply:
    with trio.move_on_after(math.inf if limit is None else limit):
        while True:
            if parked is not None:
                await parked[0].wait()
                fd = _again(call, ask.sockfd, parked[1])
            call.must_still_wait()
            try:
                accepted = await call.session.waiting.accept(fd, ask.flags & SOCK_NONBLOCK)
            except SyscallError as error:
                if error.errno != errno.EAGAIN or parked is None:
                    raise
                parked = _park(call, fd)  # another process was faster
                continue
            reply = _judged(call, kind, accepted, ask)
            if reply is not None:
                return reply
            if parked is not None:
                parked = _park(call, fd)
    return Fail(errno.EAGAIN)


def _again(call: Call, sockfd: int, cookie: int) -> HostFd:
    """The listening socket once more; EBADF when the number means something else by now."""
    fd, _ = call.take_socket(sockfd)
    if sockets.cookie_of(fd) != cookie:
        raise SyscallError(errno.EBADF)
    return fd
