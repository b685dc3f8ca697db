"""recvfrom(2): lengths, flags, addresses, pointers, ends."""

import os
import select
import socket as s
import struct

from tests.conformance.case import case
from tests.conformance.context import Out
from tests.conformance.kinds import (
    ALL,
    CONNECTED,
    DATAGRAM,
    INET,
    LISTENING,
    PLAIN,
    STREAM_PAIR,
    STREAMS,
    TCP,
    TCP4,
    UDP,
    both,
)
from tests.conformance.memory import BAD, Int, Memory, read_only, straddling
from tests.conformance.raw import GARBAGE, WORD, must

NAMED_DATAGRAM = tuple(kind for kind in DATAGRAM if kind.naming != "pair")


def two_messages(c):
    """A socket with "hello" and "world" waiting."""
    fd, peer = c.linked(label=f"l{c.count()}")
    for word in (b"hello", b"world"):
        must("sendto", fd, word, 5, 0, None, 0)
        if not c.kind.unix:
            c.ready(peer, select.POLLIN)
    return fd, peer


@case(kinds=both(ALL))
def nothing_there(c):
    """EAGAIN with MSG_DONTWAIT; the address and its length are left alone."""
    fd, _peer = c.linked()
    c.recvfrom(fd, flags=s.MSG_DONTWAIT, length=128)
    if c.kind.nonblock:
        c.recvfrom(fd)


@case(kinds=ALL)
def sizes(c):
    """0 bytes, a part, more than there is."""
    _fd, peer = two_messages(c)
    for size in (0, 2, 64, 64):
        c.recvfrom(peer, size=size, flags=s.MSG_DONTWAIT, length=128)


@case(kinds=ALL)
def flags(c):
    """Each flag with data waiting."""
    for name, bits in {
        "PEEK": s.MSG_PEEK,
        "TRUNC": s.MSG_TRUNC,
        "WAITALL": s.MSG_WAITALL,
        "PEEK|TRUNC": s.MSG_PEEK | s.MSG_TRUNC,
        "OOB": s.MSG_OOB,
        "ERRQUEUE": s.MSG_ERRQUEUE,
        "DONTROUTE": s.MSG_DONTROUTE,
        "EOR": s.MSG_EOR,
        "CMSG_CLOEXEC": s.MSG_CMSG_CLOEXEC,
        "MORE": 0x8000,
        "upper half": GARBAGE,
    }.items():
        _fd, peer = two_messages(c)
        c.recvfrom(peer, size=3, flags=bits, label=name)
        c.recvfrom(peer, flags=s.MSG_DONTWAIT, label="then")


@case(kinds=NAMED_DATAGRAM)
def addresses(c):
    """The sender's address, cut to every length; of an unnamed sender."""
    server, client = c.server("s"), c.bound("c")
    for length in (0, 1, 2, 3, 8, 15, 16, 17, 27, 28, 29, 110, 128, 200):
        c.sendto(client.fd, b"x", address=server.address)
        c.recvfrom(server.fd, length=length, label=f"length {length}")
    c.sendto(c.new(), b"x", address=server.address)
    c.recvfrom(server.fd, length=128, label="unnamed")


@case(kinds=CONNECTED)
def addresses_of_streams(c):
    """A connected stream gives no address, or its peer's."""
    fd, peer = c.linked()
    c.sendto(fd, b"x")
    c.recvfrom(peer, length=128)


@case(kinds=PLAIN)
def bad_address(c):
    """Bad pointers for the address and its length; whether the data is lost."""
    fd, peer = c.linked()
    for name, make in {**BAD, "read-only": lambda: read_only(128)}.items():
        c.sendto(fd, b"data")
        c.ready(peer, select.POLLIN)
        c.call("recvfrom", peer, Memory(8), 8, 0, make(), Int(128), label=f"{name} address")
        c.call("recvfrom", peer, Memory(8), 8, s.MSG_DONTWAIT, None, None, label="afterwards")
        c.sendto(fd, b"data")
        c.ready(peer, select.POLLIN)
        c.call("recvfrom", peer, Memory(8), 8, 0, Memory(128), make(), label=f"{name} length")
        c.call("recvfrom", peer, Memory(8), 8, s.MSG_DONTWAIT, None, None, label="afterwards")


@case(kinds=PLAIN)
def negative_address_length(c):
    """A negative length for the address."""
    fd, peer = c.linked()
    c.sendto(fd, b"data")
    c.ready(peer, select.POLLIN)
    c.recvfrom(peer, length=-1)
    c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=PLAIN)
def bad_buffer(c):
    """Memory that cannot be written; whether the data is lost."""
    fd, peer = c.linked()
    for name, make in {**BAD, "read-only": lambda: read_only(16)}.items():
        c.sendto(fd, b"data")
        c.ready(peer, select.POLLIN)
        c.call("recvfrom", peer, make(), 16, s.MSG_DONTWAIT, None, None, label=name)
        c.recvfrom(peer, flags=s.MSG_DONTWAIT, label="afterwards")


@case(kinds=PLAIN)
def buffer_ends(c):
    """The memory is shorter than the size, and than the data."""
    fd, peer = c.linked()
    c.sendto(fd, b"0123456789")
    c.ready(peer, select.POLLIN)
    c.call("recvfrom", peer, straddling(bytes(16), 16), 100, 0, None, None, label="data fits")
    c.sendto(fd, b"0123456789")
    c.ready(peer, select.POLLIN)
    c.call("recvfrom", peer, straddling(bytes(4), 4), 100, 0, None, None, label="data does not")
    c.recvfrom(peer, flags=s.MSG_DONTWAIT, label="afterwards")


@case(kinds=PLAIN)
def huge_sizes(c):
    """Sizes beyond INT_MAX are cut."""
    fd, peer = c.linked()
    for size in (1 << 31, 1 << 40, WORD, 1 << 63):
        c.sendto(fd, b"data")
        c.ready(peer, select.POLLIN)
        c.call("recvfrom", peer, Memory(64), size, s.MSG_DONTWAIT, None, None, label=f"{size:#x}")
        c.drain(peer)


@case(kinds=CONNECTED)
def end_of_stream(c):
    """The peer shut down, then closed: the rest, then nothing."""
    fd, peer = c.linked()
    c.sendto(fd, b"rest")
    c.call("shutdown", fd, s.SHUT_WR)
    for _ in range(3):
        c.recvfrom(peer)
    c.close(fd)
    c.recvfrom(peer)


@case(kinds=CONNECTED)
def own_shutdown(c):
    """After shutdown(SHUT_RD): what was there, then nothing; no waiting."""
    fd, peer = c.linked()
    c.sendto(fd, b"there")
    c.ready(peer, select.POLLIN)
    c.call("shutdown", peer, s.SHUT_RD)
    c.recvfrom(peer)
    c.recvfrom(peer)


@case(kinds=(*STREAMS, *DATAGRAM))
def reset(c):
    """The peer closes with data of ours unread."""
    fd, peer = c.linked()
    c.sendto(fd, b"unread")
    c.option(peer, s.SOL_SOCKET, s.SO_LINGER, struct.pack("=ii", 1, 0))
    c.close(peer)
    if c.kind.connects:
        c.ready(fd, select.POLLIN)
    for _ in range(2):
        c.recvfrom(fd, flags=s.MSG_DONTWAIT)


@case(kinds=both(ALL))
def not_connected(c):
    """Fresh sockets: ENOTCONN, EINVAL or waiting."""
    c.recvfrom(c.new(), flags=s.MSG_DONTWAIT)
    if c.kind.naming != "pair":
        c.recvfrom(c.bound("b").fd, flags=s.MSG_DONTWAIT)


@case(kinds=LISTENING)
def listener(c):
    """A listening socket has no data."""
    c.recvfrom(c.server().fd, flags=s.MSG_DONTWAIT)


@case(kinds=UDP)
def refusal(c):
    """A connected UDP socket is told of the refusal once."""
    fd = c.new()
    c.connect(fd, c.unreachable())
    c.sendto(fd, b"x")
    c.ready(fd, select.POLLERR)
    c.recvfrom(fd, flags=s.MSG_DONTWAIT)
    c.recvfrom(fd, flags=s.MSG_DONTWAIT)


@case(kinds=DATAGRAM)
def empty_datagram(c):
    """A datagram of no bytes is one."""
    fd, peer = c.linked()
    c.sendto(fd, b"")
    c.sendto(fd, b"next")
    c.recvfrom(peer)
    c.recvfrom(peer)


@case(kinds=DATAGRAM)
def filtered(c):
    """A connected datagram socket takes nothing from others."""
    if c.kind.naming == "pair":
        return
    _fd, peer = c.linked()
    c.sendto(c.new(), b"stranger", address=c.local(peer))
    c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=INET)
def peek_offset(c):
    """SO_PEEK_OFF moves with every peek."""
    fd, peer = c.linked()
    c.sendto(fd, b"0123456789")
    c.ready(peer, select.POLLIN)
    c.call("setsockopt", peer, s.SOL_SOCKET, 42, struct.pack("=i", 2), 4, label="SO_PEEK_OFF")
    c.recvfrom(peer, size=3, flags=s.MSG_PEEK)
    c.recvfrom(peer, size=3, flags=s.MSG_PEEK)
    c.recvfrom(peer)


@case(kinds=STREAMS)
def same_memory_for_all(c):
    """Data, address and length lie in the same memory."""
    fd, peer = c.linked()
    c.sendto(fd, b"overlap")
    shared = Memory(struct.pack("=i", 100) + bytes(124))
    c.call("recvfrom", peer, shared, 64, 0, shared, shared)
    c.note("length", int.from_bytes(shared.read(4), "little"))


@case(kinds=(TCP4, STREAM_PAIR))
def null_address_with_length(c):
    """A NULL address: the length is not touched."""
    fd, peer = c.linked()
    c.sendto(fd, b"x")
    out = Out(77)
    c.call("recvfrom", peer, Memory(4), 4, 0, None, out.length)
    c.note("length", out.length.value)


@case(kinds=TCP)
def urgent_inline(c):
    """SO_OOBINLINE leaves the urgent byte in the data; SIOCATMARK divides reads."""
    fd, peer = c.linked()
    c.option(peer, s.SOL_SOCKET, s.SO_OOBINLINE, 1)
    c.sendto(fd, b"ab")
    c.sendto(fd, b"!", flags=s.MSG_OOB)
    c.sendto(fd, b"cd")
    c.ready(peer, select.POLLPRI)
    for _ in range(2):
        c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=STREAMS)
def shared_by_processes(c):
    """A child and its parent read from one socket."""
    fd, peer = c.linked()
    c.sendto(fd, b"abcdef")
    c.ready(peer, select.POLLIN)
    c.note("child", c.in_child(lambda: c.recvfrom(peer, size=3)))
    c.recvfrom(peer)
    c.note("nonblocking", os.get_blocking(peer))
