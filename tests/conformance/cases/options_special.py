"""Options with a form of their own: groups, devices, peers, TCP_INFO, SO_LINGER and what it does, SO_ERROR."""

import os
import select
import socket as s
import struct

from tests.conformance.address import in4, in6
from tests.conformance.case import case
from tests.conformance.context import open_fds
from tests.conformance.kinds import CONNECTED, INET, PAIRS, PLAIN, STREAM_PAIR, STREAM_PATH, TCP, UDP, UDP4, UDP6
from tests.conformance.memory import Memory
from tests.conformance.raw import syscall

from .options_values import got, put
from .received_control import made

GROUP4, GROUP6 = s.inet_aton("239.1.2.3"), s.inet_pton(s.AF_INET6, "ff02::1234")
HERE4, NOWHERE4 = s.inet_aton("127.0.0.1"), s.inet_aton("203.0.113.9")
NOW = s.MSG_DONTWAIT


def storage(address):
    return address.ljust(128, b"\0")


def request(index, group, source=b""):
    return struct.pack("=I4x", index) + storage(group) + (storage(source) if source else b"")


@case(kinds=(*UDP, *TCP, STREAM_PAIR), call="setsockopt")
def groups(c):
    """Joining, joining again, leaving: every form of request, wrong interfaces, sources, groups."""
    fd = c.new()
    four, six = in4("239.1.2.3"), in6("ff02::1234")
    for label, level, join, leave, value in (
        ("mreq", 0, 35, 36, GROUP4 + HERE4), ("mreqn", 0, 35, 36, GROUP4 + bytes(4) + struct.pack("=i", 1)),
        ("mreq nowhere", 0, 35, 36, GROUP4 + NOWHERE4), ("mreqn 99", 0, 35, 36, GROUP4 + bytes(4) + b"\x63\0\0\0"),
        ("source", 0, 39, 40, GROUP4 + HERE4 + s.inet_aton("127.0.0.9")), ("block", 0, 38, 37, GROUP4 + HERE4 * 2),
        ("group_req", 0, 42, 45, request(1, four)), ("group_req 99", 0, 42, 45, request(99, four)),
        ("group_req 6", 41, 42, 45, request(1, six)), ("other family", 0, 42, 45, request(1, six)),
        ("group_source", 0, 46, 47, request(1, four, in4())), ("source 6", 41, 46, 47, request(1, six, in6())),
        ("block 6", 41, 43, 44, request(1, six, in6())), ("unicast", 0, 42, 45, request(1, in4())),
        ("mreq6", 41, 20, 21, GROUP6 + struct.pack("=i", 1)), ("mreq6 99", 41, 20, 21, GROUP6 + b"\x63\0\0\0"),
        ("anycast", 41, 27, 28, GROUP6 + struct.pack("=i", 1)), ("interface", 0, 32, 32, HERE4),
        ("interface n", 0, 32, 32, HERE4 + bytes(4) + b"\1\0\0\0"), ("interface 6", 41, 17, 17, b"\1\0\0\0"),
        ("interface 99", 41, 17, 17, b"\x63\0\0\0"), ("unicast if", 0, 50, 50, b"\0\0\0\1"),
    ):  # fmt: skip
        for length in (4, 8, 12, 16, 20, len(value) - 1):
            c.note(f"{label} {length}", put(fd, level, join, value, min(length, len(value))))
            c.note("leave", put(fd, level, leave, value))
        c.note(label, [put(fd, level, number, value) for number in (join, join, leave, leave)])
        c.note("longer", [put(fd, level, number, value + bytes(300)) for number in (join, leave)])
        c.note("read", [got(fd, level, number) for number in (join, leave)])


@case(kinds=UDP, call="setsockopt")
def group_filters(c):
    """IP_MSFILTER and MCAST_MSFILTER, read and written; their argument says how much there is."""
    fd = c.new()
    put(fd, 0, 35, GROUP4 + HERE4)
    for label, level, number, value in (
        ("msfilter", 0, 41, GROUP4 + HERE4 + struct.pack("=II", 0, 0)),
        ("msfilter 1", 0, 41, GROUP4 + HERE4 + struct.pack("=II", 0, 1) + HERE4),
        ("groupfilter", 0, 48, struct.pack("=I4x", 1) + storage(in4("239.1.2.3")) + struct.pack("=II", 0, 0)),
        ("groupfilter 6", 41, 48, struct.pack("=I4x", 1) + storage(in6("ff02::1234")) + struct.pack("=II", 1, 0)),
    ):
        c.note(label, [put(fd, level, number, value), put(fd, level, number, value, len(value) - 1)])
        memory, length = Memory(value + bytes(64)), Memory(struct.pack("=i", len(value) + 64))
        c.call("getsockopt", fd, level, number, memory, length)
        c.note("read", [memory.read().hex(), struct.unpack("=i", length.read())[0]])


@case("root", "nobody", call="setsockopt", root=True)
def devices(c):
    """SO_BINDTODEVICE and SO_BINDTOIFINDEX: lo, unknown ones, none; lengths when reading."""
    if c.variant == "nobody":
        c.become_nobody()
    for kind in PLAIN:
        fd = c.new(kind)
        for value in (b"lo", b"lo\0", b"lo\0rubbish", b"none-such", b"", b"\0", b"l", b"lo" * 20, b"lo"):
            c.note(f"{kind.name} {value}", put(fd, 1, 25, value))
            c.note("read", [got(fd, 1, 25, length) for length in (0, 1, 3, 15, 16, 17, 64)] + [got(fd, 1, 62)])
        for index in (1, 0, 99, -1, 1):
            c.note(f"index {index}", [put(fd, 1, 62, struct.pack("=i", index)), got(fd, 1, 62), got(fd, 1, 25)])


@case("root", "nobody", call="setsockopt", root=True)
def privileges(c):
    """Options that ask for a capability, with the values at which they do."""
    if c.variant == "nobody":
        c.become_nobody()
    for kind in PLAIN:
        for label, level, number, values in (
            ("priority", 1, 12, (0, 6, 7, -1, 100)), ("mark", 1, 36, (0, 1, -1)), ("rcvmark", 1, 75, (0, 1)),
            ("sndbufforce", 1, 32, (0, 1 << 20, -1)), ("rcvbufforce", 1, 33, (0, 1 << 20, -1)), ("debug", 1, 1, (1, 0)),
            ("busy poll", 1, 46, (0, 1, 100, -1)), ("prefer", 1, 69, (0, 1, 2)), ("budget", 1, 70, (1, 9, 65535, -1)),
            ("txtime", 1, 61, (0, 1)), ("tos", 0, 1, (0, 0xA0, 0xE0, 0x1FF)), ("transparent", 0, 19, (1, 0)),
            ("freebind", 0, 15, (1,)), ("transparent 6", 41, 75, (1, 0)), ("tclass", 41, 67, (0xE0, -1, 256)),
            ("bpf", 1, 50, (-1,)), ("reserve", 1, 73, (0, 4096)), ("nofcs", 1, 43, (1,)),
        ):  # fmt: skip
            fd = c.new(kind)
            c.note(f"{kind.name} {label}", [put(fd, level, number, struct.pack("=i", value)) for value in values])
            c.note("after", got(fd, level, number))


@case(kinds=(STREAM_PATH, *PAIRS), call="getsockopt")
def peers(c):
    """SO_PEERCRED, SO_PEERGROUPS, SO_PEERSEC and SO_PEERNAME with every length."""
    if os.getuid() == 0:
        os.setgroups([11, 22, 33])
    fd, _ = c.linked()
    for number in (59, 31):
        c.note(f"{number}", [got(fd, 1, number, length) for length in (0, 1, 3, 4, 8, 11, 12, 13, 64)])
    for length in (0, 1, 4, 8, 11, 12, 13, 64):
        text = got(fd, 1, 17, length)
        c.note(f"credentials {length}", text.split(" ")[:2])
    fresh = c.new(c.kind)
    c.note("not connected", [got(fresh, 1, number) for number in (28, 59, 31)])


@case(kinds=(STREAM_PATH, *PAIRS), call="getsockopt")
def peer_descriptor(c):
    """SO_PEERPIDFD with every length, bad memory: which descriptors are made."""
    fd, _ = c.linked()
    for length in (0, 1, 3, 4, 5, 16):
        for value in (Memory(16), 8):
            before = open_fds()
            c.call("getsockopt", fd, 1, 77, value, Memory(struct.pack("=i", length)), label=f"{length}")
            c.note("made", made(c, before))


@case(kinds=TCP, call="getsockopt")
def tcp_information(c):
    """TCP_INFO, TCP_CC_INFO and TCP_SAVED_SYN in each length: how much is written."""
    fd, peer = c.linked()
    for number in (11, 26, 28):
        for length in (0, 1, 8, 103, 104, 160, 192, 224, 232, 240, 248, 256, 400):
            memory, size = Memory(400), Memory(struct.pack("=i", length))
            result = syscall("getsockopt", fd, 6, number, memory, size)
            c.note(f"{number} {length}", [str(result), struct.unpack("=i", size.read())[0], memory.read(1).hex()])
    c.call("shutdown", peer, s.SHUT_WR)
    c.ready(fd, select.POLLRDHUP)
    c.note("state", got(fd, 6, 11, 1))


@case(kinds=TCP, call="getsockopt")
def saved_syn(c):
    """TCP_SAVE_SYN and TCP_SAVED_SYN: too short, bad memory, taken once."""
    server = c.server()
    c.note("save", [put(server.fd, 6, 27, struct.pack("=i", value)) for value in (0, 1, 2, 3)])
    put(server.fd, 6, 27, struct.pack("=i", 1))
    c.connect(c.new(), server.address)
    fd = c.accept(server.fd).value
    for length in (0, 10, 200):
        c.call("getsockopt", fd, 6, 28, 8, Memory(struct.pack("=i", length)), label=f"bad {length}")
    for length in (4, 200, 200):
        memory, size = Memory(200), Memory(struct.pack("=i", length))
        c.call("getsockopt", fd, 6, 28, memory, size, label=f"{length}")
        c.note("size", [struct.unpack("=i", size.read())[0], memory.untouched])


@case(kinds=CONNECTED, call="setsockopt")
def linger_and_close(c):
    """SO_LINGER and then close: what the peer sees; with data unread on either side."""
    for on, seconds in ((0, 0), (1, 0), (1, 1)):
        for unread in (False, True):
            fd, peer = c.linked(label=f"l{c.count()}")
            put(fd, 1, 13, struct.pack("=ii", on, seconds))
            c.sendto(fd, b"last")
            if unread:
                c.sendto(peer, b"unread")
                c._arrived(fd, NOW)
            c.ready(peer, select.POLLIN)
            c.close(fd)
            c.ready(peer, select.POLLRDHUP | select.POLLHUP)
            for _ in range(3):
                c.recvfrom(peer, flags=NOW, label=f"{on} {seconds} {unread}")
            c.so_error(peer)


@case(kinds=INET, call="getsockopt")
def error_with_bad_memory(c):
    """SO_ERROR into bad memory, with short lengths: is it still there?"""
    kind = c.kind._replace(nonblock=True)
    for value, length in ((8, 4), (Memory(4), 0), (Memory(4), 1), (Memory(2), 2), (Memory(2), 4), (Memory(64), 64)):
        fd = c.new(kind)
        c.connect(fd, c.unreachable(f"u{c.count()}"))
        if not c.kind.connects:
            c.sendto(fd, b"x")
        c.ready(fd, select.POLLERR)
        size = Memory(struct.pack("=i", length))
        c.call("getsockopt", fd, 1, 4, value, size, label=f"{length}")
        c.note("length", struct.unpack("=i", size.read())[0])
        c.note("value", value.read(min(length, value.size)).hex() if isinstance(value, Memory) else "")
        c.so_error(fd)


@case(kinds=(UDP4, UDP6), call="getsockopt")
def length_in_the_value(c):
    """The length lies within the value."""
    fd = c.new()
    for number in (3, 4, 7, 13, 20):
        for offset in (0, 4):
            memory = Memory(struct.pack("=iiii", 16, 16, 16, 16))
            c.call("getsockopt", fd, 1, number, memory, memory.address + offset, label=f"{number} {offset}")
            c.note("memory", memory.read().hex())
