"""bind(2): names, lengths, conflicts, rights, what is left in the file system."""

import os
import socket as s

from tests.conformance.address import UNSPEC, family_only, in4, in6, port_of, un, with_port
from tests.conformance.case import case
from tests.conformance.kinds import (
    INET,
    LISTENING,
    NAMED,
    PLAIN,
    TCP4,
    TCP6,
    UDP4,
    UDP6,
    both,
    nonblocking,
)
from tests.conformance.memory import BAD, straddling
from tests.conformance.raw import GARBAGE


@case(kinds=both(NAMED))
def success(c):
    """A fresh name, seen by getsockname; binding twice is EINVAL."""
    fd = c.new()
    c.bind(fd, c.name())
    c.getsockname(fd)
    c.bind(fd, c.name("other"), label="again")
    c.getsockname(fd)


@case(kinds=INET)
def chosen_port(c):
    """A port chosen by the program; a second socket on it is EADDRINUSE."""
    first = c.bound()
    c.note("first", c.names.address(first.address))
    second = c.new()
    c.bind(second, first.address, label="second")
    c.close(first.fd)
    c.bind(second, first.address, label="after close")
    c.getsockname(second)


LENGTHS = (0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 23, 24, 27, 28, 29, 64, 109, 110, 111, 127, 128, 129, 200)


@case(kinds=INET)
def lengths(c):
    """A right inet address with every length."""
    for length in LENGTHS:
        fd = c.new()
        c.bind(fd, c.name() + bytes(256), length, label=f"length {length}")


@case(kinds=NAMED)
def odd_lengths(c):
    """Negative, huge, and with garbage in the upper half of the register."""
    name = c.name()
    for length in (-1, -(1 << 31), (1 << 31) - 1, 1 << 32, GARBAGE, GARBAGE | len(name)):
        c.bind(c.new(), name + bytes(256), length, label=f"length {length:#x}")


@case(kinds=PLAIN)
def bad_pointers(c):
    """Every bad pointer with lengths that are and are not read."""
    for name, make in BAD.items():
        fd = c.new()
        pointer = make()
        for length in (-1, 0, 1, 2, 16, 128, 129):
            if not (c.kind.unix and length == 2):
                c.bind(fd, pointer, length, label=f"{name} {length}")


@case(kinds=NAMED)
def straddling_memory(c):
    """The address ends exactly at the end of memory, or one byte after it."""
    name = c.name()
    size = len(name)
    for present, length in ((size - 1, size), (2, size), (1, 2), (0, 2), (size, size + 1), (size, size)):
        c.bind(c.new(), straddling(name, present), length, label=f"{present} of {length}")


@case(kinds=NAMED)
def wrong_family(c):
    """Addresses of every other family."""
    own = {"inet": s.AF_INET, "inet6": s.AF_INET6, "unix": s.AF_UNIX}
    addresses = {
        "inet": in4(),
        "inet6": in6(),
        "unix": un(c.names.path("x") + "\0"),
        "unspec": UNSPEC,
        "netlink": family_only(16, 12),
        "44": family_only(44, 28),
        "65535": family_only(65535, 28),
    }
    for name, address in addresses.items():
        if own.get(name) != c.kind.family:
            c.bind(c.new(), address, label=name)


@case(kinds=(TCP4, UDP4))
def unspec_any(c):
    """AF_UNSPEC with 0.0.0.0 binds (an old program's habit); with another address it does not."""
    for name, address in {
        "any": UNSPEC,
        "any, 15": UNSPEC[:15],
        "loopback": UNSPEC[:4] + in4()[4:],
        "28 bytes": UNSPEC + bytes(12),
    }.items():
        fd = c.new()
        c.bind(fd, address, label=name)
        c.getsockname(fd)


@case(kinds=(TCP4, UDP4))
def addresses4(c):
    """Not ours, broadcast, multicast, any, and another loopback address."""
    for host in ("127.0.0.1", "127.9.8.7", "0.0.0.0", "255.255.255.255", "224.0.0.1", "203.0.113.1", "127.255.255.255"):
        fd = c.new()
        c.bind(fd, in4(host), label=host)
        c.getsockname(fd)


@case(kinds=(TCP6, UDP6))
def addresses6(c):
    """Not ours, multicast, any, v4-mapped, link-local with and without scope."""
    for label, address in {
        "::1": in6(),
        "::": in6("::"),
        "mapped": in6("::ffff:127.0.0.1"),
        "mapped, not ours": in6("::ffff:203.0.113.1"),
        "not ours": in6("2001:db8::1"),
        "multicast": in6("ff02::1"),
        "link-local": in6("fe80::1234"),
        "scope 9999": in6("fe80::1234", scope=9999),
        "loopback with scope": in6("::1", scope=1),
        "flow": in6("::1", flow=5),
    }.items():
        fd = c.new()
        c.bind(fd, address, label=label)
        c.getsockname(fd)


@case(kinds=(TCP6, UDP6))
def inet_address_on_v6(c):
    """A sockaddr_in on a v6 socket."""
    for label, address in {"16 bytes": in4(), "28 bytes": in4() + bytes(12)}.items():
        fd = c.new()
        c.bind(fd, address, label=label)
        c.getsockname(fd)


@case(kinds=(TCP6, UDP6))
def dual_stack_conflict(c):
    """[::]:p and 0.0.0.0:p exclude each other unless IPV6_V6ONLY."""
    for only in (0, 1):
        six = c.new()
        c.option(six, s.IPPROTO_IPV6, s.IPV6_V6ONLY, only)
        c.bind(six, in6("::"), label=f"v6only {only}")
        port = port_of(c.local(six))
        four = c.new(TCP4 if c.kind.connects else UDP4)
        c.bind(four, in4("0.0.0.0", port), label="v4 any")
        mapped = c.new()
        c.bind(mapped, in6("::ffff:127.0.0.1", port), label="mapped")
        c.close(four)
        c.close(mapped)


@case(kinds=INET)
def reuse(c):
    """SO_REUSEADDR and SO_REUSEPORT on the second, on both."""
    for option, name in ((s.SO_REUSEADDR, "REUSEADDR"), (s.SO_REUSEPORT, "REUSEPORT")):
        for both_have in (False, True):
            first, second = c.new(), c.new()
            if both_have:
                c.option(first, s.SOL_SOCKET, option, 1)
            c.option(second, s.SOL_SOCKET, option, 1)
            c.bind(first, c.name(), label=f"{name} first")
            c.bind(second, c.local(first), label=f"{name} second")
            if c.kind.connects:
                c.listen(first)
                c.listen(second)


@case(kinds=LISTENING)
def after_listen(c):
    """Binding a listening socket again."""
    server = c.server()
    c.bind(server.fd, c.name("other"))


@case(kinds=NAMED)
def after_connect(c):
    """Binding a connected socket: EINVAL for inet, a late name for unix."""
    fd, _peer = c.linked()
    c.bind(fd, c.name("late"))
    c.getsockname(fd)


@case(kinds=INET)
def low_port_for_users(c):
    """As nobody: a port below ip_unprivileged_port_start."""
    c.become_nobody()
    c.bind(c.new(), with_port(c.name(), 600 + os.getpid() % 400))


@case(kinds=(TCP4, TCP6), root=True)
def low_port_for_root(c):
    """As root a port below 1024."""
    c.bind(c.new(), with_port(c.name(), 600 + os.getpid() % 400))


@case(kinds=NAMED)
def number_with_garbage(c):
    """The upper half of the descriptor's register does not matter."""
    fd = c.new()
    name = c.name()
    c.bind(fd | GARBAGE, name, len(name))
    c.getsockname(fd)


@case(kinds=NAMED)
def inherited(c):
    """A child of fork binds the socket; the parent sees the name."""
    fd = c.new()
    c.note("child", c.in_child(lambda: c.bind(fd, c.name())))
    c.getsockname(fd)


@case(kinds=nonblocking(INET))
def flags_stay(c):
    """bind changes no flag of the descriptor."""
    fd = c.new(flags=s.SOCK_CLOEXEC)
    c.bind(fd, c.name())
    c.flags_of(fd)
