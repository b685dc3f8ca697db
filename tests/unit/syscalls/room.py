"""What a program receives into, and real sockets for it to receive from: by the kernel, and by the supervisor."""

import ctypes
import os
import socket
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from supervisor.abi.message import IOVEC, MMSGHDR_SIZE, MSGHDR, MSGHDR_SIZE
from supervisor.kernel import libc
from supervisor.kernel.hostfd import HostFd
from supervisor.policy.engine import ALLOW_ALL
from supervisor.sockets.control import parse_control
from tests.unit.syscalls.stage import Continued, Returned, null

FILL = b"\xaa"
UNTOUCHED = 0xAAAAAAAA


# Who receives.


@pytest.fixture
async def receiver(world):
    """A program under full mediation."""
    world.under(ALLOW_ALL, "full")
    yield world
    assert world.events == []


def tcp_pair():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, theirs


def udp_pair(family=socket.AF_INET, host="127.0.0.1"):
    ours, theirs = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
    ours.bind((host, 0))
    theirs.connect(ours.getsockname())
    return ours, theirs


PAIRS = {
    "tcp": tcp_pair, "udp": udp_pair,
    "unix": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM),
    "unix datagram": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
    "unix seqpacket": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET),
}
STREAMS = ("tcp", "unix")


@contextmanager
def pair_of(kind, *, blocking=False):
    """Our end, and whoever sends to it."""
    ours, theirs = PAIRS[kind]()
    ours.setblocking(blocking)
    with ours, theirs:
        yield ours, theirs


each_kind = pytest.mark.parametrize("kind", PAIRS)
each_stream = pytest.mark.parametrize("kind", STREAMS)
each_message = pytest.mark.parametrize("kind", sorted(set(PAIRS) - set(STREAMS)))
each_way = pytest.mark.parametrize("way", ["recvfrom", "recvmsg", "recvmmsg"])
each_way_of_kinds = pytest.mark.parametrize(("way", "kind"), [
    # A batch from a stream is nothing that programs ask for.
    (way, kind) for way in ("recvfrom", "recvmsg", "recvmmsg") for kind in PAIRS
    if way != "recvmmsg" or kind not in STREAMS
])
each_handler = pytest.mark.parametrize("name", ["recvfrom", "recvmsg", "recvmmsg"])


class Room(NamedTuple):
    """A struct msghdr (in a struct mmsghdr) of a program, and what it points to; all of it is FILL."""

    world: object
    header: int
    buffers: list
    control: int
    controllen: int
    name: int

    def data(self):
        return [self.world.memory.read(address, length) for address, length in self.buffers]

    def told(self):
        """The struct msghdr as it is now."""
        return MSGHDR.parse(self.world.memory.read(self.header, MSGHDR_SIZE))

    def messages(self):
        return parse_control(self.world.memory.read(self.control, self.told().controllen))

    def address(self):
        return self.world.memory.read(self.name, self.told().namelen)


def room(world, *sizes, control=0, name=0, flags=0x5555):
    buffers = [(world.put(FILL * size), size) for size in sizes or (64,)]
    return room_at(world, buffers, control, name, flags)


def room_at(world, buffers, control=0, name=0, flags=0x5555):
    """The same, of buffers that are somewhere."""
    vectors = world.put(b"".join(IOVEC.pack(*buffer) for buffer in buffers))
    at = world.put(FILL * control) if control else 0
    name_at = world.put(FILL * 128) if name else 0
    header = MSGHDR.pack(name_at, name, vectors, len(buffers), at, control, flags)
    return Room(world, world.put(header.ljust(MMSGHDR_SIZE, FILL)), buffers, at, control, name_at)


def batch(world, *rooms):
    """These rooms as a struct mmsghdr[]: its address, and they are now in it."""
    vector = world.put(b"".join(world.memory.read(each.header, MMSGHDR_SIZE) for each in rooms))
    return vector, [each._replace(header=vector + index * MMSGHDR_SIZE) for index, each in enumerate(rooms)]


def receive_in_one_way(world, way, sock, space, flags=0):
    """The three calls for one message. recvmmsg's answer is the count of messages: as that of bytes."""
    number = world.open(sock)
    if way == "recvfrom":
        ((address, size),) = space.buffers
        length = space.header + 8 if space.name else 0
        return world.at_once("recvfrom", number, address, size, flags, space.name, length)
    if way == "recvmsg":
        return world.at_once("recvmsg", number, space.header, flags)
    answer = world.at_once("recvmmsg", number, space.header, 1, flags, 0)
    return Returned(world.counts(space.header, 1)[0]) if answer == Returned(1) else answer


def rest_of(sock):
    """What is left to be received."""
    sock.setblocking(False)
    left = []
    while True:
        try:
            left.append(sock.recv(99))
        except OSError as error:
            return [*left, error.errno]
        if not left[-1]:
            return left


# As the kernel.


class Outcome(NamedTuple):
    """All that a program can tell of a recvmsg: a negative result is an errno."""

    result: int
    data: list
    namelen: int
    control: list
    flags: int
    left: list


def supervised(world, sock, sizes, control, flags):
    space = room(world, *sizes, control=control, name=128)
    answer = receive_in_one_way(world, "recvmsg", sock, space, flags)
    if answer == Continued():
        assert (space.data(), space.told().flags) == ([FILL * size for size in sizes], 0x5555)
        return natively(sock, sizes, control, flags)  # as the kernel will, on what must still be there
    result = answer.value if isinstance(answer, Returned) else -answer.errno
    return outcome(result, space.data(), space.told(), lambda length: world.memory.read(space.control, length), sock)


def natively(sock, sizes, control, flags):
    buffers = [ctypes.create_string_buffer(FILL * size, size) if size else None for size in sizes]
    vectors = (libc.IoVec * len(sizes))(*(
        libc.IoVec(ctypes.addressof(buffer) if buffer else 8, size) for buffer, size in zip(buffers, sizes, strict=True)
    ))
    area, name = ctypes.create_string_buffer(FILL * control, max(control, 1)), ctypes.create_string_buffer(128)
    header = libc.MsgHdr(
        ctypes.addressof(name), 128, vectors, len(sizes), ctypes.addressof(area) if control else None, control, 0x5555
    )
    result = libc.recvmsg(sock.fileno(), ctypes.byref(header), ctypes.c_int(flags))
    result = result if result >= 0 else -libc.get_errno()
    return outcome(
        result, [buffer.raw if buffer else b"" for buffer in buffers], header, lambda length: area.raw[:length], sock
    )


def outcome(result, data, header, control, sock):
    messages = parse_control(control(header.controllen)) if result >= 0 and header.controllen else []
    return Outcome(result, data, header.namelen, messages, header.flags, rest_of(sock))


# Messages that wait.


@contextmanager
def waiting_message(kind="unix"):
    """A message with a descriptor waits."""
    with pair_of(kind) as (ours, theirs), null() as file:
        socket.send_fds(theirs, [b"abc"], [file.fileno()])
        yield ours


def it_still_waits(sock):
    data, numbers, _, _ = socket.recv_fds(sock, 9, 9)
    for number in numbers:
        os.close(number)
    return data == b"abc" and len(numbers) == 1


@contextmanager
def waiting_path(kind="unix", before=0):
    """A message with an O_PATH descriptor waits, after some others."""
    with pair_of(kind) as (ours, theirs), HostFd(os.open("/", os.O_PATH | os.O_CLOEXEC)) as path:
        for _ in range(before):
            theirs.send(b"first")
        socket.send_fds(theirs, [b"abc"], [path.fileno()])
        yield ours
