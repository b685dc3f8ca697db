"""recvmsg(2) and recvmmsg(2): headers, iovecs, names, flags that are written back."""

import select
import socket as s
import struct

from tests.conformance.case import case
from tests.conformance.kinds import ALL, DATAGRAM, PAIRS, PLAIN, TCP4, UDP, UDP4
from tests.conformance.memory import BAD, Memory, read_only, straddling
from tests.conformance.message import MMSGHDR_SIZE, MSGHDR_SIZE, Message, Vector, iovec
from tests.conformance.raw import GARBAGE, WORD

NAMED_DATAGRAM = tuple(kind for kind in DATAGRAM if kind.naming != "pair")


def filled(c, data=b"hello world"):
    """A socket with data waiting."""
    fd, peer = c.linked(label=f"l{c.count()}")
    c.sendto(fd, data)
    c.ready(peer, select.POLLIN)
    return peer


@case(kinds=ALL)
def iovecs(c):
    """Scattered over several parts, with empty ones, with none."""
    for label, sizes in {"one": (64,), "three": (3, 0, 4, 64), "short": (2, 2), "none": (), "empty": (0, 0)}.items():
        peer = filled(c)
        c.recvmsg(peer, Message([Memory(size) for size in sizes]), flags=s.MSG_DONTWAIT, label=label)
        c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=PLAIN)
def iovec_counts(c):
    """1024, 1025 and more."""
    for count in (1024, 1025, 1 << 31, WORD):
        peer = filled(c, b"x" * 2000)
        memory = Memory(2000)
        vector = Memory(b"".join(iovec(memory.address + index, 1) for index in range(min(count, 1100))))
        message = Message(iovecs=vector, iovlen=count)
        c.call("recvmsg", peer, message, s.MSG_DONTWAIT, label=f"{count:#x}")
        c.note("flags", c.flags(message.fields()["flags"]))


@case(kinds=PLAIN)
def bad_parts(c):
    """A bad pointer first, in the middle; whether the data is lost."""
    for name, make in {**BAD, "read-only": lambda: read_only(16)}.items():
        bad = make()
        bad = bad if isinstance(bad, int) else bad.address
        for label, parts in {"first": [(bad, 4), Memory(16)], "second": [Memory(4), (bad, 4)]}.items():
            peer = filled(c)
            c.call("recvmsg", peer, Message(parts), s.MSG_DONTWAIT, label=f"{name} {label}")
            c.recvfrom(peer, flags=s.MSG_DONTWAIT, label="afterwards")


@case(kinds=PLAIN)
def bad_header(c):
    """The header cannot be read, or not be written."""
    peer = filled(c)
    for name, make in BAD.items():
        c.call("recvmsg", peer, make(), s.MSG_DONTWAIT, label=name)
    header = Message([Memory(64)])
    c.call("recvmsg", peer, straddling(header.header.read(), MSGHDR_SIZE - 8), 0, label="8 bytes short")
    c.call("recvmsg", peer, read_only(header.header.read()), s.MSG_DONTWAIT, label="read-only")
    c.recvfrom(peer, flags=s.MSG_DONTWAIT, label="afterwards")


@case(kinds=NAMED_DATAGRAM)
def names(c):
    """The sender's name, cut to every length."""
    server, client = c.server("s"), c.bound("c")
    for length in (0, 1, 2, 8, 16, 28, 110, 128, 200):
        c.sendto(client.fd, b"x", address=server.address)
        c.recvmsg(server.fd, Message([Memory(4)], name=Memory(256), namelen=length), label=f"length {length}")
    c.sendto(client.fd, b"x", address=server.address)
    c.recvmsg(server.fd, Message([Memory(4)], namelen=16), label="NULL, 16")
    c.sendto(client.fd, b"x", address=server.address)
    c.recvmsg(server.fd, Message([Memory(4)], name=Memory(256), namelen=-1), label="-1")


@case(kinds=PLAIN)
def bad_name(c):
    """Bad pointers for the name."""
    for name, make in {**BAD, "read-only": lambda: read_only(128)}.items():
        peer = filled(c)
        c.call("recvmsg", peer, Message([Memory(16)], name=make(), namelen=128), s.MSG_DONTWAIT, label=name)
        c.recvfrom(peer, flags=s.MSG_DONTWAIT, label="afterwards")


@case(kinds=ALL)
def truncated(c):
    """A datagram cut short is MSG_TRUNC; with MSG_TRUNC given, the true length."""
    peer = filled(c)
    c.recvmsg(peer, Message([Memory(3)]), flags=s.MSG_DONTWAIT)
    peer = filled(c)
    c.call("recvmsg", peer, Message([Memory(64)]), s.MSG_TRUNC | s.MSG_DONTWAIT, label="MSG_TRUNC")


@case(kinds=ALL)
def flags_written(c):
    """msg_flags are written, whatever was there; msg_controllen too."""
    peer = filled(c)
    c.recvmsg(peer, Message([Memory(64)], flags=0x7FFFFFFF, control=Memory(64)))
    c.recvmsg(peer, Message([Memory(64)], flags=0x7FFFFFFF, control=Memory(64)), flags=s.MSG_DONTWAIT)
    peer = filled(c)
    c.recvmsg(peer, Message([Memory(64)]), flags=s.MSG_CMSG_CLOEXEC)


@case(kinds=(*PAIRS, TCP4, UDP4))
def end_of_record(c):
    """MSG_EOR, and the end of the stream."""
    fd, peer = c.linked()
    c.sendto(fd, b"record", flags=s.MSG_EOR)
    c.ready(peer, select.POLLIN)
    c.recvmsg(peer, Message([Memory(64)], name=Memory(64)))
    if c.kind.connects:
        c.close(fd)
        c.recvmsg(peer, Message([Memory(64)], name=Memory(64), control=Memory(64)))


@case(kinds=UDP)
def packet_information(c):
    """Destination, time to live, and a timestamp that is there."""
    server = c.server()
    v4 = c.kind.family == s.AF_INET
    level, info, ttl = (s.IPPROTO_IP, 8, 12) if v4 else (s.IPPROTO_IPV6, 49, 51)
    c.option(server.fd, level, info, 1)
    c.option(server.fd, level, ttl, 1)
    c.sendto(c.new(), b"x", address=server.address)
    c.recvmsg(server.fd, Message([Memory(8)], name=Memory(64), control=Memory(128)))
    c.sendto(c.new(), b"x", address=server.address)
    c.recvmsg(server.fd, Message([Memory(8)], control=Memory(30)), label="control cut")


@case(kinds=UDP)
def error_queue(c):
    """IP_RECVERR: the refusal with its origin from MSG_ERRQUEUE."""
    fd = c.new()
    v4 = c.kind.family == s.AF_INET
    level, receive = (s.IPPROTO_IP, 11) if v4 else (s.IPPROTO_IPV6, 25)
    c.option(fd, level, receive, 1)
    c.connect(fd, c.unreachable())
    c.sendto(fd, b"lost")
    c.ready(fd, select.POLLERR)
    c.recvmsg(fd, Message([Memory(16)], name=Memory(64), control=Memory(256)), flags=s.MSG_ERRQUEUE)
    c.recvmsg(fd, Message([Memory(16)]), flags=s.MSG_ERRQUEUE, label="empty")


@case(kinds=PLAIN)
def compat_flag(c):
    """MSG_CMSG_COMPAT from a 64-bit program is EINVAL."""
    peer = filled(c)
    c.recvmsg(peer, Message([Memory(4)]), flags=1 << 31 | s.MSG_DONTWAIT)
    c.recvmsg(peer, Message([Memory(4)]), flags=GARBAGE | s.MSG_DONTWAIT, label="garbage above")


@case(kinds=ALL, call="recvmmsg")
def several(c):
    """Three of three waiting messages, then none."""
    fd, peer = c.linked()
    for word in (b"one", b"two", b"six"):
        c.sendto(fd, word)
        c.ready(peer, select.POLLIN)
    c.recvmmsg(peer, Vector(*(Message([Memory(3)], name=Memory(64)) for _ in range(3))))
    c.recvmmsg(peer, Vector(Message([Memory(3)])), flags=s.MSG_DONTWAIT)


@case(kinds=PLAIN, call="recvmmsg")
def fewer_than_asked(c):
    """Two messages for a vector of four, without waiting."""
    fd, peer = c.linked()
    c.sendto(fd, b"ab")
    c.sendto(fd, b"cd")
    c.recvmmsg(peer, Vector(*(Message([Memory(2)]) for _ in range(4))), flags=s.MSG_DONTWAIT)


@case(kinds=PLAIN, call="recvmmsg")
def vector_counts(c):
    """vlen 0, 1025 and -1; a NULL vector."""
    fd, peer = c.linked()
    c.sendto(fd, b"ab")
    vector = Vector(*(Message([Memory(1)]) for _ in range(3)))
    c.recvmmsg(peer, vector, count=0, flags=s.MSG_DONTWAIT, label="0")
    c.recvmmsg(peer, vector, count=GARBAGE | 1, flags=s.MSG_DONTWAIT, label="garbage above, 1")
    c.call("recvmmsg", peer, vector, 1025, s.MSG_DONTWAIT, None, label="1025")
    c.call("recvmmsg", peer, vector, -1, s.MSG_DONTWAIT, None, label="-1")
    c.call("recvmmsg", peer, None, 1, s.MSG_DONTWAIT, None, label="NULL")


@case(kinds=PLAIN, call="recvmmsg")
def bad_vector(c):
    """The second entry is missing, or cannot be written."""
    for label, make in {
        "second missing": lambda data: straddling(data, MMSGHDR_SIZE),
        "read-only": read_only,
        "half an entry": lambda data: straddling(data, MSGHDR_SIZE),
    }.items():
        fd, peer = c.linked(label=f"l{c.count()}")
        c.sendto(fd, b"ab")
        c.sendto(fd, b"cd")
        content = Vector(Message([Memory(2)]), Message([Memory(2)])).memory.read()
        c.call("recvmmsg", peer, make(content), 2, s.MSG_DONTWAIT, None, label=label)
        c.recvfrom(peer, flags=s.MSG_DONTWAIT, label="afterwards")


@case(kinds=PLAIN, call="recvmmsg")
def time_limits(c):
    """Wrong time limits: negative, too many nanoseconds, bad pointers."""
    _fd, peer = c.linked()
    vector = Vector(Message([Memory(1)]))
    for seconds, nanoseconds in ((-1, 0), (0, -1), (0, 1_000_000_000), (0, 0), (1, 5)):
        limit = Memory(struct.pack("=qq", seconds, nanoseconds))
        label = f"{seconds} {nanoseconds}"
        c.recvmmsg(peer, vector, flags=s.MSG_DONTWAIT, timeout=limit, label=label)
    c.recvmmsg(peer, vector, flags=s.MSG_DONTWAIT, timeout=8, label="low")
    c.recvmmsg(peer, vector, flags=s.MSG_DONTWAIT, timeout=read_only(bytes(16)), label="read-only")


@case(kinds=UDP, call="recvmmsg")
def error_kept(c):
    """An error after the first message is kept for the next call."""
    fd = c.new()
    c.connect(fd, c.unreachable())
    c.sendto(fd, b"x")
    c.ready(fd, select.POLLERR)
    c.recvmmsg(fd, Vector(Message([Memory(2)]), Message([Memory(2)])), flags=s.MSG_DONTWAIT)
    c.recvmmsg(fd, Vector(Message([Memory(2)])), flags=s.MSG_DONTWAIT)
