"""sendto(2): destinations, flags, sizes, pointers, SIGPIPE."""

import os
import socket as s

from tests.conformance.address import UNSPEC, family_only, in4, in6, port_of, un
from tests.conformance.case import case
from tests.conformance.kinds import (
    ALL,
    DATAGRAM,
    LISTENING,
    NAMED,
    PAIRS,
    PLAIN,
    UDP,
    UDP4,
    UDP6,
    both,
)
from tests.conformance.memory import BAD, Memory, straddling
from tests.conformance.raw import GARBAGE, WORD

NAMED_DATAGRAM = tuple(kind for kind in DATAGRAM if kind.naming != "pair")


@case(kinds=both(ALL))
def connected(c):
    """Without an address on a connected socket: data, nothing, and one byte."""
    one, two = c.linked()
    for data in (b"hello", b"", b"x"):
        c.sendto(one, data)
    for _ in range(3):
        c.recvfrom(two, flags=s.MSG_DONTWAIT, length=128)


@case(kinds=both(ALL))
def with_address_on_connected(c):
    """With the peer's address, another address, and nonsense on a connected socket."""
    one, two = c.linked()
    third = c.server("third") if c.kind.naming != "pair" else None
    c.sendto(one, b"peer", address=c.local(two), label="the peer's")
    if third:
        c.sendto(one, b"third", address=third.address, label="another")
    c.sendto(one, b"short", address=in4()[:2], label="short")
    c.sendto(one, b"family", address=family_only(99), label="family 99")
    c.recvfrom(two, flags=s.MSG_DONTWAIT, length=128)
    c.recvfrom(two, flags=s.MSG_DONTWAIT, length=128)
    if third and not c.kind.connects:
        c.recvfrom(third.fd, flags=s.MSG_DONTWAIT, length=128)


@case(kinds=both(NAMED_DATAGRAM))
def unconnected(c):
    """A datagram to an address from a fresh socket; the name it gets, the address the receiver sees."""
    server = c.server()
    fd = c.new()
    c.sendto(fd, b"hello", address=server.address)
    c.getsockname(fd)
    c.recvfrom(server.fd, length=128)
    c.sendto(fd, b"", address=server.address, label="empty")
    c.recvfrom(server.fd, length=128)
    c.getpeername(fd)


@case(kinds=NAMED_DATAGRAM)
def from_bound(c):
    """The receiver sees the bound name and answers to it."""
    server, client = c.server("s"), c.bound("c")
    c.sendto(client.fd, b"question", address=server.address)
    c.recvfrom(server.fd, length=128)
    c.sendto(server.fd, b"answer", address=client.address)
    c.recvfrom(client.fd, length=128)


@case(kinds=both(ALL))
def no_destination(c):
    """Neither address nor connection: EDESTADDRREQ, ENOTCONN, EPIPE."""
    fd = c.new()
    c.sendto(fd, b"x", label="NULL")
    c.sendto(fd, b"x", flags=s.MSG_NOSIGNAL, label="NULL, MSG_NOSIGNAL")
    c.sendto(fd, b"", label="empty")
    c.call("sendto", fd, b"x", 1, 0, Memory(16), 0, label="length 0")
    c.so_error(fd)


@case(kinds=LISTENING)
def stream_with_address(c):
    """A fresh stream socket with the address of a listener, and a listener itself."""
    server = c.server()
    fd = c.new()
    c.sendto(fd, b"x", address=server.address)
    c.sendto(server.fd, b"x", label="listener")
    c.sendto(server.fd, b"x", address=server.address, label="listener with address")


@case(kinds=tuple(kind for kind in NAMED_DATAGRAM if kind.unix))
def unix_destinations(c):
    """Missing, stale, of another type, self, unnamed."""
    fd = c.new()
    c.sendto(fd, b"x", address=c.name("missing"), label="missing")
    stale = c.bound("stale")
    c.close(stale.fd)
    c.sendto(fd, b"x", address=stale.address, label="stale")
    stream = c.server("stream", c.kind._replace(type=s.SOCK_STREAM))
    c.sendto(fd, b"x", address=stream.address, label="stream")
    own = c.bound("own")
    c.sendto(own.fd, b"x", address=own.address, label="self")
    c.recvfrom(own.fd, length=128)
    c.sendto(fd, b"x", address=un(b""), label="no name")


@case(kinds=tuple(kind for kind in NAMED_DATAGRAM if kind.naming == "path"))
def unix_relative_and_forbidden(c):
    """A relative path; a socket without write permission as nobody."""
    server = c.server()
    os.chdir(c.directory())
    c.sendto(c.new(), b"relative", address=un("s\0"), label="relative")
    c.recvfrom(server.fd)
    (c.directory() / "s").chmod(0o600)
    c.become_nobody()
    c.sendto(c.new(), b"x", address=server.address, label="as nobody")


@case(kinds=NAMED_DATAGRAM)
def address_lengths(c):
    """A right address with every length."""
    server = c.server()
    for length in (1, 2, 3, 7, 8, 15, 16, 17, 23, 24, 27, 28, 29, 110, 111, 128, 129, 200, -1, -(1 << 31), 1 << 31):
        fd = c.new()
        c.sendto(fd, b"x", address=server.address + bytes(256), length=length, label=f"length {length}")
        c.close(fd)
    fd = c.new()
    size = len(server.address) | GARBAGE
    c.sendto(fd, b"x", address=server.address, length=size, label="garbage above")


@case(kinds=PLAIN)
def bad_address(c):
    """Every bad pointer for the address, on connected sockets too."""
    fd, _ = c.linked()
    for name, make in BAD.items():
        pointer = make()
        for length in (0, 1, 2, 16, 129, -1):
            for label, number in (("linked", fd), ("fresh", c.new())):
                c.call("sendto", number, b"x", 1, s.MSG_NOSIGNAL, pointer, length, label=f"{label} {name} {length}")


@case(kinds=DATAGRAM)
def wrong_family(c):
    """Addresses of other families."""
    addresses = {
        "inet": in4(port=9),
        "inet6": in6(port=9),
        "unix": un(c.names.path("none") + "\0"),
        "44": family_only(44, 28),
    }
    own = {s.AF_INET: "inet", s.AF_INET6: "inet6", s.AF_UNIX: "unix"}[c.kind.family]
    for name, address in addresses.items():
        if name != own and not (name == "inet" and own == "inet6"):
            c.sendto(c.new(), b"x", address=address, label=name)


@case(kinds=UDP)
def unspec_family(c):
    """AF_UNSPEC in an address is taken for AF_INET by UDP."""
    server = c.server(kind=UDP4)
    fd = c.new()
    c.sendto(fd, b"x", address=UNSPEC[:2] + server.address[2:])
    c.sendto(fd, b"x", address=UNSPEC[:2] + server.address[2:] + bytes(12), label="28 bytes")
    c.recvfrom(server.fd, flags=s.MSG_DONTWAIT)


@case(kinds=(UDP6,))
def mapped(c):
    """A v6 socket to a v4-mapped address, to a sockaddr_in; with IPV6_V6ONLY."""
    server = c.server(kind=UDP4)
    port = port_of(server.address)
    for only in (0, 1):
        fd = c.new()
        c.option(fd, s.IPPROTO_IPV6, s.IPV6_V6ONLY, only)
        c.sendto(fd, b"mapped", address=in6("::ffff:127.0.0.1", port), label=f"mapped {only}")
        c.sendto(fd, b"inet", address=in4(port=port), label=f"sockaddr_in {only}")
        for _ in range(2):
            c.recvfrom(server.fd, flags=s.MSG_DONTWAIT)


@case(kinds=UDP)
def special_addresses(c):
    """Port 0, any address, broadcast without SO_BROADCAST."""
    server = c.server()
    port = port_of(server.address)
    fd = c.new()
    c.sendto(fd, b"x", address=c.name(), label="port 0")
    if c.kind.family == s.AF_INET:
        c.sendto(fd, b"x", address=in4("0.0.0.0", port), label="any")
        c.sendto(fd, b"x", address=in4("255.255.255.255", port), label="broadcast")
        c.sendto(fd, b"x", address=in4("127.255.255.255", port), label="loopback broadcast")
    else:
        c.sendto(fd, b"x", address=in6("::", port), label="any")
        c.sendto(fd, b"x", address=in6("fe80::1", port), label="link-local")
        c.sendto(fd, b"x", address=in6("::1", port, scope=9999), label="scope 9999")
    c.recvfrom(server.fd, flags=s.MSG_DONTWAIT)


@case(kinds=PLAIN)
def bad_buffer(c):
    """Every bad pointer for the data, with length 0 and more."""
    fd, peer = c.linked()
    for name, make in BAD.items():
        pointer = make()
        for length in (0, 1, 100):
            c.call("sendto", fd, pointer, length, 0, None, 0, label=f"{name} {length}")
            c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=PLAIN)
def buffer_ends(c):
    """The data runs out of memory in the middle."""
    fd, peer = c.linked()
    for present, length in ((10, 20), (5000, 9000), (1, 2)):
        c.call("sendto", fd, straddling(b"d" * present, present), length, 0, None, 0, label=f"{present} of {length}")
        c.recvfrom(peer, size=16384, flags=s.MSG_DONTWAIT)


@case(kinds=DATAGRAM)
def too_long(c):
    """EMSGSIZE: at the limit of the protocol, one above, and huge."""
    fd, peer = c.linked()
    c.option(fd, s.SOL_SOCKET, s.SO_SNDBUF, 400000)
    limit = {s.AF_INET: 65507, s.AF_INET6: 65527}.get(c.kind.family, 150000)
    data = Memory(b"l" * 200000)
    for length in (limit, limit + 1, 200000, 1 << 32, WORD, 1 << 63):
        c.call("sendto", fd, data, length, s.MSG_DONTWAIT, None, 0, label=f"length {length:#x}")
        c.drain(peer)


@case(kinds=PAIRS)
def beyond_the_buffer(c):
    """A message larger than SO_SNDBUF."""
    fd, peer = c.pair()
    c.option(fd, s.SOL_SOCKET, s.SO_SNDBUF, 4096)
    data = Memory(b"l" * 100000)
    for length in (1000, 4000, 9000, 100000):
        c.call("sendto", fd, data, length, s.MSG_DONTWAIT, None, 0, label=f"length {length}")
        c.note("drained", c.drain(peer))


@case(kinds=NAMED)
def number_with_garbage(c):
    """The upper half of the descriptor's register does not matter."""
    fd, peer = c.linked()
    c.sendto(fd | GARBAGE, b"x")
    c.recvfrom(peer | GARBAGE)
