"""sendmmsg(2): counts, the first error, msg_len, limits."""

import signal
import socket as s

from tests.conformance.case import case
from tests.conformance.kinds import ALL, DATAGRAM, PAIRS, PLAIN, SEQ_PAIR, STREAM_PAIR, UDP, UDP4, both
from tests.conformance.memory import BAD, Memory, read_only, straddling
from tests.conformance.message import MMSGHDR_SIZE, Message, Vector, rights
from tests.conformance.raw import GARBAGE

NAMED_DATAGRAM = tuple(kind for kind in DATAGRAM if kind.naming != "pair")


def texts(*words):
    return Vector(*(Message([word.encode()]) for word in words))


@case(kinds=both(ALL))
def success(c):
    """Three messages, their lengths, and what arrives."""
    fd, peer = c.linked()
    c.sendmmsg(fd, texts("one", "three", ""))
    for _ in range(3):
        c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=NAMED_DATAGRAM)
def destinations(c):
    """Each message has a name of its own."""
    one, two = c.server("one"), c.server("two")
    fd = c.new()
    c.sendmmsg(fd, Vector(Message([b"to one"], name=one.address), Message([b"to two"], name=two.address)))
    c.recvfrom(one.fd, flags=s.MSG_DONTWAIT)
    c.recvfrom(two.fd, flags=s.MSG_DONTWAIT)


@case(kinds=NAMED_DATAGRAM)
def first_error(c):
    """It stops at the first error: the count if there is one, the error if not."""
    server = c.server()
    good = lambda: Message([b"good"], name=server.address)  # noqa: E731
    bad = lambda: Message([b"bad"], name=server.address[:1])  # noqa: E731
    for label, vector in {
        "last": Vector(good(), good(), bad()),
        "middle": Vector(good(), bad(), good()),
        "first": Vector(bad(), good(), good()),
    }.items():
        c.sendmmsg(c.new(), vector, label=label)
        c.note("taken", c.drain(server.fd))


@case(kinds=PLAIN)
def bad_entries(c):
    """A bad pointer inside the second message."""
    fd, peer = c.linked()
    for name, make in BAD.items():
        c.sendmmsg(fd, Vector(Message([b"good"]), Message([(make(), 4)])), label=f"{name} data")
        c.sendmmsg(fd, Vector(Message([b"good"]), Message(iovecs=make(), iovlen=1)), label=f"{name} iovecs")
    c.note("taken", c.drain(peer))


@case(kinds=PLAIN)
def counts(c):
    """vlen 0, smaller than the array, above 1024 (cut), negative."""
    fd, peer = c.linked()
    c.sendmmsg(fd, texts("a", "b"), count=0, label="0")
    c.sendmmsg(fd, texts("a", "b"), count=1, label="1")
    c.sendmmsg(fd, texts("a", "b"), count=GARBAGE | 2, label="garbage above")
    c.sendmmsg(fd, texts("a", "b"), count=3, label="beyond the array")
    c.sendmmsg(fd, texts("a", "b"), count=-1, label="-1")
    c.call("sendmmsg", fd, 0, 0, 0, label="NULL, 0")
    c.note("taken", c.drain(peer))


@case(kinds=(UDP4, STREAM_PAIR))
def many(c):
    """1023, 1024, 1025 and 2000 messages."""
    fd, peer = c.linked()
    for option in (s.SO_SNDBUF, s.SO_RCVBUF):
        c.option(fd, s.SOL_SOCKET, option, 4_000_000)
        c.option(peer, s.SOL_SOCKET, option, 4_000_000)
    message = Message([b"m"])
    for count in (1023, 1024, 1025, 2000):
        vector = Vector(*[message] * count)
        c.sendmmsg(fd, vector, flags=s.MSG_DONTWAIT, label=f"{count}")
        lengths = vector.lengths()
        c.note("lengths", [lengths.count(1), lengths.count(0xEEEE_EEEE)])
        c.drain(peer)


@case(kinds=PLAIN)
def bad_vector(c):
    """The array cannot be read, is half there, cannot be written."""
    fd, peer = c.linked()
    for name, make in BAD.items():
        c.call("sendmmsg", fd, make(), 2, 0, label=name)
    content = texts("first", "second").memory.read()
    for size in (MMSGHDR_SIZE, MMSGHDR_SIZE + 8, 2 * MMSGHDR_SIZE - 1, 2 * MMSGHDR_SIZE - 4, MMSGHDR_SIZE - 8):
        c.call("sendmmsg", fd, straddling(content, size), 2, 0, label=f"{size} bytes")
        c.note("taken", c.drain(peer))
    c.call("sendmmsg", fd, read_only(content), 2, 0, label="read-only")
    c.note("taken", c.drain(peer))


@case(kinds=PLAIN)
def flags(c):
    """Flags hold for every message; MSG_CMSG_COMPAT is EINVAL."""
    fd, peer = c.linked()
    for bits in (s.MSG_DONTWAIT, s.MSG_NOSIGNAL, 0x40000, 0x10000, 1 << 31, GARBAGE):
        c.sendmmsg(fd, texts("f", "g"), flags=bits, label=f"{bits:#x}")
        for _ in range(2):
            c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=PAIRS)
def full(c):
    """Without waiting: as many as fit, then EAGAIN."""
    fd, peer = c.pair()
    c.option(fd, s.SOL_SOCKET, s.SO_SNDBUF, 4096)
    vector = texts(*["x" * 500] * 19)
    c.sendmmsg(fd, vector, flags=s.MSG_DONTWAIT, label="first")
    c.sendmmsg(fd, vector, flags=s.MSG_DONTWAIT, label="second")
    c.note("taken", c.drain(peer))


@case(kinds=(SEQ_PAIR, STREAM_PAIR))
def waits_for_room(c):
    """Blocking: waits inside until all messages are out."""
    fd, peer = c.pair()
    c.option(fd, s.SOL_SOCKET, s.SO_SNDBUF, 4096)
    vector = texts(*["x" * 500] * 19)
    with c.once_blocked(lambda: c.take(peer, 19 * 500), "sendmmsg"):
        c.sendmmsg(fd, vector)


@case(kinds=(SEQ_PAIR, STREAM_PAIR))
def interrupted(c):
    """A signal after some messages went out: the count."""
    fd, peer = c.pair()
    c.option(fd, s.SOL_SOCKET, s.SO_SNDBUF, 4096)
    c.on_signal(signal.SIGUSR1)
    vector = texts(*["x" * 500] * 19)
    with c.once_blocked(c.interrupt, "sendmmsg"):
        c.sendmmsg(fd, vector)
    c.note("taken", c.drain(peer))


@case(kinds=PAIRS)
def broken_pipe(c):
    """The peer is gone: the error, one signal."""
    fd, peer = c.pair()
    c.close(peer)
    c.sendmmsg(fd, texts("a", "b"))
    c.sendmmsg(fd, texts("a", "b"), flags=s.MSG_NOSIGNAL, label="without signal")


@case(kinds=UDP)
def refused(c):
    """Connected UDP: the refusal of the first datagram stops the second or a later one."""
    fd = c.new()
    c.connect(fd, c.unreachable())
    c.sendmmsg(fd, texts("a"), label="one")
    c.poll(fd, 8)
    c.sendmmsg(fd, texts("b", "c"), label="two")


@case(kinds=PAIRS)
def descriptors(c):
    """Each message carries a descriptor."""
    fd, peer = c.pair()
    reader, writer = c.pipe()
    messages = [Message([b"d"], control=rights(number)) for number in (reader, writer)]
    c.sendmmsg(fd, Vector(*messages))
    for _ in messages:
        c.recvmsg(peer, Message([Memory(16)], control=Memory(64)), flags=s.MSG_DONTWAIT)


@case(kinds=PAIRS)
def bad_descriptor_second(c):
    """The second message carries a closed number: one is sent."""
    fd, peer = c.pair()
    reader, _ = c.pipe()
    vector = Vector(Message([b"good"], control=rights(reader)), Message([b"bad"], control=rights(999)))
    c.sendmmsg(fd, vector)
    c.recvmsg(peer, Message([Memory(16)], control=Memory(64)), flags=s.MSG_DONTWAIT)
    c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=UDP)
def no_destination(c):
    """Neither name nor connection."""
    c.sendmmsg(c.new(), texts("a", "b"))
