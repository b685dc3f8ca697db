"""connect(2) on sockets that are connected, listening, shared; AF_UNSPEC."""

import os
import select
import socket as s
import struct

from tests.conformance.address import UNSPEC, family_only, in4
from tests.conformance.case import case
from tests.conformance.kinds import (
    ALL,
    DATAGRAM,
    INET,
    LISTENING,
    NAMED,
    PATH,
    TCP,
    TCP4,
    UDP,
)

POLLOUT = select.POLLOUT


@case(kinds=UDP)
def refused_later(c):
    """UDP: the refusal comes with the next calls after a datagram."""
    fd = c.new()
    c.connect(fd, c.unreachable())
    c.sendto(fd, b"x")
    c.poll(fd, select.POLLIN)
    c.sendto(fd, b"x", label="the error")
    c.sendto(fd, b"x", label="after the error")


@case(kinds=INET)
def dissolve(c):
    """AF_UNSPEC dissolves a connection; the socket connects elsewhere afterwards."""
    first, second = c.server("one"), c.server("two")
    fd = c.new()
    c.connect(fd, first.address)
    c.connect(fd, UNSPEC, label="dissolve")
    c.getpeername(fd)
    c.getsockname(fd)
    c.connect(fd, second.address, label="elsewhere")
    c.getpeername(fd)


@case(kinds=ALL)
def unspec_fresh(c):
    """AF_UNSPEC on sockets that are not connected, by length."""
    for length in (0, 1, 2, 3, 4, 15, 16, 28):
        fd = c.pair()[0] if c.kind.naming == "pair" else c.new()
        c.connect(fd, UNSPEC + bytes(12), length, label=f"length {length}")


@case(kinds=PATH)
def unspec_unix(c):
    """AF_UNSPEC on a connected unix socket: only datagrams dissolve."""
    fd, _peer = c.linked()
    c.connect(fd, UNSPEC)
    c.getpeername(fd)
    c.sendto(fd, b"x", flags=s.MSG_NOSIGNAL)


@case(kinds=DATAGRAM)
def reconnect_datagram(c):
    """A datagram socket moves from one peer to another."""
    if c.kind.naming == "pair":
        fd, other = c.pair()
        c.connect(fd, UNSPEC)
        c.sendto(fd, b"x")
        c.recvfrom(other, flags=s.MSG_DONTWAIT)
        return
    one, two = c.server("one"), c.server("two")
    fd = c.new()
    c.connect(fd, one.address)
    c.sendto(fd, b"first")
    c.connect(fd, two.address, label="moved")
    c.sendto(fd, b"second")
    c.recvfrom(one.fd, flags=s.MSG_DONTWAIT)
    c.recvfrom(two.fd, flags=s.MSG_DONTWAIT)
    c.getpeername(fd)


@case(kinds=LISTENING)
def connected_already(c):
    """EISCONN on both ends, also with a wrong address."""
    server = c.server()
    fd = c.new()
    c.connect(fd, server.address)
    accepted = c.accept(server.fd).value
    c.connect(fd, server.address, label="client")
    c.connect(accepted, server.address, label="accepted")
    c.connect(fd, server.address[:2], label="client, short")
    c.connect(fd, family_only(99), label="client, family 99")


@case(kinds=LISTENING)
def on_listener(c):
    """A listening socket connects: to itself, to another."""
    one, two = c.server("one"), c.server("two")
    c.connect(one.fd, one.address, label="itself")
    c.connect(one.fd, two.address, label="another")


@case(kinds=TCP)
def self_connection(c):
    """A bound TCP socket that connects to its own address is its own peer."""
    server = c.bound()
    c.connect(server.fd, server.address)
    c.getpeername(server.fd)
    c.sendto(server.fd, b"loop")
    c.recvfrom(server.fd)


@case(kinds=INET)
def bound_first(c):
    """The address bound before is the one the peer sees."""
    server = c.server()
    client = c.bound("client")
    c.note("client", c.names.address(client.address))
    c.connect(client.fd, server.address)
    c.getsockname(client.fd)
    if c.kind.connects:
        c.accept(server.fd)


@case(kinds=NAMED)
def inherited(c):
    """A child of fork connects the socket; the parent sees it connected."""
    server = c.server()
    fd = c.new()
    c.note("child", c.in_child(lambda: c.connect(fd, server.address)))
    c.getpeername(fd)


@case(kinds=NAMED)
def duplicate(c):
    """A dup of the descriptor is the same socket."""
    server = c.server()
    fd = c.new()
    other = c.own(os.dup(fd))
    c.connect(other, server.address)
    c.getpeername(fd)
    c.close(other)
    c.connect(fd, server.address, label="the first one")


@case(kinds=(TCP4,))
def linger_zero_reset(c):
    """A connection reset by SO_LINGER 0: what the other end is told."""
    fd, peer = c.linked()
    c.option(peer, s.SOL_SOCKET, s.SO_LINGER, struct.pack("=ii", 1, 0))
    c.close(peer)
    c.poll(fd, select.POLLIN)
    c.connect(fd, in4(port=9), label="after reset")
    c.getpeername(fd)
    c.so_error(fd)
