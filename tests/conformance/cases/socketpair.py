"""socketpair(2): families, flags, the array, limits."""

import resource
import socket as s
import struct

from tests.conformance.case import case
from tests.conformance.kinds import PAIRS
from tests.conformance.memory import BAD, Memory, read_only, straddling
from tests.conformance.raw import GARBAGE


@case(kinds=PAIRS)
def success(c):
    """Two numbers in order; data goes both ways."""
    one, two = c.socketpair(s.AF_UNIX, c.kind.type)
    c.sendto(one, b"there")
    c.recvfrom(two)
    c.sendto(two, b"back")
    c.recvfrom(one)
    c.peer_credentials(one)
    c.peer_credentials(two)


@case(kinds=PAIRS)
def flags(c):
    """Close-on-exec and non-blocking reach both ends."""
    for bits in (0, s.SOCK_CLOEXEC, s.SOCK_NONBLOCK, s.SOCK_CLOEXEC | s.SOCK_NONBLOCK):
        for fd in c.socketpair(s.AF_UNIX, c.kind.type | bits, label=f"{bits:#x}"):
            c.flags_of(fd)


@case(kinds=PAIRS)
def wrong_flags(c):
    """Bits of type that mean nothing."""
    for bits in (0x10, 0x100, 0x10000, 0x80000000):
        c.socketpair(s.AF_UNIX, c.kind.type | bits, label=f"{bits:#x}")


@case()
def families(c):
    """Families without pairs, and families that do not exist."""
    for name, family, kind in (
        ("tcp4", s.AF_INET, s.SOCK_STREAM),
        ("udp4", s.AF_INET, s.SOCK_DGRAM),
        ("tcp6", s.AF_INET6, s.SOCK_STREAM),
        ("udp6", s.AF_INET6, s.SOCK_DGRAM),
    ):
        c.socketpair(family, kind, label=name)


@case()
def strange_families(c):
    """AF_UNSPEC and numbers without a family."""
    for family in (0, 46, 255, -1, 65537):
        c.socketpair(family, s.SOCK_STREAM, label=f"family {family}")


@case()
def types_and_protocols(c):
    """Every type number; protocols 0, 1 (PF_UNIX) and others."""
    for kind in range(12):
        c.socketpair(s.AF_UNIX, kind, label=f"type {kind}")
    for protocol in (0, 1, 2, -1, 6, GARBAGE):
        c.socketpair(s.AF_UNIX, s.SOCK_STREAM, protocol, label=f"protocol {protocol:#x}")


@case(kinds=PAIRS)
def bad_array(c):
    """An array that cannot be written: EFAULT, and no descriptor is left."""
    for name, make in BAD.items():
        c.call("socketpair", s.AF_UNIX, c.kind.type, 0, make(), label=name)
    c.call("socketpair", s.AF_UNIX, c.kind.type, 0, read_only(8), label="read-only")
    c.call("socketpair", s.AF_UNIX, c.kind.type, 0, straddling(bytes(8), 4), label="half")
    c.call("socketpair", s.AF_UNIX, c.kind.type, 0, straddling(bytes(8), 6), label="6 bytes")
    c.socketpair(s.AF_UNIX, c.kind.type, label="after all that")


@case(kinds=PAIRS)
def unaligned_array(c):
    """The array may lie anywhere."""
    memory = Memory(12)
    result = c.call("socketpair", s.AF_UNIX, c.kind.type, 0, memory.address + 1)
    one, two = struct.unpack("=ii", memory.read(8, 1))
    c.own(one), c.own(two)
    c.note("numbers", [str(result), c.fd_token(one), c.fd_token(two), memory.read(1).hex(), memory.read(3, 9).hex()])


@case()
def order_of_checks(c):
    """Flags, family, type and array, several of them wrong."""
    c.call("socketpair", -1, 0x101, 0, 0, label="family, flags, array")
    c.call("socketpair", s.AF_INET, s.SOCK_STREAM, 0, 0, label="inet, array")
    c.call("socketpair", s.AF_UNIX, 15, 0, 0, label="type, array")
    c.call("socketpair", s.AF_UNIX, s.SOCK_STREAM, 9, 0, label="protocol, array")


@case(kinds=PAIRS)
def garbage_in_upper_halves(c):
    """The upper halves of the integer registers do not matter."""
    for fd in c.socketpair(s.AF_UNIX | GARBAGE, c.kind.type | GARBAGE, GARBAGE):
        c.get_int(fd, s.SOL_SOCKET, 3, "SO_TYPE")


@case(kinds=PAIRS)
def descriptor_limit(c):
    """RLIMIT_NOFILE leaves room for none, for one: EMFILE, and none is left behind."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    first = c.new(c.kind)
    second = c.new(c.kind)
    resource.setrlimit(resource.RLIMIT_NOFILE, (second + 1, hard))
    c.socketpair(s.AF_UNIX, c.kind.type, label="none")
    c.call("socketpair", s.AF_UNIX, c.kind.type, 0, 0, label="none, bad array")
    c.close(second)
    c.socketpair(s.AF_UNIX, c.kind.type, label="one")
    c.close(first)
    c.socketpair(s.AF_UNIX, c.kind.type, label="two")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@case(kinds=PAIRS)
def lowest_numbers(c):
    """The two lowest free numbers, in gaps too."""
    fds = [c.new(c.kind) for _ in range(5)]
    c.close(fds[3])
    c.close(fds[1])
    c.socketpair(s.AF_UNIX, c.kind.type)
