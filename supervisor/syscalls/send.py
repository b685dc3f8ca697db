"""sendto(2), sendmsg(2), sendmmsg(2)."""

import errno
from functools import partial

from supervisor.abi.inet import (
    IPPROTO_MPTCP,
    IPPROTO_TCP,
)
from supervisor.abi.message import MMSGHDR_LEN_OFFSET, MMSGHDR_SIZE
from supervisor.abi.socket import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    MSG_CMSG_COMPAT,
    MSG_FASTOPEN,
    MSG_ZEROCOPY,
    SOCK_STREAM,
    UIO_MAXIOV,
)
from supervisor.errors import SyscallError
from supervisor.families import provider_of
from supervisor.families.provider import Target
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.sockets import SocketKind
from supervisor.policy.operation import Action
from supervisor.policy.verdict import Verdict
from supervisor.sockets.address import Address, Inet4, Inet6, Unspec
from supervisor.sockets.control import parse_control
from supervisor.sockets.option import DIVERTING
from supervisor.syscalls.call import Call, Denied
from supervisor.syscalls.message import MAX_RW_COUNT, Message, capture_message, must_be_user
from supervisor.syscalls.reply import Continue, Fail, Later, Reply, Value, after
from supervisor.syscalls.sending import Sending, start
from supervisor.syscalls.settle import look_up, may_continue


def sendto(call: Call, sockfd: int, buf: int, length: int, flags: int, dest_addr: int, addrlen: int) -> Reply | Later:
    """sendto(2), and send(2)."""
    must_be_user([(buf, length := min(length, MAX_RW_COUNT))])
    fd, kind = call.take_socket(sockfd)
    name = call.capture_address(dest_addr, addrlen) if dest_addr else None
    # sendmsg, which we use, knows a flag that sendto ignores.
    return _send_one(call, fd, kind, Message(name, [(buf, length)], b"", flags & ~MSG_CMSG_COMPAT))


def sendmsg(call: Call, sockfd: int, msg: int, flags: int) -> Reply | Later:
    """sendmsg(2)."""
    if flags & MSG_CMSG_COMPAT:
        raise SyscallError(errno.EINVAL)
    fd, kind = call.take_socket(sockfd)
    return _send_one(call, fd, kind, capture_message(call, msg, flags))


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
                message = capture_message(self.call, at, self.flags)
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
        return start(Sending(call, fd, kind, message, message.name))
    if provider.is_hopeless("send", kind, address):
        return start(Sending(call, fd, kind, message, message.name))
    if provider.needs_lookup(address):
        return after(partial(_looked_up, call, fd, kind, message, address))
    action: Action = "connect" if _opens(kind, message) else "send"
    call.address = address
    call.judge(action, kind, address)
    return start(Sending(call, fd, kind, message, provider.performed(action, address, message.name)))


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
    return start(Sending(call, fd, kind, message, target.raw))


def _continue_all(call: Call, kind: SocketKind, msgvec: int, vlen: int) -> Reply:
    """Record where a batch goes that the kernel will send."""
    for index in range(min(vlen, UIO_MAXIOV)):
        try:
            message = capture_message(call, msgvec + index * MMSGHDR_SIZE, 0)
        except SyscallError:
            break  # the kernel finds it too
        address = _destination(kind, message)
        if address is not None and not provider_of(kind.family).is_hopeless("send", kind, address):
            call.judge("send", kind, address)
            if isinstance(address, Inet4 | Inet6):
                break  # one event a call
    return Continue()
