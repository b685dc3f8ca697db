"""recvmsg(2) on inet sockets: what control messages say about a packet, errors with their origin, segments."""

import select
import socket as s
import struct

from tests.conformance.address import in6
from tests.conformance.case import case
from tests.conformance.context import Out
from tests.conformance.kinds import DGRAM_PAIR, STREAM_PAIR, TCP, TCP4, UDP, UDP4, UDP6
from tests.conformance.memory import Memory
from tests.conformance.message import Message, Vector, cmsg, exact_control
from tests.conformance.raw import must, syscall

NOW = s.MSG_DONTWAIT
SEGMENT, GRO = 103, 104
IP_ABOUT = {"PKTINFO": 8, "RECVTTL": 12, "RECVTOS": 13, "RECVORIGDSTADDR": 20, "RECVOPTS": 6, "CHECKSUM": 23}
IPV6_ABOUT = {"PKTINFO": 49, "HOPLIMIT": 51, "TCLASS": 66, "ORIGDSTADDR": 74, "FLOWINFO": 11, "HOPOPTS": 53}
TIMES = {"TIMESTAMP": 29, "TIMESTAMPNS": 35, "TIMESTAMP_NEW": 63, "TIMESTAMPNS_NEW": 64}


def shown(c, fd, room, flags=0, size=16, label="", name=True):
    """recvmsg with the whole control buffer."""
    control, place = Memory(320), Memory(64) if name else None
    message = Message([Memory(size)], control=control, controllen=room, name=place)
    c._arrived(fd, flags | NOW)
    result = syscall("recvmsg", fd, message, flags | NOW)
    fields = message.fields()
    seen = [str(result), f"controllen {fields['controllen']} flags {c.flags(fields['flags'])}"]
    if result.ok:
        seen.append(exact_control(control.read(), fields["controllen"], lambda number: number))
        seen.append(c.names.address(place.read(min(fields["namelen"], 64))) if name else fields["namelen"])
        seen.append(message.buffers[0].read(min(result.value, size)).hex()[:28])
    c.note(label or f"{room}", seen)
    return result


def levels(c):
    return (s.IPPROTO_IP, IP_ABOUT) if c.kind.family == s.AF_INET else (s.IPPROTO_IPV6, IPV6_ABOUT)


@case(kinds=UDP, call="recvmsg")
def each_by_itself(c):
    """Every option that adds a control message, alone, in buffers of 0 to 48 bytes."""
    level, options = levels(c)
    for name, option in options.items():
        server, client = c.server(), c.new()
        c.option(server.fd, level, option, 1)
        for room in (0, 15, 16, 17, 18, 19, *range(20, 50, 2), 200):
            c.sendto(client, b"x", address=server.address)
            shown(c, server.fd, room, label=f"{name} {room}", name=False)


@case(kinds=UDP, call="recvmsg")
def all_together(c):
    """All of them at once, with TOS and TTL set by the sender, in buffers of 0 to 200 bytes."""
    level, options = levels(c)
    server, client = c.server(), c.new()
    for option in options.values():
        c.option(server.fd, level, option, 1)
    c.option(server.fd, s.SOL_SOCKET, 40, 1)
    c.option(client, level, *((s.IP_TOS, 0x28) if level == s.IPPROTO_IP else (67, 0x28)))
    c.option(client, level, *((s.IP_TTL, 33) if level == s.IPPROTO_IP else (16, 33)))
    for room in range(0, 201, 4):
        c.sendto(client, b"x", address=server.address)
        if room % 8:
            shown(c, server.fd, room, flags=s.MSG_PEEK, label=f"peek {room}")
        shown(c, server.fd, room)


@case(kinds=(UDP6,), call="recvmsg")
def mapped(c):
    """IPv4 packets on an IPv6 socket: options of both levels."""
    fd = c.new()
    name = in6("::ffff:127.0.0.1")
    must("bind", fd, name, len(name))
    for level, options in ((s.IPPROTO_IP, IP_ABOUT), (s.IPPROTO_IPV6, IPV6_ABOUT)):
        for label, option in options.items():
            c.note(label, str(syscall("setsockopt", fd, level, option, struct.pack("=i", 1), 4)))
    client = c.new(UDP4)
    for room in range(0, 241, 16):
        c.sendto(client, b"x", address=struct.pack("=H", 2) + c.local(fd)[2:4] + bytes((127, 0, 0, 1)) + bytes(8))
        shown(c, fd, room)


@case(kinds=(*UDP, DGRAM_PAIR, STREAM_PAIR, TCP4), call="recvmsg")
def times(c):
    """Timestamps of each form: that they are there, and how long they are."""
    for name, option in TIMES.items():
        fd, peer = c.linked(label=f"l{c.count()}")
        c.note(name, str(syscall("setsockopt", peer, s.SOL_SOCKET, option, struct.pack("=i", 1), 4)))
        for _ in range(100):  # the kernel begins to take times a little later
            must("sendto", fd, b"x", 1, 0, None, 0)
            c._arrived(peer, NOW)
            message = Message([Memory(4)], control=Memory(100))
            if must("recvmsg", peer, message, NOW) and message.fields()["controllen"]:
                break
            select.select([], [], [], 0.002)
        for room in (0, 16, 20, 24, 28, 31, 32, 40, 100):
            c.sendto(fd, b"x")
            c._arrived(peer, NOW)
            message = Message([Memory(4)], control=Memory(100), controllen=room)
            c.call("recvmsg", peer, message, NOW, label=f"{room}")
            head = message.control.read(16).hex() if room >= 16 else ""
            after = message.control.read(8, 32).hex()
            c.note("control", [message.fields()["controllen"], c.flags(message.fields()["flags"]), head, after])


@case(kinds=UDP, call="recvmsg")
def times_of_the_kernel(c):
    """SO_TIMESTAMPING of received and of sent packets: the latter with the packet in the error queue."""
    fd, _ = c.linked()
    c.note("set", str(syscall("setsockopt", fd, s.SOL_SOCKET, 37, struct.pack("=i", 2 | 16 | 128), 4)))
    c.sendto(fd, b"sent")
    c.ready(fd, select.POLLERR)
    for room in (0, 64, 80, 88, 100, 160):
        shown(c, fd, room, flags=s.MSG_ERRQUEUE | s.MSG_PEEK, label=f"peek {room}")
    shown(c, fd, 200, flags=s.MSG_ERRQUEUE, size=2)
    shown(c, fd, 200, flags=s.MSG_ERRQUEUE)


@case(kinds=TCP, call="recvmsg")
def times_of_a_stream(c):
    """What TCP has sent comes back by the error queue, also with MSG_TRUNC."""
    for flags in (0, s.MSG_TRUNC):
        fd, _ = c.linked(label=f"l{c.count()}")
        c.note("set", str(syscall("setsockopt", fd, s.SOL_SOCKET, 37, struct.pack("=i", 2 | 16 | 128), 4)))
        c.sendto(fd, b"sent")
        c.ready(fd, select.POLLERR)
        message = Message([Memory(300)], control=Memory(200))
        result = syscall("recvmsg", fd, message, s.MSG_ERRQUEUE | flags)
        data = message.buffers[0].read()
        c.note("got", [str(result), c.flags(message.fields()["flags"]), message.fields()["controllen"]])
        c.note("data", [data.count(b"sent"), data.rstrip(b"\xa5") == b""])


@case(kinds=TCP, call="recvmsg")
def bytes_left(c):
    """TCP_INQ: how many bytes are left, in buffers of every length."""
    fd, peer = c.linked()
    c.option(peer, s.IPPROTO_TCP, 36, 1)
    for room in (0, 15, 16, 18, 19, 20, 23, 24, 64):
        c.sendto(fd, b"abcdef")
        for size in (2, 0, 2, 2):
            shown(c, peer, room, size=size, label=f"{room} {size}", flags=s.MSG_PEEK if size == 0 else 0)
    c.close(fd)
    shown(c, peer, 64)


@case(kinds=UDP, call="recvmsg")
def error_queue(c):
    """A refusal in the error queue: buffers of every length, peeked and taken, connected and not; SO_ERROR, poll."""
    level, option = (s.IPPROTO_IP, 11) if c.kind.family == s.AF_INET else (s.IPPROTO_IPV6, 25)
    for connected in (True, False):
        fd, target = c.new(), c.unreachable(f"u{connected}")
        c.option(fd, level, option, 1)
        if connected:
            c.connect(fd, target)
        c.sendto(fd, b"lost and found", address=None if connected else target)
        c.ready(fd, select.POLLERR)
        for room in (*range(0, 68, 4), 100):
            shown(c, fd, room, flags=s.MSG_ERRQUEUE | s.MSG_PEEK, label=f"peek {room}")
        shown(c, fd, 100, flags=s.MSG_ERRQUEUE | s.MSG_PEEK | s.MSG_TRUNC, size=3)
        shown(c, fd, 100, flags=s.MSG_ERRQUEUE | s.MSG_TRUNC, size=3)
        shown(c, fd, 100, flags=s.MSG_ERRQUEUE)
        c.so_error(fd)
        c.poll(fd, select.POLLIN, 20)


@case(kinds=UDP, call="recvmsg")
def error_first(c):
    """A refusal and plain receives: the error once, and the queue still has it; several in a batch."""
    level, option = (s.IPPROTO_IP, 11) if c.kind.family == s.AF_INET else (s.IPPROTO_IPV6, 25)
    fd, target = c.new(), c.unreachable()
    c.option(fd, level, option, 1)
    for _ in range(3):
        c.sendto(fd, b"lost", address=target)
        c.ready(fd, select.POLLERR)
    for flags in (s.MSG_PEEK, 0):
        shown(c, fd, 64, flags=flags)
        c.recvfrom(fd, flags=flags | NOW)
    batch = Vector(*(Message([Memory(8)], control=Memory(64), name=Memory(32)) for _ in range(5)))
    c.call("recvmmsg", fd, batch, 5, NOW | s.MSG_ERRQUEUE, None)
    c.note("lengths", batch.lengths())
    c.recvmmsg(fd, Vector(Message([Memory(8)])), flags=NOW)
    c.so_error(fd)


@case(kinds=(UDP6,), call="recvmsg")
def error_queue_mapped(c):
    """The refusal of an IPv4 address on an IPv6 socket, asked for by either level."""
    for level, option in ((s.IPPROTO_IP, 11), (s.IPPROTO_IPV6, 25)):
        fd = c.new()
        c.option(fd, level, option, 1)
        port = c.unreachable(f"u{level}", UDP4)[2:4]
        target = bytearray(in6("::ffff:127.0.0.1"))
        target[2:4] = port
        c.connect(fd, bytes(target))
        c.sendto(fd, b"lost")
        c.ready(fd, select.POLLERR)
        shown(c, fd, 100, flags=s.MSG_ERRQUEUE | s.MSG_PEEK)
        shown(c, fd, 100, flags=s.MSG_ERRQUEUE)


@case(kinds=UDP, call="recvmsg")
def segments(c):
    """UDP_SEGMENT by option and by control message, received with UDP_GRO and without."""
    for gro in (0, 1):
        for by in ("option", "control"):
            fd, peer = c.linked(label=f"l{c.count()}")
            c.option(peer, s.IPPROTO_UDP, GRO, gro)
            if by == "option":
                c.option(fd, s.IPPROTO_UDP, SEGMENT, 1000)
            control = cmsg(17, SEGMENT, struct.pack("=H", 1000)) if by == "control" else None
            c.sendmsg(fd, Message([b"a" * 1000 + b"b" * 1000 + b"c" * 500], control=control), label=f"{gro} {by}")
            for room in (0, 18, 64):
                shown(c, peer, room, flags=s.MSG_PEEK | s.MSG_TRUNC, size=1500)
            for _ in range(4):
                shown(c, peer, 64, size=2200)


@case(kinds=UDP, call="recvmsg")
def overflow(c):
    """SO_RXQ_OVFL after a queue has run over: that the number is there."""
    fd, peer = c.linked()
    c.option(peer, s.SOL_SOCKET, 40, 1)
    c.option(peer, s.SOL_SOCKET, s.SO_RCVBUF, 1)
    for _ in range(40):
        syscall("sendto", fd, Memory(1000), 1000, NOW, None, 0)
    c.drain(peer)
    c.sendto(fd, b"x")
    c._arrived(peer, NOW)
    message = Message([Memory(8)], control=Memory(64))
    c.call("recvmsg", peer, message, NOW)
    c.note("control", [message.fields()["controllen"], message.control.read(16).hex()])
    out = Out(64)
    c.call("getsockopt", peer, s.SOL_SOCKET, 55, out.memory, out.length, label="SO_MEMINFO")
    c.note("length", out.length.value)
