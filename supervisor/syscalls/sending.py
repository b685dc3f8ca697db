"""Sending a message for a program: chunk by chunk, and waiting where its socket blocks."""

import errno
import math
from contextlib import suppress
from functools import partial
from typing import Final

import trio

from supervisor.abi.socket import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_UNIX,
    MSG_BATCH,
    MSG_DONTWAIT,
    MSG_EOR,
    MSG_FASTOPEN,
    MSG_NOSIGNAL,
    MSG_OOB,
    MSG_ZEROCOPY,
    SO_ERROR,
    SO_SNDTIMEO,
    SOCK_STREAM,
    SOL_SOCKET,
)
from supervisor.errors import SyscallError
from supervisor.kernel import sockets
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.sockets import SocketKind
from supervisor.syscalls.call import Call
from supervisor.syscalls.credentials import Translated, translate
from supervisor.syscalls.message import MAX_RW_COUNT, Message, part_of
from supervisor.syscalls.netlink import name_as_program
from supervisor.syscalls.reply import ERESTARTSYS, Fail, Later, Reply, Value
from supervisor.syscalls.settle import as_program

CHUNK: Final = 256 * 1024
"""What is held of a stream's data at a time: a program may send a gigabyte in one call."""
CHUNKS_IN_A_ROW: Final = 8
"""After so many, others get their turn."""
LARGEST_DATAGRAM: Final = 16 * 1024 * 1024
# A peer that polls as writable and still answers EAGAIN (unix datagrams to somebody's full queue) has no event to
# wait for; ask again, less and less often.
_FIRST_PAUSE: Final = 0.0005
_LONGEST_PAUSE: Final = 0.02


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
            return self.call.thread.read_vectors(part_of(self.message.ranges, self.sent, size))
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


def start(sending: Sending) -> Value | Later:
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
