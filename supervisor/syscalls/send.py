"""sendto(2), sendmsg(2), sendmmsg(2)."""

import errno
import math
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

import trio

from supervisor.abi.inet import (
    IP_OPTIONS,
    IP_RETOPTS,
    IPPROTO_MPTCP,
    IPPROTO_TCP,
    IPV6_2292PKTOPTIONS,
    IPV6_2292RTHDR,
    IPV6_FLOWLABEL_MGR,
    IPV6_RTHDR,
    SOL_IP,
    SOL_IPV6,
)
from supervisor.abi.message import IOVEC, MMSGHDR_LEN_OFFSET, MMSGHDR_SIZE, MSGHDR, MSGHDR_SIZE
from supervisor.abi.socket import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_UNIX,
    MSG_BATCH,
    MSG_CMSG_COMPAT,
    MSG_DONTWAIT,
    MSG_EOR,
    MSG_FASTOPEN,
    MSG_NOSIGNAL,
    MSG_OOB,
    MSG_ZEROCOPY,
    SO_ERROR,
    SO_SNDTIMEO,
    SOCK_STREAM,
    SOCKADDR_STORAGE_SIZE,
    SOL_SOCKET,
    UIO_MAXIOV,
)
from supervisor.errors import SyscallError
from supervisor.families import provider_of
from supervisor.families.provider import Target
from supervisor.kernel import libc, sockets
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.sockets import SocketKind
from supervisor.policy.operation import Action
from supervisor.policy.verdict import Verdict
from supervisor.sockets.address import Address, Inet4, Inet6, Unspec
from supervisor.sockets.control import parse_control
from supervisor.syscalls.call import Call, Denied
from supervisor.syscalls.credentials import Translated, translate
from supervisor.syscalls.netlink import name_as_program
from supervisor.syscalls.reply import ERESTARTSYS, Continue, Fail, Later, Reply, Value, after
from supervisor.syscalls.settle import as_program, look_up, may_continue

CHUNK: Final = 256 * 1024
"""What is held of a stream's data at a time: a program may send a gigabyte in one call."""
CHUNKS_IN_A_ROW: Final = 8
"""After so many, others get their turn."""
LARGEST_DATAGRAM: Final = 16 * 1024 * 1024
INT_MAX: Final = 0x7FFFFFFF
MAX_RW_COUNT: Final = 0x7FFFF000
DIVERTING: Final = frozenset({
    (SOL_IP, IP_OPTIONS), (SOL_IP, IP_RETOPTS), (SOL_IPV6, IPV6_RTHDR), (SOL_IPV6, IPV6_2292RTHDR),
    (SOL_IPV6, IPV6_2292PKTOPTIONS), (SOL_IPV6, IPV6_FLOWLABEL_MGR),
})
"""Options and control messages that send an allowed connection's packets somewhere else first (source routes)."""
USER_END: Final = libc.ARCHITECTURE.user_end if libc.ARCHITECTURE is not None else 0
# A peer that polls as writable and still answers EAGAIN (unix datagrams to somebody's full queue) has no event to
# wait for; ask again, less and less often.
_FIRST_PAUSE: Final = 0.0005
_LONGEST_PAUSE: Final = 0.02


class Message(NamedTuple):
    """One message as it was captured. `name` None: none was given. `ranges` are (address, length) of the program."""

    name: bytes | None
    ranges: list[tuple[int, int]]
    control: bytes
    flags: int


class Sending:
    """A message on its way: how much of it is out."""

    def __init__(self, call: Call, fd: HostFd, kind: SocketKind, message: Message, name: bytes | None) -> None:
        self.call = call
        self.fd = fd
        self.kind = kind
        self.message = message
        self.name = name
        self.total = min(sum(length for _, length in message.ranges), MAX_RW_COUNT)
        self.sent = 0
        self.ended = False
        self.stream = kind.type == SOCK_STREAM
        control = message.control
        self.control = translate(call, control) if kind.family == AF_UNIX else Translated(control, [])

    def attempt(self) -> None:
        """Send what goes now, a few chunks at most. SyscallError when nothing did; `must_wait` knows what to do."""
        for _ in range(CHUNKS_IN_A_ROW):
            size = min(self.total - self.sent, CHUNK if self.stream else LARGEST_DATAGRAM)
            last = self.sent + size == self.total
            data = self._read(size)
            self.call.must_still_wait()  # or the data may be another's, who got the thread's id
            flags = self.message.flags | MSG_DONTWAIT | MSG_NOSIGNAL
            flags &= ~(MSG_ZEROCOPY | MSG_BATCH) if last else ~(MSG_ZEROCOPY | MSG_BATCH | MSG_EOR | MSG_OOB)
            unreadable = self.total - self.sent - len(data) if len(data) < size or not self.stream else 0
            try:
                count = self._send(data, flags, unreadable)
            except SyscallError as error:
                if self.sent and not self.must_wait(error):
                    self.ended = True  # what went out counts; the error comes again with the next call
                if self.sent:
                    return
                raise
            self.sent += count
            if self.sent >= self.total or not self.stream:
                self.ended = True
                return
            self.name = None if self.stream else self.name
            self.control.close()
            self.control = Translated(b"", [])
            if unreadable:
                self.ended = True
                return

    def must_wait(self, error: SyscallError) -> bool:
        """Is this how the kernel says that a blocking call would wait here?

        A fast-open connect that is under way answers EINPROGRESS; then the data follows as on any connected socket.
        """
        if error.errno == errno.EINPROGRESS and self.message.flags & MSG_FASTOPEN:
            self.message = self.message._replace(flags=self.message.flags & ~MSG_FASTOPEN)
            self.name = None
            return True
        return error.errno == errno.EAGAIN

    def _read(self, size: int) -> bytes:
        if size == 0:
            return b""
        try:
            return self.call.thread.read_vectors(_slice(self.message.ranges, self.sent, size))
        except SyscallError:
            return b""  # nothing readable: the kernel decides what comes of it

    def _send(self, data: bytes, flags: int, unreadable: int) -> int:
        family = self.kind.family
        if family == AF_UNIX or (family in (AF_INET, AF_INET6) and not self.control.raw):
            return self._send_as_we_are(data, flags, unreadable)
        with as_program(self.call):
            # Control messages of inet sockets ask for capabilities (SO_MARK); netlink judges who sends.
            if family == AF_NETLINK:
                name_as_program(self.call, self.fd)
            return self._send_as_we_are(data, flags, unreadable)

    def _send_as_we_are(self, data: bytes, flags: int, unreadable: int) -> int:
        if self.name == b"":
            # sendmsg drops an empty name; sendto passes it on, and most protocols refuse it.
            return sockets.sendto(self.fd, data, flags, b"")
        return sockets.sendmsg(self.fd, self.name, data, self.control.raw, flags, unreadable)


def _slice(ranges: list[tuple[int, int]], start: int, size: int) -> list[tuple[int, int]]:
    """The part of the ranges from `start` for `size` bytes."""
    if start == 0 and len(ranges) == 1 and ranges[0][1] == size:
        return ranges
    result = []
    for address, length in ranges:
        if start >= length:
            start -= length
            continue
        part = min(length - start, size)
        if part == 0:
            break
        result.append((address + start, part))
        start, size = 0, size - part
    return result


def sendto(call: Call, sockfd: int, buf: int, length: int, flags: int, dest_addr: int, addrlen: int) -> Reply | Later:
    """sendto(2), and send(2)."""
    _must_be_user([(buf, length := min(length, MAX_RW_COUNT))])
    fd, kind = call.take_socket(sockfd)
    name = call.capture_address(dest_addr, addrlen) if dest_addr else None
    # sendmsg, which we use, knows a flag that sendto ignores.
    return _send_one(call, fd, kind, Message(name, [(buf, length)], b"", flags & ~MSG_CMSG_COMPAT))


def sendmsg(call: Call, sockfd: int, msg: int, flags: int) -> Reply | Later:
    """sendmsg(2)."""
    if flags & MSG_CMSG_COMPAT:
        raise SyscallError(errno.EINVAL)
    fd, kind = call.take_socket(sockfd)
    return _send_one(call, fd, kind, _capture(call, msg, flags))


def sendmmsg(call: Call, sockfd: int, msgvec: int, vlen: int, flags: int) -> Reply | Later:
    """sendmmsg(2): stops at the first error and returns the count; the error only when nothing was sent."""
    if flags & MSG_CMSG_COMPAT:
        raise SyscallError(errno.EINVAL)
    fd, kind = call.take_socket(sockfd)
    if may_continue_send(call, kind, flags):
        return _continue_all(call, kind, msgvec, vlen)
    batch = _Batch(call, fd, kind, msgvec, min(vlen, UIO_MAXIOV), flags)
    return batch.go_on()


class _Batch:
    """A sendmmsg under way: as far as it goes at once, and then as a task."""

    def __init__(self, call: Call, fd: HostFd, kind: SocketKind, msgvec: int, vlen: int, flags: int) -> None:
        self.call, self.fd, self.kind = call, fd, kind
        self.msgvec, self.vlen, self.flags = msgvec, vlen, flags
        self.count = 0
        self.waiting: Later | None = None
        self.sent: tuple[Address | None, Address | None, Verdict | None] = (None, None, None)

    def go_on(self) -> Reply | Later:
        while self.count < self.vlen:
            at = self.msgvec + self.count * MMSGHDR_SIZE
            try:
                message = _capture(self.call, at, self.flags)
                reply = _perform(self.call, self.fd, self.kind, message, _destination(self.kind, message))
                if isinstance(reply, Later):
                    self.waiting = reply
                    return Later(partial(self._wait, at, reply), self._interrupted)
                if not self._done(at, reply):
                    break
            except (SyscallError, Denied) as error:
                if self.count == 0:
                    raise
                self._stopped_by(error)
                break
        return Value(self.count)

    async def _wait(self, at: int, later: Later) -> Reply:
        try:
            if not self._done(at, await later.run()):
                return Value(self.count)
        except (SyscallError, Denied) as error:
            if self.count == 0:
                raise
            self._stopped_by(error)
            return Value(self.count)
        reply = self.go_on()
        # The interruption of whatever is being waited for by then is `_interrupted` all the same.
        return await reply.run() if isinstance(reply, Later) else reply

    def _done(self, at: int, reply: Reply) -> bool:
        if not isinstance(reply, Value):
            if self.count == 0:
                assert isinstance(reply, Fail)
                raise SyscallError(reply.errno)
            return False
        self.call.thread.write(at + MMSGHDR_LEN_OFFSET, reply.value.to_bytes(4, "little"))
        self.count += 1
        self.sent = self.call.address, self.call.performed, self.call.verdict
        return True

    def _stopped_by(self, error: SyscallError | Denied) -> None:
        """What was sent counts. A refusal has a record of its own; the call's is of what was sent."""
        if isinstance(error, Denied):
            self.call.session.refusals += 1
            try:
                self.call.session.report(self.call.event("refused", 0))
            except Exception:  # noqa: BLE001 - a log that fails must not end anything
                self.call.session.unrecorded += 1
        self.call.address, self.call.performed, self.call.verdict = self.sent

    def _interrupted(self) -> Reply:
        if self.count or self.waiting is None:
            return Value(self.count)
        return self.waiting.interrupted()


def _capture(call: Call, msg: int, flags: int) -> Message:
    """Read a msghdr and what it points to (`copy_msghdr_from_user`, `____sys_sendmsg`), in the kernel's order."""
    header = MSGHDR.parse(call.thread.read(msg, MSGHDR_SIZE))
    namelen = header.namelen if header.name else 0
    if namelen < 0:
        raise SyscallError(errno.EINVAL)
    namelen = min(namelen, SOCKADDR_STORAGE_SIZE)
    name = call.thread.read(header.name, namelen) if header.name and namelen else None
    if header.iovlen > UIO_MAXIOV:
        raise SyscallError(errno.EMSGSIZE)
    raw = call.thread.read(header.iov, IOVEC.size * header.iovlen)
    ranges = [(int(base), int(length)) for base, length in IOVEC.iter_unpack(raw)]
    if any(length > 0x7FFFFFFFFFFFFFFF for _, length in ranges):
        raise SyscallError(errno.EINVAL)
    _must_be_user(ranges)
    if header.controllen > INT_MAX:
        raise SyscallError(errno.ENOBUFS)
    limit = call.session.control_limit
    if header.controllen > limit:
        raise SyscallError(errno.ENOBUFS)
    control = call.thread.read(header.control, header.controllen)
    return Message(name, ranges, control, flags)


def _must_be_user(ranges: list[tuple[int, int]]) -> None:
    """EFAULT for what reaches past a program's addresses, even where it is empty (`access_ok`)."""
    longest = MAX_RW_COUNT if len(ranges) == 1 else USER_END
    if any(address + min(length, longest) > USER_END for address, length in ranges):
        raise SyscallError(errno.EFAULT)


def may_continue_send(call: Call, kind: SocketKind, flags: int) -> bool:
    """May the kernel perform this send, reading its message again?

    Besides what `may_continue` says: on a stream socket that nobody can swap, the address in the message means nothing
    (without MSG_FASTOPEN), so the kernel cannot be led anywhere.
    """
    if may_continue(call, "send", kind):
        return True
    session = call.session
    if flags & MSG_ZEROCOPY and not session.policy.can_refuse("send"):
        return True  # the kernel must pin the program's own pages; and there is nothing to get around
    return (
        kind.type == SOCK_STREAM
        and not session.full
        and session.policy.unix == "continue"
        and not flags & MSG_FASTOPEN
        and call.has_its_table_alone()
    )


def _send_one(call: Call, fd: HostFd, kind: SocketKind, message: Message) -> Reply | Later:
    """Judge and send one message."""
    address = _destination(kind, message)
    hopeless = address is not None and provider_of(kind.family).is_hopeless("send", kind, address)
    if may_continue_send(call, kind, message.flags):
        if address is not None and not hopeless:
            call.judge("send", kind, address)
        return Continue()
    return _perform(call, fd, kind, message, address)


def _perform(
    call: Call, fd: HostFd, kind: SocketKind, message: Message, address: Address | None
) -> Value | Fail | Later:
    """Judge and send one message ourselves."""
    _refuse_diverting(call, kind, message)
    provider = provider_of(kind.family)
    if address is None or message.name is None:
        return _start(Sending(call, fd, kind, message, message.name))
    if provider.is_hopeless("send", kind, address):
        return _start(Sending(call, fd, kind, message, message.name))
    if provider.needs_lookup(address):
        return after(partial(_looked_up, call, fd, kind, message, address))
    action: Action = "connect" if _opens(kind, message) else "send"
    call.address = address
    call.judge(action, kind, address)
    return _start(Sending(call, fd, kind, message, provider.performed(action, address, message.name)))


def _opens(kind: SocketKind, message: Message) -> bool:
    """A send with MSG_FASTOPEN on a stream socket is a connect."""
    return kind.type == SOCK_STREAM and bool(message.flags & MSG_FASTOPEN)


def _destination(kind: SocketKind, message: Message) -> Address | None:
    """The address that a message really goes to, None when it is the connected peer.

    Stream sockets ignore a name or refuse it (EISCONN), except with MSG_FASTOPEN.
    """
    plain = kind.family == AF_UNIX or kind.protocol in (IPPROTO_TCP, IPPROTO_MPTCP)
    ignores_names = kind.type == SOCK_STREAM and plain
    if message.name is None or (ignores_names and not _opens(kind, message)):
        return None
    address = provider_of(kind.family).address("send", kind, message.name)
    if isinstance(address, Unspec) and kind.family == AF_INET6:
        return None  # `udpv6_sendmsg` sends to the connected peer
    return address


def _refuse_diverting(call: Call, kind: SocketKind, message: Message) -> None:
    policy = call.session.policy
    if not message.control or kind.family not in (AF_INET, AF_INET6):
        return
    if not (policy.can_refuse("connect") or policy.can_refuse("send")):
        return
    for control in parse_control(message.control):
        if (control.level, control.type) in DIVERTING:
            call.wants_event = True
            raise Denied(Verdict(False, "options that divert packets are refused where destinations are", policy.errno))


async def _looked_up(call: Call, fd: HostFd, kind: SocketKind, message: Message, address: Address) -> Reply | Later:
    assert message.name is not None
    target: Target = await look_up(call, "send", provider_of(kind.family), address, message.name)
    call.address = address
    call.judge("send", kind, target.judged)
    call.performed = target.judged
    return _start(Sending(call, fd, kind, message, target.raw))


def _start(sending: Sending) -> Value | Later:
    """Send now, or become a task where the program's socket blocks."""
    try:
        sending.attempt()
    except SyscallError as error:
        if sending.must_wait(error) and _blocks(sending):
            return Later(partial(_wait, sending), partial(_interrupted, sending))
        sending.control.close()
        raise _with_signal(sending, error) from None
    except BaseException:
        sending.control.close()
        raise
    if not sending.ended and _blocks(sending):
        return Later(partial(_wait, sending), partial(_interrupted, sending))
    sending.control.close()
    return Value(sending.sent)


def _blocks(sending: Sending) -> bool:
    return not sending.message.flags & MSG_DONTWAIT and not sockets.is_nonblocking(sending.fd)


async def _wait(sending: Sending) -> Reply:
    timeout = sockets.timeout_of(sending.fd, SO_SNDTIMEO)
    pause = _FIRST_PAUSE
    try:
        with trio.move_on_after(math.inf if timeout is None else timeout):
            while True:
                await trio.lowlevel.wait_writable(sending.fd.fileno())
                before = sending.sent
                try:
                    _raise_pending_error(sending)
                    sending.attempt()
                except SyscallError as error:
                    if sending.sent:
                        return Value(sending.sent)
                    if not sending.must_wait(error):
                        # A unix socket that is shut down under a waiting call is no reason for a signal.
                        raise (error if sending.kind.family == AF_UNIX else _with_signal(sending, error)) from None
                else:
                    if sending.ended:
                        return Value(sending.sent)
                if sending.sent == before:
                    await trio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
                else:
                    pause = _FIRST_PAUSE
        return Value(sending.sent) if sending.sent else Fail(errno.EAGAIN)
    finally:
        sending.control.close()


def _raise_pending_error(sending: Sending) -> None:
    """What a unix socket says to a call that waits in it (`sock_alloc_send_pskb`): first its error, then that it is
    shut down. A new call would be told in the other order."""
    if sending.kind.family == AF_UNIX:
        code = sockets.get_int_option(sending.fd, SOL_SOCKET, SO_ERROR)
        if code:
            raise SyscallError(code)


def _interrupted(sending: Sending) -> Reply:
    if sending.sent:
        return Value(sending.sent)
    return Fail(ERESTARTSYS if sockets.timeout_of(sending.fd, SO_SNDTIMEO) is None else errno.EINTR)


def _with_signal(sending: Sending, error: SyscallError) -> SyscallError:
    """We send with MSG_NOSIGNAL: the signal of a broken stream is for the thread that asked."""
    if error.errno == errno.EPIPE and sending.stream and not sending.message.flags & MSG_NOSIGNAL:
        with suppress(PermissionError):
            sending.call.thread.send_sigpipe()
    return error


def _continue_all(call: Call, kind: SocketKind, msgvec: int, vlen: int) -> Reply:
    """Record where a batch goes that the kernel will send."""
    for index in range(min(vlen, UIO_MAXIOV)):
        try:
            message = _capture(call, msgvec + index * MMSGHDR_SIZE, 0)
        except SyscallError:
            break  # the kernel finds it too
        address = _destination(kind, message)
        if address is not None and not provider_of(kind.family).is_hopeless("send", kind, address):
            call.judge("send", kind, address)
            if isinstance(address, Inet4 | Inet6):
                break  # one event a call
    return Continue()
