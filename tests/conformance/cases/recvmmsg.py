"""recvmmsg(2): errors in the middle, errors that wait, counts, time limits, urgent data, descriptors."""

import select
import socket as s
import struct

from tests.conformance.case import FULL, case
from tests.conformance.context import open_fds
from tests.conformance.kinds import ALL, DATAGRAM, PAIRS, PLAIN, STREAM_PAIR, STREAM_PATH, TCP, UDP4
from tests.conformance.memory import Memory, forbidden
from tests.conformance.message import Message, Vector, exact_control, rights
from tests.conformance.raw import must, syscall

from .received_control import made, number_of

NOW, WAITFORONE = s.MSG_DONTWAIT, 0x10000


def waiting(c, *words):
    fd, peer = c.linked(label=f"l{c.count()}")
    for word in words:
        must("sendto", fd, word, len(word), 0, None, 0)
        c._arrived(peer, NOW)
    return fd, peer


def vector(number, size=2, **more):
    return Vector(*(Message([Memory(size)], **more) for _ in range(number)))


@case(kinds=PLAIN)
def bad_entry(c):
    """One bad entry, first, second or last: its part, name, header's lengths, control; SO_ERROR afterwards."""
    makers = {
        "part": lambda: Message([(8, 2)]), "NULL part": lambda: Message([(0, 2)]),
        "half": lambda: Message([(Memory(1).address, 2)]),
        "name": lambda: Message([Memory(2)], name=8, namelen=64), "namelen": lambda: Message([Memory(2)], namelen=-1),
        "iovlen": lambda: Message([Memory(2)], iovlen=1025), "no iovec": lambda: Message(iovecs=None, iovlen=1),
        "forbidden iovec": lambda: Message(iovecs=forbidden(), iovlen=1),
        "control": lambda: Message([Memory(2)], control=8, controllen=64), "empty": lambda: Message([]),
    }  # fmt: skip
    for label, make in makers.items():
        for place in range(3):
            _, peer = waiting(c, b"ab", b"cd", b"ef")
            messages = [Message([Memory(2)], name=Memory(64)) for _ in range(3)]
            messages[place] = make()
            batch = Vector(*messages)
            c.call("recvmmsg", peer, batch, 3, NOW, None, label=f"{label} {place}")
            c.note("lengths", batch.lengths())
            c.so_error(peer)
            c.note("left", c.drain(peer))


@case(kinds=(*TCP, STREAM_PAIR, STREAM_PATH))
def error_before_data(c):
    """The peer has reset the connection with data of its pending here: what comes first."""
    for flags in (NOW, NOW | s.MSG_PEEK, NOW | s.MSG_ERRQUEUE, NOW | WAITFORONE):
        fd, peer = waiting(c, b"ab", b"cd")
        c.sendto(peer, b"unread")
        c.option(fd, s.SOL_SOCKET, s.SO_LINGER, struct.pack("=ii", 1, 0))
        c.close(fd)
        c.ready(peer, select.POLLHUP)
        for _ in range(3):
            batch = vector(3)
            c.call("recvmmsg", peer, batch, 3, flags, None, label=f"{flags:#x}")
            c.note("lengths", batch.lengths())
        c.recvfrom(peer, flags=NOW)


@case(kinds=(*TCP, STREAM_PAIR), call="recvfrom")
def reset_with_data(c):
    """The same with recvfrom and recvmsg: data, the error, the end."""
    for size in (1, 64):
        fd, peer = waiting(c, b"ab", b"cd")
        c.sendto(peer, b"unread")
        c.option(fd, s.SOL_SOCKET, s.SO_LINGER, struct.pack("=ii", 1, 0))
        c.close(fd)
        c.ready(peer, select.POLLHUP)
        c.recvfrom(peer, size=size, flags=s.MSG_PEEK)
        for _ in range(3):
            c.recvmsg(peer, Message([Memory(size)], control=Memory(32)))
            c.recvfrom(peer, size=size)
        c.so_error(peer)


@case(kinds=PLAIN)
def no_entries(c):
    """vlen 0, with data, nothing, an error pending; 1024 and 1025 entries."""
    fd, peer = waiting(c, b"ab", b"cd", b"ef")
    for count in (0, 1024, 1025, 1 << 31):
        batch = vector(1025 if count else 1)
        c.call("recvmmsg", peer, batch, count, NOW, None, label=f"{count}")
        c.note("lengths", batch.lengths()[:4])
        c.sendto(fd, b"gh")
        c._arrived(peer, NOW)
    if c.kind.type == s.SOCK_DGRAM and not c.kind.unix:
        client = c.new()
        c.connect(client, c.unreachable())
        c.sendto(client, b"x")
        c.ready(client, select.POLLERR)
        c.call("recvmmsg", client, vector(1), 0, NOW, None, label="error pending")
        c.so_error(client)


@case(kinds=ALL)
def wait_for_one(c):
    """MSG_WAITFORONE with three there and five asked for, blocking and not; with a low-water mark."""
    for flags in (WAITFORONE, WAITFORONE | NOW, WAITFORONE | s.MSG_WAITALL, WAITFORONE | s.MSG_PEEK):
        _, peer = waiting(c, b"ab", b"cd", b"ef")
        batch = vector(3 if flags & s.MSG_PEEK else 5)
        c.recvmmsg(peer, batch, flags=flags, label=f"{flags:#x}")
        c.note("left", c.drain(peer))


@case(kinds=PLAIN)
def time_limits(c):
    """Time limits with enough there, too little there: what is returned, whether what remains is written."""
    for seconds, nanoseconds in ((5, 0), (0, 0), (0, 1), (1, 999_999_999)):
        for flags in (NOW, WAITFORONE, 0):
            _, peer = waiting(c, b"ab", b"cd", b"ef")
            limit = Memory(struct.pack("=qq", seconds, nanoseconds))
            batch = vector(5 if flags else 3)
            c.recvmmsg(peer, batch, flags=flags, timeout=limit, label=f"{seconds} {nanoseconds} {flags:#x}")
            c.note("written", limit.read() != struct.pack("=qq", seconds, nanoseconds))
            c.note("left", c.drain(peer))


@case(kinds=(*TCP, STREAM_PAIR))
def urgent_data_ends_it(c):
    """Urgent data is there: with MSG_OOB the batch ends after it; without, it goes on across the mark."""
    for flags in (0, s.MSG_OOB, s.MSG_OOB | s.MSG_PEEK):
        fd, peer = waiting(c, b"ab")
        c.sendto(fd, b"!", flags=s.MSG_OOB)
        c.ready(peer, select.POLLPRI)
        c.sendto(fd, b"cd")
        c._arrived(peer, NOW)
        select.select([], [], [], 0.01)
        c.recvmmsg(peer, vector(4), flags=flags | NOW, label=f"{flags}")
        c.note("left", c.drain(peer))


@case(kinds=ALL)
def peeked(c):
    """MSG_PEEK gives every entry the same; SO_PEEK_OFF goes on; MSG_TRUNC and short parts."""
    _, peer = waiting(c, b"abcd", b"efgh", b"ij")
    c.recvmmsg(peer, vector(3), flags=s.MSG_PEEK | NOW)
    c.recvmmsg(peer, vector(3), flags=s.MSG_PEEK | s.MSG_TRUNC | NOW)
    c.call("setsockopt", peer, s.SOL_SOCKET, 42, struct.pack("=i", 1), 4)
    c.recvmmsg(peer, vector(3), flags=s.MSG_PEEK | NOW)
    c.get_int(peer, s.SOL_SOCKET, 42, "offset")
    c.call("recvmmsg", peer, vector(4, 1), 4, s.MSG_TRUNC | NOW, None)


@case(kinds=DATAGRAM)
def empty_messages(c):
    """Datagrams of no bytes, entries of no parts."""
    _, peer = waiting(c, b"", b"a", b"", b"b", b"")
    batch = Vector(Message([]), Message([]), Message([Memory(1)]), Message([Memory(0)]), Message([Memory(4)]))
    c.recvmmsg(peer, batch, flags=NOW)


@case(kinds=PAIRS)
def descriptors(c):
    """Credentials and descriptors in each message, with too little room in one."""
    fd, peer = c.pair()
    reader, writer = c.pipe()
    c.option(peer, s.SOL_SOCKET, s.SO_PASSCRED, 1)
    for rooms in ((96, 96, 96), (96, 16, 96), (0, 52, 30)):
        for count in (1, 2, 1):
            c.sendmsg(fd, Message([b"xy"], control=rights(*(reader, writer)[:count])))
        before = open_fds()
        batch = Vector(*(Message([Memory(2)], control=Memory(room)) for room in rooms))
        c.call("recvmmsg", peer, batch, 3, s.MSG_CMSG_CLOEXEC | NOW, None, label=f"{rooms}")
        c.note("lengths", batch.lengths())
        batch.refresh()
        for message in batch.messages:
            used = message.fields()["controllen"]
            text = exact_control(message.control.read(), used, lambda number: number_of(c, number))
            c.note("message", [used, c.flags(message.fields()["flags"]), text])
        c.note("made", made(c, before))
        c.note("left", c.drain(peer))


@case(kinds=(UDP4, *PAIRS))
def same_buffers(c):
    """Every entry has the same part, name and control: the last one stays."""
    _, peer = waiting(c, b"ab", b"cd", b"ef")
    part, name, control = Memory(2), Memory(64), Memory(64)
    batch = Vector(*(Message([part], name=name, control=control) for _ in range(3)))
    c.recvmmsg(peer, batch, flags=NOW)


@case(kinds=(UDP4,), differs=FULL, because="the entries are read once, before anything is received")
def data_changes_the_next_entry(c):
    """The first message's data is the second entry's header."""
    fd, peer = c.linked()
    target = Memory(2)
    batch = Vector(Message([Memory(56)]), Message([Memory(2)]))
    batch.memory.write(Message([(batch.address + 64, 56)]).header.read())
    header = Message([target]).header.read()
    c.sendto(fd, header)
    c.sendto(fd, b"xy")
    c.ready(peer, select.POLLIN)
    c.call("recvmmsg", peer, batch, 2, NOW, None)
    c.note("lengths", batch.lengths())
    c.note("target", target.read().hex())


@case(kinds=(UDP4, *PAIRS), call="recvmmsg")
def read_and_write_after(c):
    """After a batch the socket goes on as it was: blocking mode, options."""
    fd, peer = waiting(c, b"ab")
    c.recvmmsg(peer, vector(2), flags=NOW)
    c.flags_of(peer)
    c.note("write", str(syscall("sendto", peer, b"back", 4, 0, None, 0)))
    c.recvfrom(fd)
