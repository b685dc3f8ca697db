"""sendmsg(2): the header, iovecs, names, control messages that are no control messages."""

import socket as s
import struct

from tests.conformance.address import family_only
from tests.conformance.case import case
from tests.conformance.kinds import (
    ALL,
    CONNECTED,
    DATAGRAM,
    PAIRS,
    PLAIN,
    STREAM_PAIR,
    STREAMS,
    TCP,
    TCP4,
    UDP,
    UDP4,
    UDP6,
    both,
)
from tests.conformance.memory import BAD, Memory, read_only, straddling
from tests.conformance.message import MSGHDR_SIZE, Message, cmsg, iovec
from tests.conformance.raw import GARBAGE, WORD

NAMED_DATAGRAM = tuple(kind for kind in DATAGRAM if kind.naming != "pair")


@case(kinds=both(ALL))
def iovecs(c):
    """None, one, several, with empty ones between; what arrives."""
    fd, peer = c.linked()
    for label, parts in {
        "one": [b"hello"],
        "three": [b"a", b"bc", b"def"],
        "empty first": [b"", b"x"],
        "empty last": [b"y", b""],
        "all empty": [b"", b""],
        "none": [],
    }.items():
        c.sendmsg(fd, Message(parts), label=label)
        c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=PLAIN)
def many_iovecs(c):
    """1024 are allowed, 1025 are EMSGSIZE, more also."""
    fd, peer = c.linked()
    for count in (16, 1023, 1024, 1025, 2000, 1 << 31, WORD):
        vector = Memory(iovec(Memory(b"i").address, 1) * min(count, 2000))
        c.sendmsg(fd, Message(iovecs=vector, iovlen=count), label=f"{count:#x}")
        c.recvfrom(peer, size=4096, flags=s.MSG_DONTWAIT)


@case(kinds=PLAIN)
def bad_iovec_array(c):
    """The array itself cannot be read, with count 0 and more."""
    fd, peer = c.linked()
    for name, make in BAD.items():
        for count in (0, 1, 9, 1025):
            c.sendmsg(fd, Message(iovecs=make(), iovlen=count), label=f"{name} {count}")
            c.recvfrom(peer, flags=s.MSG_DONTWAIT)
    two = iovec(Memory(b"x").address, 1) * 2
    c.sendmsg(fd, Message(iovecs=straddling(two, 16), iovlen=2), label="second missing")
    c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=PLAIN)
def bad_iovec_entry(c):
    """A bad pointer at the start, in the middle, at the end; with length 0."""
    fd, peer = c.linked()
    good = (Memory(b"good").address, 4)
    for name, make in BAD.items():
        bad = (make(), 4)
        for label, parts in {"first": [bad, good], "middle": [good, bad, good], "last": [good, bad]}.items():
            c.sendmsg(fd, Message(parts), label=f"{name} {label}")
            c.recvfrom(peer, flags=s.MSG_DONTWAIT)
        c.sendmsg(fd, Message([good, (bad[0], 0), good]), label=f"{name} empty")
        c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=PLAIN)
def iovec_lengths(c):
    """Lengths that are negative, or too large together."""
    fd, peer = c.linked()
    memory = Memory(b"m" * 64).address
    for label, parts in {
        "negative": [(memory, 1 << 63)],
        "minus one": [(memory, WORD)],
        "good and negative": [(memory, 4), (memory, WORD)],
        "huge": [(memory, (1 << 63) - 1)],
        "together": [(memory, (1 << 62)), (memory, (1 << 62)), (memory, 1 << 62)],
        "2 GiB": [(memory, 1 << 31)],
    }.items():
        c.sendmsg(fd, Message(parts), flags=s.MSG_DONTWAIT, label=label)
        c.recvfrom(peer, size=100, flags=s.MSG_DONTWAIT)


@case(kinds=PLAIN)
def bad_header(c):
    """The header cannot be read, wholly or in part; it may be read-only."""
    fd, peer = c.linked()
    for name, make in BAD.items():
        c.call("sendmsg", fd, make(), 0, label=name)
    header = Message([b"x"])
    for size in (8, 16, 48, MSGHDR_SIZE - 1):
        c.call("sendmsg", fd, straddling(header.header.read(), size), 0, label=f"{size} bytes")
    c.call("sendmsg", fd, read_only(header.header.read()), 0, label="read-only")
    c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=NAMED_DATAGRAM)
def names(c):
    """With a name; with a length without a name, a name without a length."""
    server = c.server()
    fd = c.new()
    c.sendmsg(fd, Message([b"named"], name=server.address), label="name")
    c.recvfrom(server.fd, flags=s.MSG_DONTWAIT, length=128)
    c.sendmsg(fd, Message([b"x"], namelen=16), label="NULL, 16")
    c.sendmsg(fd, Message([b"x"], name=server.address, namelen=0), label="name, 0")
    c.recvfrom(server.fd, flags=s.MSG_DONTWAIT)


@case(kinds=NAMED_DATAGRAM)
def name_lengths(c):
    """Every length: above 128 it is cut in sendmsg, unlike in sendto."""
    server = c.server()
    fd = c.new()
    for length in (1, 2, 15, 16, 27, 28, 110, 111, 127, 128, 129, 200, 1000, -1, 1 << 31, (1 << 31) - 1):
        message = Message([b"x"], name=server.address + bytes(300), namelen=length)
        c.sendmsg(fd, message, label=f"length {length}")


@case(kinds=PLAIN)
def bad_name(c):
    """A bad pointer for the name, on linked and fresh sockets."""
    fd, peer = c.linked()
    for name, make in BAD.items():
        for length in (0, 16, 129, -1):
            message = Message([b"x"], name=make(), namelen=length)
            c.sendmsg(fd, message, flags=s.MSG_NOSIGNAL, label=f"{name} {length}")
            c.recvfrom(peer, flags=s.MSG_DONTWAIT)
            c.sendmsg(c.new(), message, flags=s.MSG_NOSIGNAL, label=f"fresh {name} {length}")


@case(kinds=CONNECTED)
def name_on_connected(c):
    """A name on a connected stream: ignored by TCP, EISCONN on unix streams."""
    fd, peer = c.linked()
    c.sendmsg(fd, Message([b"x"], name=c.local(peer)), label="the peer's")
    c.sendmsg(fd, Message([b"x"], name=family_only(99)), label="family 99")
    c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=PLAIN)
def bad_control(c):
    """Control data at a bad pointer, with wrong lengths."""
    fd, peer = c.linked()
    for name, make in BAD.items():
        for length in (0, 1, 16, 1 << 32, WORD):
            message = Message([b"x"], control=make(), controllen=length)
            c.sendmsg(fd, message, label=f"{name} {length:#x}")
            c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=PLAIN)
def odd_control(c):
    """Headers too short, too long, unknown levels and types, rubbish after a good one."""
    fd, peer = c.linked()
    for label, control in {
        "8 bytes": bytes(8),
        "15 bytes": bytes(15),
        "zeros": bytes(16),
        "cmsg_len 15": cmsg(1, 1, b"", length=15),
        "cmsg_len 16, rights": cmsg(1, 1, b""),
        "cmsg_len too long": cmsg(1, 1, b"\0\0\0\0", length=100),
        "cmsg_len huge": cmsg(1, 1, b"\0\0\0\0", length=-1),
        "unknown type": cmsg(1, 77, b"\0\0\0\0"),
        "unknown level": cmsg(4242, 1, b"\0\0\0\0"),
        "unknown twice": cmsg(4242, 1, b"") + cmsg(4242, 2, b"xy"),
        "rubbish after": cmsg(4242, 1, b"") + b"rubbish!",
    }.items():
        c.sendmsg(fd, Message([b"x"], control=control), label=label)
        c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=PLAIN)
def large_control(c):
    """Control data of 20 kB and beyond what the kernel takes."""
    fd, peer = c.linked()
    for size in (1024, 19000, 200_000, 3_000_000):
        c.sendmsg(fd, Message([b"x"], control=cmsg(4242, 1, bytes(size - 16))), label=f"{size}")
        c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=PLAIN)
def flags_in_the_header(c):
    """msg_flags is an output: what is in it does not matter."""
    fd, peer = c.linked()
    c.sendmsg(fd, Message([b"x"], flags=0x7FFFFFFF))
    c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=PLAIN)
def compat_flag(c):
    """MSG_CMSG_COMPAT from a 64-bit program is EINVAL."""
    fd, _peer = c.linked()
    for bits in (1 << 31, -1, GARBAGE | 1 << 31):
        c.sendmsg(fd, Message([b"x"]), flags=bits, label=f"{bits:#x}")


@case(kinds=STREAMS)
def large_message(c):
    """Several pages from several places, in one piece at the other end."""
    fd, peer = c.linked()
    parts = [Memory(bytes([65 + index]) * 5000) for index in range(8)]
    c.sendmsg(fd, Message(parts))
    memory = Memory(40000)
    c.call("recvfrom", peer, memory, 40000, s.MSG_WAITALL, None, None)
    c.note("content", memory.read() == b"".join(part.read() for part in parts))


@case(kinds=(UDP4, UDP6))
def packet_information(c):
    """IP_PKTINFO and IPV6_PKTINFO choose the source."""
    server = c.server()
    fd = c.new()
    if c.kind is UDP4:
        control = cmsg(s.IPPROTO_IP, 8, struct.pack("=I", 0) + s.inet_aton("127.0.0.5") + bytes(4))
    else:
        control = cmsg(s.IPPROTO_IPV6, 50, s.inet_pton(s.AF_INET6, "::1") + struct.pack("=I", 0))
    c.sendmsg(fd, Message([b"x"], name=server.address, control=control))
    c.recvfrom(server.fd, flags=s.MSG_DONTWAIT, length=128)


@case(kinds=UDP)
def time_to_live(c):
    """IP_TTL and IPV6_HOPLIMIT as control messages, right and wrong."""
    server = c.server()
    level, kind = (s.IPPROTO_IP, 2) if c.kind is UDP4 else (s.IPPROTO_IPV6, 52)
    for value in (1, 255, 0, 256, -2):
        control = cmsg(level, kind, struct.pack("=i", value))
        c.sendmsg(c.new(), Message([b"x"], name=server.address, control=control), label=f"{value}")
    c.sendmsg(c.new(), Message([b"x"], name=server.address, control=cmsg(level, kind, b"x")), label="one byte")


@case(kinds=UDP)
def segmentation(c):
    """UDP_SEGMENT as a control message: one call, three datagrams."""
    fd, peer = c.linked()
    control = cmsg(s.IPPROTO_UDP, 103, struct.pack("=H", 4))
    c.sendmsg(fd, Message([b"aaaabbbbcc"], control=control))
    for _ in range(4):
        c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=(*PAIRS, TCP4))
def broken_pipe(c):
    """EPIPE with SIGPIPE, and without."""
    fd, peer = c.linked()
    c.close(peer)
    if not c.kind.unix:
        c.sendmsg(fd, Message([b"reset"]), label="first")
        c.poll(fd, 16)
    c.sendmsg(fd, Message([b"x"]), label="with signal")
    c.sendmsg(fd, Message([b"x"]), flags=s.MSG_NOSIGNAL, label="without")
    c.note("signals so far", list(c.signals))


@case(kinds=TCP)
def fast_open(c):
    """MSG_FASTOPEN with a name is a connect."""
    server = c.server()
    fd = c.new()
    c.sendmsg(fd, Message([b"fast"], name=server.address), flags=0x20000000)
    c.recvfrom(c.accept(server.fd).value)


@case(kinds=(STREAM_PAIR, TCP4))
def waits_for_room(c):
    """A large sendmsg over several iovecs waits until all of it has been taken."""
    fd, peer = c.linked()
    parts = [Memory(b"w" * 3_000_000) for _ in range(3)]
    with c.once_blocked(lambda: c.take(peer, 9_000_000), "sendmsg"):
        c.sendmsg(fd, Message(parts))


@case(kinds=(STREAM_PAIR,))
def partial(c):
    """What fits of several iovecs, without waiting."""
    fd, peer = c.linked()
    c.option(fd, s.SOL_SOCKET, s.SO_SNDBUF, 8192)
    c.sendmsg(fd, Message([b"p" * 3000] * 20), flags=s.MSG_DONTWAIT)
    c.note("taken", c.drain(peer))
