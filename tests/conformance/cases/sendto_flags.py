"""sendto(2) and its flags."""

import os
import select
import socket as s

from tests.conformance.case import case
from tests.conformance.kinds import (
    ALL,
    DATAGRAM,
    INET,
    PAIRS,
    TCP,
    TCP4,
    TCP6,
    UDP4,
    UDP6,
)
from tests.conformance.raw import GARBAGE

MSG_CONFIRM, MSG_MORE, MSG_FASTOPEN, MSG_ZEROCOPY = 0x800, 0x8000, 0x20000000, 0x4000000
NAMED_DATAGRAM = tuple(kind for kind in DATAGRAM if kind.naming != "pair")

FLAGS = {
    "DONTWAIT": s.MSG_DONTWAIT,
    "EOR": s.MSG_EOR,
    "CONFIRM": MSG_CONFIRM,
    "DONTROUTE": s.MSG_DONTROUTE,
    "PEEK": s.MSG_PEEK,
    "WAITALL": s.MSG_WAITALL,
    "TRUNC": s.MSG_TRUNC,
    "CTRUNC": s.MSG_CTRUNC,
    "NOSIGNAL": s.MSG_NOSIGNAL,
    "OOB": s.MSG_OOB,
    "ERRQUEUE": s.MSG_ERRQUEUE,
    "ZEROCOPY": MSG_ZEROCOPY,
    "CMSG_CLOEXEC": s.MSG_CMSG_CLOEXEC,
    "BATCH": 0x40000,
    "bit 9": 0x200,
    "bit 12": 0x1000,
    "SPLICE_PAGES": 0x8000000,
    "upper half": GARBAGE,
}


@case(kinds=ALL)
def flags(c):
    """Every flag alone on a connected socket, and what arrives."""
    fd, peer = c.linked()
    for name, bits in FLAGS.items():
        c.sendto(fd, b"f", flags=bits, label=name)
        c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=NAMED_DATAGRAM)
def flags_with_address(c):
    """Every flag alone, with an address."""
    server = c.server()
    fd = c.new()
    for name, bits in FLAGS.items():
        c.sendto(fd, b"f", flags=bits, address=server.address, label=name)
        c.recvfrom(server.fd, flags=s.MSG_DONTWAIT)


@case(kinds=INET)
def more(c):
    """MSG_MORE holds data back; UDP joins it into one datagram."""
    fd, peer = c.linked()
    c.sendto(fd, b"one ", flags=MSG_MORE, label="more")
    if not c.kind.connects:
        c.recvfrom(peer, flags=s.MSG_DONTWAIT)
    c.sendto(fd, b"two", label="last")
    c.ready(peer, select.POLLIN)
    c.recvfrom(peer, size=7, flags=s.MSG_WAITALL)


@case(kinds=TCP)
def urgent(c):
    """MSG_OOB: the last byte is urgent, POLLPRI shows it, SIGURG tells the owner."""
    fd, peer = c.linked()
    c.sendto(fd, b"ab!", flags=s.MSG_OOB)
    c.poll(peer, select.POLLPRI)
    c.recvfrom(peer, flags=s.MSG_OOB, label="urgent")
    c.recvfrom(peer, label="the rest")
    c.recvfrom(peer, flags=s.MSG_OOB | s.MSG_DONTWAIT, label="urgent again")
    c.sendto(fd, b"", flags=s.MSG_OOB, label="empty")


@case(kinds=(TCP4, TCP6))
def fast_open(c):
    """MSG_FASTOPEN with an address on a fresh TCP socket."""
    server = c.server()
    c.option(server.fd, s.IPPROTO_TCP, 23, 5)
    for nonblock in (False, True):
        fd = c.new()
        os.set_blocking(fd, not nonblock)
        c.sendto(fd, b"fast", flags=MSG_FASTOPEN, address=server.address, label=f"nonblock {nonblock}")
        c.ready(server.fd, select.POLLIN)
        peer = c.accept(server.fd).value
        c.poll(fd, select.POLLOUT)
        c.so_error(fd)
        c.getpeername(fd)
        c.recvfrom(peer, flags=s.MSG_DONTWAIT)
    c.sendto(fd, b"x", flags=MSG_FASTOPEN, address=server.address, label="connected")
    c.sendto(c.new(), b"x", flags=MSG_FASTOPEN, label="no address")


@case(kinds=(UDP4, UDP6, *PAIRS))
def fast_open_elsewhere(c):
    """MSG_FASTOPEN where it means nothing."""
    fd, peer = c.linked()
    c.sendto(fd, b"x", flags=MSG_FASTOPEN)
    c.recvfrom(peer, flags=s.MSG_DONTWAIT)
