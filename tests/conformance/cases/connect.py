"""connect(2): success, refusals, order of checks."""

import select
import socket as s
import stat

from tests.conformance.address import family_only, in4, in6, port_of, un, with_port
from tests.conformance.case import case
from tests.conformance.kinds import (
    ALL,
    NAMED,
    PATH,
    PLAIN,
    TCP,
    TCP4,
    TCP6,
    UDP,
    UDP4,
    UDP6,
    both,
)
from tests.conformance.memory import BAD, straddling
from tests.conformance.raw import GARBAGE

POLLOUT = select.POLLOUT


@case(kinds=both(NAMED))
def success(c):
    """A listening or receiving peer: connect, poll, SO_ERROR, connect twice more."""
    server = c.server()
    fd = c.new()
    c.connect(fd, server.address)
    c.poll(fd, POLLOUT)
    c.connect(fd, server.address, label="again")
    c.connect(fd, server.address, label="and again")
    c.so_error(fd)
    c.getpeername(fd)
    c.getsockname(fd)
    c.flags_of(fd)


@case(kinds=both(TCP))
def after_so_error(c):
    """The textbook way: connect, poll, SO_ERROR, then data."""
    server = c.server()
    fd = c.new()
    c.connect(fd, server.address)
    c.poll(fd, POLLOUT)
    c.so_error(fd)
    peer = c.accept(server.fd).value
    c.sendto(fd, b"hello")
    c.recvfrom(peer)


@case(kinds=both(NAMED))
def refused(c):
    """The address is there, and refuses (a datagram peer that listens to somebody else)."""
    address = c.unreachable()
    fd = c.new()
    c.connect(fd, address)
    c.poll(fd, POLLOUT, 200)
    c.so_error(fd)
    c.connect(fd, address, label="again")
    c.getpeername(fd)


LENGTHS = (0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 23, 24, 27, 28, 29, 64, 109, 110, 111, 127, 128, 129, 200, 65536)
ODD_LENGTHS = (-1, -(1 << 31), (1 << 31) - 1, 1 << 32, (1 << 32) + 16, GARBAGE | 16, GARBAGE | 28)


@case(kinds=NAMED)
def lengths(c):
    """A right address with every length, in memory that holds 64 kB."""
    server = c.server()
    for length in LENGTHS:
        fd = c.new()
        c.connect(fd, server.address + bytes(65536), length, label=f"length {length}")
        c.close(fd)


@case(kinds=NAMED)
def odd_lengths(c):
    """Negative, huge, and with garbage in the upper half of the register."""
    server = c.server()
    for length in ODD_LENGTHS:
        fd = c.new()
        c.connect(fd, server.address + bytes(256), length, label=f"length {length:#x}")
        c.close(fd)


@case(kinds=PLAIN)
def bad_pointers(c):
    """Every bad pointer with lengths that are and are not read."""
    for name, make in BAD.items():
        fd = c.new()
        pointer = make()
        for length in (-1, 0, 1, 2, 16, 128, 129):
            c.connect(fd, pointer, length, label=f"{name} {length}")
        c.close(fd)


@case(kinds=NAMED)
def straddling_memory(c):
    """The address ends exactly at the end of memory, or one byte after it."""
    server = c.server()
    size = len(server.address)
    for present, length in ((size, size), (size, size + 1), (size - 1, size), (2, size), (1, 2), (0, 2)):
        fd = c.new()
        c.connect(fd, straddling(server.address, present), length, label=f"{present} of {length}")
        c.close(fd)


@case(kinds=ALL)
def wrong_family(c):
    """Addresses of every other family, on a fresh socket."""
    addresses = {
        "inet": in4(port=9),
        "inet6": in6(port=9),
        "unix": un(c.names.path("none") + "\0"),
        "netlink": family_only(16, 12),
        "packet": family_only(17, 20),
        "44": family_only(44, 16),
        "65535": family_only(65535, 28),
    }
    for name, address in addresses.items():
        if c.kind.type == s.SOCK_DGRAM and c.kind.family == {"inet": s.AF_INET, "inet6": s.AF_INET6}.get(name):
            continue
        fd = c.pair()[0] if c.kind.naming == "pair" else c.new()
        c.connect(fd, address, label=name)


@case(kinds=(TCP4, TCP6, UDP4, UDP6))
def unspecified_address(c):
    """0.0.0.0 and :: mean this host."""
    server = c.server()
    any_address = with_port(in4("0.0.0.0") if c.kind.family == s.AF_INET else in6("::"), port_of(server.address))
    fd = c.new()
    c.connect(fd, any_address)
    c.getpeername(fd)
    c.getsockname(fd)


@case(kinds=(TCP6, UDP6))
def mapped(c):
    """A v6 socket to ::ffff:127.0.0.1, and with IPV6_V6ONLY."""
    server = c.server(kind=TCP4 if c.kind.connects else UDP4)
    address = in6("::ffff:127.0.0.1", port_of(server.address))
    fd = c.new()
    c.connect(fd, address)
    c.getpeername(fd)
    c.getsockname(fd)
    only = c.new()
    c.option(only, s.IPPROTO_IPV6, s.IPV6_V6ONLY, 1)
    c.connect(only, address, label="v6only")


@case(kinds=(TCP6, UDP6))
def inet_address_on_v6(c):
    """A sockaddr_in on a v6 socket: UDP takes it, TCP does not."""
    server = c.server(kind=TCP4 if c.kind.connects else UDP4)
    fd = c.new()
    c.connect(fd, server.address)
    c.getpeername(fd)
    c.getsockname(fd)
    c.connect(fd, server.address + bytes(12), label="28 bytes")


@case(kinds=UDP)
def port_zero(c):
    """UDP takes port 0."""
    fd = c.new()
    c.connect(fd, c.name())
    c.getpeername(fd)


@case(kinds=both(TCP))
def port_zero_tcp(c):
    """TCP to port 0."""
    fd = c.new()
    c.connect(fd, c.name())
    c.poll(fd, POLLOUT, 200)
    c.so_error(fd)


@case(kinds=(UDP4, TCP4))
def unreachable_addresses(c):
    """Broadcast addresses, of the world and of loopback."""
    for host in ("255.255.255.255", "127.255.255.255"):
        fd = c.new()
        c.connect(fd, in4(host, 9), label=host)


@case(kinds=(UDP6, TCP6))
def unreachable_addresses6(c):
    """Link-local without scope, multicast, with a scope that is no interface."""
    for name, address in {
        "no scope": in6("fe80::1", 9),
        "scope 9999": in6("fe80::1", 9, scope=9999),
        "multicast": in6("ff02::1", 9),
        "loopback, scope 9999": in6("::1", 9, scope=9999),
    }.items():
        fd = c.new()
        c.connect(fd, address, label=name)


@case(kinds=(TCP4, UDP4))
def source_port_taken(c):
    """The whole 127/8 is local: 127.0.0.2 is served by a wildcard server."""
    server = c.new(c.kind._replace(nonblock=False))
    c.bind(server, in4("0.0.0.0"))
    if c.kind.connects:
        c.listen(server)
    port = port_of(c.local(server))
    fd = c.new()
    c.connect(fd, in4("127.1.2.3", port))
    c.getpeername(fd)
    c.getsockname(fd)


@case(kinds=NAMED)
def number_with_garbage(c):
    """The upper half of the descriptor's register does not matter."""
    server = c.server()
    fd = c.new()
    c.connect(fd | GARBAGE, server.address, len(server.address) | GARBAGE)
    c.getpeername(fd | GARBAGE)


@case(kinds=PATH)
def socket_file(c):
    """What the connected socket looks like in the file system."""
    c.server()
    mode = (c.directory() / "s").stat().st_mode
    c.note("file", [stat.S_ISSOCK(mode), oct(mode & 0o777)])
