"""recvfrom(2), recvmsg(2), recvmmsg(2).

What is there is received here, on our duplicate, and copied to the program. A call that has to wait is the kernel's:
nothing of its result has to change, and a call parked in the daemon makes every other one dearer. So is every call
whose result we could not give: a bad pointer (see `kernel.mapping`), descriptors for which we have no room.
"""

import errno
from collections.abc import Callable
from typing import NamedTuple

from supervisor.abi.inet import IPPROTO_MPTCP, IPPROTO_TCP
from supervisor.abi.message import (
    MMSGHDR_LEN_OFFSET,
    MMSGHDR_SIZE,
    MSGHDR_CONTROLLEN_OFFSET,
    MSGHDR_FLAGS_OFFSET,
    MSGHDR_NAMELEN_OFFSET,
)
from supervisor.abi.socket import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    MSG_CMSG_CLOEXEC,
    MSG_CMSG_COMPAT,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    MSG_WAITFORONE,
    SCM_MAX_FD,
    SO_PEEK_OFF,
    SO_RCVLOWAT,
    SOCK_STREAM,
    SOCKADDR_STORAGE_SIZE,
    SOL_SOCKET,
)
from supervisor.errors import SyscallError
from supervisor.kernel import sockets
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.inbox import Inbox, available
from supervisor.kernel.process import spare_descriptors
from supervisor.kernel.sockets import SocketKind
from supervisor.syscalls.call import Call
from supervisor.syscalls.message import MAX_RW_COUNT, capture_header, capture_ranges, must_be_user, part_of
from supervisor.syscalls.received import HEADER_SIZE, hand_over, holds_a_path, written
from supervisor.syscalls.reply import Continue, Reply, Value

_SERVICED = frozenset({AF_INET, AF_INET6, AF_UNIX})
_LARGEST_BATCH = 1024
_inbox = Inbox()


class _Ask(NamedTuple):
    """What one receive asks for. `name` is (address, room there, address of its length); `msg` a struct msghdr or 0."""

    ranges: list[tuple[int, int]]
    size: int
    flags: int
    name: tuple[int, int, int]
    msg: int = 0
    control: int = 0
    controllen: int = 0


class _Kernels(Exception):  # noqa: N818 - not a mistake
    """Better left to the kernel; nothing has been received."""


def recvfrom(call: Call, sockfd: int, buf: int, length: int, flags: int, src_addr: int, addrlen: int) -> Reply:
    """recvfrom(2), and recv(2)."""
    must_be_user([(buf, length := min(length, MAX_RW_COUNT))])
    fd, kind = call.take_socket(sockfd)
    # recvmsg, which we use, knows a flag that recvfrom ignores.
    ask = _Ask([(buf, length)], length, flags & ~MSG_CMSG_COMPAT, (src_addr, 1, addrlen))
    return _one(call, fd, kind, ask)


def recvmsg(call: Call, sockfd: int, msg: int, flags: int) -> Reply:
    """recvmsg(2)."""
    if flags & MSG_CMSG_COMPAT:
        raise SyscallError(errno.EINVAL)
    fd, kind = call.take_socket(sockfd)
    return _one(call, fd, kind, _capture(call, msg, flags))


def recvmmsg(call: Call, sockfd: int, msgvec: int, vlen: int, flags: int, timeout: int) -> Reply:
    """recvmmsg(2): here what is there of a batch that need not be waited for; without a timeout, which the kernel
    counts down and writes back."""
    if flags & MSG_CMSG_COMPAT:
        raise SyscallError(errno.EINVAL)
    if timeout or not 0 < vlen <= _LARGEST_BATCH:
        return Continue()
    fd, kind = call.take_socket(sockfd)
    if kind.type == SOCK_STREAM:
        return Continue()  # the kernel tells of a pending error before it gives data (`do_recvmmsg`)
    if vlen > 1 and not flags & MSG_WAITFORONE and _waits(fd, flags):
        return Continue()  # what had been received could not be given back to wait for the rest
    try:
        asks = [_capture(call, msgvec + index * MMSGHDR_SIZE, flags & ~MSG_WAITFORONE) for index in range(vlen)]
    except SyscallError:
        return Continue()
    try:
        # An error after the first message would have to become the socket's own, which only the kernel can do.
        places = [place for ask in asks for place in _places(ask)]
        if not call.thread.can_write([(msgvec, vlen * MMSGHDR_SIZE), *places]):
            raise _Kernels
        _must_be_given(call, fd, kind, asks[0])
    except _Kernels:
        return Continue()
    return _if_any(lambda: _batch(call, fd, kind, msgvec, asks))


def _batch(call: Call, fd: HostFd, kind: SocketKind, msgvec: int, asks: list[_Ask]) -> Reply:
    count = 0
    for ask in asks:
        try:
            if count and kind.family == AF_UNIX and ask.controllen > HEADER_SIZE:
                _must_be_installable(fd, ask)
            received, flags = _receive(call, fd, kind, ask)
        except _Kernels:
            break  # the next call begins with it
        except SyscallError:
            if count == 0:
                raise
            break
        at = msgvec + count * MMSGHDR_SIZE + MMSGHDR_LEN_OFFSET
        call.thread.write(at, received.to_bytes(4, "little"))
        count += 1
        if flags & MSG_OOB:
            break  # the kernel stops at urgent data
    return Value(count)


def _one(call: Call, fd: HostFd, kind: SocketKind, ask: _Ask) -> Reply:
    try:
        # What is received and cannot be written is lost, and so are the descriptors with it, and a stack does not grow
        # for us. What the kernel does of it differs from protocol to protocol.
        if not call.thread.can_write(_places(ask)):
            raise _Kernels
        _must_be_given(call, fd, kind, ask)
    except _Kernels:
        return Continue()
    return _if_any(lambda: Value(_receive(call, fd, kind, ask)[0]))


def _places(ask: _Ask) -> list[tuple[int, int]]:
    """Everywhere that the kernel would write; a pointer to a name or to control data may be NULL."""
    pointer, room, length = ask.name
    optional = (ask.control, ask.controllen), (pointer, room), (length if pointer else 0, 4)
    return [*ask.ranges, *(place for place in optional if place[0])]


def _if_any(receive: Callable[[], Reply]) -> Reply:
    try:
        return receive()
    except SyscallError as error:
        if error.errno == errno.EAGAIN:
            return Continue()  # also where it does not wait: a unix stream writes credentials all the same
        raise


def _capture(call: Call, msg: int, flags: int) -> _Ask:
    header = capture_header(call, msg)
    ranges = capture_ranges(call, header)
    size = min(sum(length for _, length in ranges), MAX_RW_COUNT)
    name = header.name, min(header.namelen, SOCKADDR_STORAGE_SIZE), msg + MSGHDR_NAMELEN_OFFSET
    return _Ask(ranges, size, flags, name, msg, header.control, header.controllen)


def _waits(fd: HostFd, flags: int) -> bool:
    return not flags & MSG_DONTWAIT and not sockets.is_nonblocking(fd)


def _must_be_given(call: Call, fd: HostFd, kind: SocketKind, ask: _Ask) -> None:
    """_Kernels for what only the kernel can do as it should be."""
    if kind.family not in _SERVICED or not call.session.listener.killable:
        raise _Kernels
    if ask.flags & (MSG_PEEK | MSG_TRUNC) == MSG_PEEK | MSG_TRUNC:
        raise _Kernels  # with SO_PEEK_OFF nobody is told how much was copied
    if kind.family == AF_UNIX and ask.controllen > HEADER_SIZE:
        # Pids and uids of credentials are in terms of who receives; a descriptor that we cannot hold is lost for good.
        if not (call.thread.shares_namespace("pid") and call.thread.shares_namespace("user")):
            raise _Kernels
        if spare_descriptors() <= SCM_MAX_FD:
            raise _Kernels
        _must_be_installable(fd, ask)
    if kind.type == SOCK_STREAM and _waits(fd, ask.flags):
        # Without waiting a receive takes less than a blocking one waits for (`sock_rcvlowat`).
        least = ask.size if ask.flags & MSG_WAITALL else sockets.get_int_option(fd, SOL_SOCKET, SO_RCVLOWAT)
        if min(least, ask.size) > 1 and available(fd) < min(least, ask.size):
            raise _Kernels


def _must_be_installable(fd: HostFd, ask: _Ask) -> None:
    """ADDFD takes no O_PATH descriptor, and one that was received cannot be put back: look first.

    Looking moves the offset of SO_PEEK_OFF, where that is set.
    """
    if ask.flags & (MSG_OOB | MSG_ERRQUEUE):
        return  # these carry none
    if sockets.get_int_option(fd, SOL_SOCKET, SO_PEEK_OFF) >= 0:
        raise _Kernels
    try:
        flags = ask.flags | MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC
        seen = _inbox.receive(fd, ask.size, control=ask.controllen, has_control=bool(ask.control), flags=flags)
    except SyscallError as error:
        if error.errno == errno.EAGAIN:
            return
        raise
    if holds_a_path(seen.control):
        raise _Kernels


def _receive(call: Call, fd: HostFd, kind: SocketKind, ask: _Ask) -> tuple[int, int]:
    """Receive one message and give it to the program: the count and msg_flags."""
    call.must_still_wait()
    flags = ask.flags | MSG_DONTWAIT | (MSG_CMSG_CLOEXEC if kind.family == AF_UNIX else 0)
    got = _inbox.receive(fd, ask.size, control=ask.controllen, has_control=bool(ask.control), flags=flags)
    control, msg_flags = hand_over(call, got.control, got.flags, ask.flags)
    count = got.result
    # TCP throws away what MSG_TRUNC asks for; datagrams are copied, and only the count tells more.
    tcp = kind.family != AF_UNIX and kind.protocol in (IPPROTO_TCP, IPPROTO_MPTCP)
    discarded = tcp and ask.flags & (MSG_TRUNC | MSG_ERRQUEUE) == MSG_TRUNC
    # No more than that: all that is named becomes the program's memory (`process_vm_rw_single_vec` pins it).
    ranges = part_of(ask.ranges, 0, got.copied)
    if not discarded and call.thread.write_vectors(ranges, got.address, got.copied) < got.copied:
        raise SyscallError(errno.EFAULT)
    if ask.msg:
        # The kernel writes no padding: what the program had there stays.
        for start, end in written(control):
            call.thread.write(ask.control + start, control[start:end])
    pointer, _, length = ask.name
    if pointer:
        call.write_address(got.name, pointer, length)
    if ask.msg:
        call.thread.write(ask.msg + MSGHDR_FLAGS_OFFSET, msg_flags.to_bytes(4, "little", signed=msg_flags < 0))
        call.thread.write(ask.msg + MSGHDR_CONTROLLEN_OFFSET, len(control).to_bytes(8, "little"))
    return count, msg_flags
