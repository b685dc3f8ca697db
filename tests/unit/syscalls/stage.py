"""A fake program under a real policy, and real sockets for it to call with."""

import socket
import struct
from contextlib import contextmanager

import pytest
import trio

from supervisor.abi.message import CMSGHDR, IOVEC, MMSGHDR_LEN_OFFSET, MMSGHDR_SIZE, MSGHDR
from supervisor.kernel.hostfd import closer
from supervisor.policy.config import parse_config
from supervisor.policy.engine import ALLOW_ALL
from supervisor.sockets.address import Inet4, Inet6, UnixAbstract, UnixPath, pack_address
from supervisor.syscalls.dispatch import dispatch
from supervisor.syscalls.session import Session
from supervisor.syscalls.waiting import Waiting
from supervisor.testing.call import make_call, make_notification, seen_as_threads
from supervisor.testing.listener import Continued, Failed, FakeListener, Installed, Returned, said
from supervisor.testing.thread import FakeThread

LOOPBACK = 0x7F000001
UNMAPPED = 8

__all__ = ["Continued", "Failed", "Installed", "Returned", "said"]


def policy(text):
    """The policy of a table's body."""
    return parse_config("[policy.test]\n" + text, "test").policy()


NOTHING = policy('default = "deny"\nsocket.allow = ["*"]\nerrno = "EPERM"')
"""Every socket may be made, and none may be used."""


class World:
    """One thread, one listener, one session; `under` another policy there is another session."""

    def __init__(self, waiting, use_policy=ALLOW_ALL):
        self.waiting = waiting
        self.thread = FakeThread()
        self.memory = self.thread.memory
        self.listener = FakeListener()
        self.events = []
        self.under(use_policy)

    def under(self, rules, mediation="auto", **options):
        """Go on under another policy."""
        if isinstance(rules, str):
            rules = policy(rules)
        self.session = Session("s", self.listener, rules, mediation, self.waiting, self.events.append, **options)
        return self.session

    def start(self, nursery, name, *arguments, **options):
        """Begin a call; its id."""
        notification, raw = make_notification(name, self.session, self.thread, *arguments, **options)
        with seen_as_threads(self.thread):
            dispatch(self.session, notification, raw, nursery)
        return notification.id

    async def call(self, name, *arguments, **options):
        """Make a call to its end: its only answer, None when it has none."""
        with seen_as_threads(self.thread):
            async with trio.open_nursery() as nursery:
                ident = self.start(nursery, name, *arguments, **options)
        answers = self.listener.answer_to(ident)
        assert len(answers) <= 1
        return answers[0] if answers else None

    def at_once(self, name, *arguments):
        """Make a call that cannot wait."""
        ident = self.start(None, name, *arguments)
        (answer,) = self.listener.answer_to(ident)
        return answer

    @contextmanager
    def stopped(self, name="connect"):
        """A call to give to a function by hand."""
        call = make_call(name, self.session, self.thread)
        yield call
        call.close()

    def clean(self):
        """Forget the program's descriptors, and wait until ours are closed."""
        for number in list(self.thread.table):
            self.thread.close_fd(number)
        closer.stop()

    def open(self, sock):
        return self.thread.open(sock)

    def put(self, data):
        return self.memory.put(data)

    def address(self, value):
        """An address in the program's memory: where, and its length."""
        raw = value if isinstance(value, bytes) else pack_address(value)
        return self.put(raw), len(raw)

    def room(self, length):
        """A buffer for an address and the length before it: (address, address of the length)."""
        return self.put(bytes(128)), self.put(struct.pack("=i", length))

    def reported(self, room):
        """What was written into a room: the length, and the bytes before its end."""
        (length,) = struct.unpack("=i", self.memory.read(room[1], 4))
        return length, self.memory.read(room[0], min(max(length, 0), 128))

    def message(self, *data, name=b"", control=b""):
        """A struct msghdr of these buffers; its address."""
        return self.put(self._header(data, name, control))

    def messages(self, *messages):
        """A struct mmsghdr[] of (data, name) each; its address."""
        return self.put(b"".join(
            self._header((data,), name, b"").ljust(MMSGHDR_LEN_OFFSET, b"\0") + bytes(MMSGHDR_SIZE - MMSGHDR_LEN_OFFSET)
            for data, name in messages
        ))

    def counts(self, address, number):
        """The msg_len of the first messages of an mmsghdr[]."""
        raw = self.memory.read(address, number * MMSGHDR_SIZE)
        return [
            struct.unpack_from("=I", raw, index * MMSGHDR_SIZE + MMSGHDR_LEN_OFFSET)[0] for index in range(number)
        ]

    def _header(self, buffers, name, control):
        vectors = b"".join(IOVEC.pack(self.put(data), len(data)) for data in buffers)
        raw = name if isinstance(name, bytes) else pack_address(name)
        return MSGHDR.pack(
            self.put(raw) if raw else 0, len(raw), self.put(vectors), len(buffers),
            self.put(control) if control else 0, len(control), 0,
        )

    def only_event(self):
        (event,) = self.events
        return event


def cmsg(level, kind, data):
    """One control message, padded."""
    length = CMSGHDR.size + len(data)
    return CMSGHDR.pack(length, level, kind) + data + bytes(-length % 8)


@pytest.fixture
async def world():
    """A program that may do everything, and its supervisor's rings."""
    waiting = Waiting()
    made = World(waiting)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.run)
        with made.thread:
            yield made
        nursery.cancel_scope.cancel()
    waiting.close()


# Real sockets.


def tcp(*, nonblocking=False):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(not nonblocking)
    return sock


def udp(*, bound=False):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if bound:
        sock.bind(("127.0.0.1", 0))
    sock.settimeout(5)
    return sock


@contextmanager
def listening(backlog=8):
    """A TCP listener on loopback and its address."""
    with tcp() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(backlog)
        sock.settimeout(5)
        yield sock, Inet4(LOOPBACK, sock.getsockname()[1])


def address_of(sock):
    name = sock.getsockname()
    return Inet6(1, name[1]) if sock.family == socket.AF_INET6 else Inet4(LOOPBACK, name[1])


def unix_address(path):
    path = str(path)
    return UnixAbstract(path[1:].encode()) if path.startswith("\0") else UnixPath(path.encode())


@contextmanager
def unix_listening(path, kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.bind(str(path))
        if kind != socket.SOCK_DGRAM:
            sock.listen(8)
        sock.settimeout(5)
        yield sock


@pytest.fixture(autouse=True)
def closer_is_idle(nothing_left):
    """What was given to the closer is closed before anybody counts."""
    yield
    closer.stop()


def null():
    """What is no socket."""
    return open("/dev/null", "rb")
