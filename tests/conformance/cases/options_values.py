"""getsockopt(2) and setsockopt(2): every number of every level with every length, as root and as nobody."""

import socket as s
import struct

from tests.conformance.address import in6
from tests.conformance.case import ENFORCING, case
from tests.conformance.context import Out
from tests.conformance.kinds import DGRAM_PAIR, INET, STREAM_PAIR, TCP, TCP6, UDP6
from tests.conformance.memory import Memory, straddling
from tests.conformance.raw import must, syscall

NUMBERS = {s.SOL_SOCKET: range(85), 0: range(60), 41: range(85), 6: range(46), 17: (0, 1, 2, *range(98, 108))}
DIVERT = {(0, 4), (0, 7), (41, 5), (41, 6), (41, 32), (41, 57), (1, 60)}
"""Those that a policy for destinations refuses, and what copies rule out: `options.py` compares SO_ZEROCOPY."""

VARY = {(1, 55), (1, 57), (1, 71), (1, 49), (1, 56), (6, 11), (6, 24), (6, 26), (1, 17), (1, 28), (0, 52)}
"""Counters, cookies, pids, ports: only the length is compared."""

PEERPIDFD = (1, 77)
"""Makes descriptors: see `options_special.py`."""

MODULES = {(6, 13), (6, 31)}
"""As root these look for kernel modules by name."""

LENGTHS = (0, 1, 2, 3, 4, 8, 12, 16, 20, 64, 136)
VALUES = (0, 1, -1, 2, (1 << 31) - 1, -(1 << 31))
EVERY = (*INET, STREAM_PAIR, DGRAM_PAIR)


def pairs(c, skip=frozenset()):
    for level, numbers in NUMBERS.items():
        if c.kind.unix and level in (41, 17):
            continue
        for number in numbers:
            if (level, number) not in skip and (level, number) != PEERPIDFD:
                yield level, number


def got(fd, level, number, length=64):
    """getsockopt as one short text."""
    out = Out(length)
    result = syscall("getsockopt", fd, level, number, out.memory, out.length)
    data = "" if out.memory.untouched else out.memory.read().rstrip(b"\xa5").hex()
    return f"{result} {out.length.value} " + ("*" if (level, number) in VARY and result.ok else data)


def put(fd, level, number, data, length=None):
    return str(syscall("setsockopt", fd, level, number, data, len(data) if length is None else length))


def sockets(c):
    """Fresh sockets of the kind, one by one."""
    return c.new() if c.kind.naming != "pair" else c.pair()[0]


@case(kinds=EVERY, call="getsockopt", seconds=10)
def every_length(c):
    """Every option read with lengths 0 to 136."""
    fd = sockets(c)
    for level, number in pairs(c):
        c.note(f"{level} {number}", [got(fd, level, number, length) for length in LENGTHS])


@case(kinds=(*TCP, STREAM_PAIR), call="getsockopt", seconds=10)
def every_length_connected(c):
    """The same on a connected socket, and on a listening one."""
    fd, _ = c.linked()
    listener = c.server("other").fd if c.kind.naming != "pair" else fd
    for level, number in pairs(c):
        values = [got(one, level, number, length) for one in (fd, listener) for length in (0, 1, 4, 16, 136)]
        c.note(f"{level} {number}", values)


def set_all(c, skip, lengths):
    for level, number in pairs(c, skip):
        fd = sockets(c)
        value = struct.pack("=i", 1) + bytes(260)
        results = [put(fd, level, number, value, length) for length in lengths]
        c.note(f"{level} {number} lengths", [*results, got(fd, level, number)])
        results = [put(fd, level, number, struct.pack("=i", number_)) for number_ in VALUES]
        c.note(f"{level} {number} values", [*results, got(fd, level, number)])
        results = [put(fd, level, number, bytes([value & 0xFF])) for value in (0, 1, 255, 100)]
        c.note(f"{level} {number} bytes", [*results, got(fd, level, number)])
        c.close(fd)


@case(kinds=EVERY, call="setsockopt", seconds=15, root=True)
def every_value_as_root(c):
    """Every option set with lengths 0 to 136, values from INT_MIN to INT_MAX, single bytes; read back."""
    set_all(c, DIVERT | MODULES, LENGTHS)


@case(kinds=EVERY, call="setsockopt", seconds=15)
def every_value_as_nobody(c):
    """The same as nobody."""
    c.become_nobody()
    set_all(c, DIVERT, (1, 4, 136))


@case(kinds=EVERY, call="setsockopt", seconds=10)
def ends_of_memory(c):
    """A value of which 0 to 4, 8, 15 bytes are there, with a length of 4 and more."""
    for level, number in pairs(c, DIVERT | MODULES):
        fd = sockets(c)
        results = []
        for present, length in ((0, 0), (0, 4), (1, 1), (1, 4), (3, 4), (4, 4), (4, 8), (8, 64), (12, 64), (16, 136)):
            data = straddling((struct.pack("=i", 1) + bytes(12))[:present], present)
            results.append(str(syscall("setsockopt", fd, level, number, data, length)))
        c.note(f"{level} {number}", [*results, got(fd, level, number)])
        c.close(fd)


@case(kinds=EVERY, call="getsockopt", seconds=10)
def answer_in_short_memory(c):
    """A value that cannot be written, or only its beginning; what is then in the memory and the length."""
    fd = sockets(c)
    for level, number in pairs(c):
        seen = []
        for present in (0, 1, 3, 4, 8):
            memory, length = Memory(present), Memory(struct.pack("=i", 16))
            result = syscall("getsockopt", fd, level, number, memory, length)
            varies = (level, number) in VARY
            seen.append(f"{result} {struct.unpack('=i', length.read())[0]} {'*' if varies else memory.read().hex()}")
        c.note(f"{level} {number}", seen)


@case(kinds=(TCP6, UDP6), call="getsockopt", seconds=10)
def mapped(c):
    """Options of both levels on an IPv6 socket with an IPv4 peer."""
    server = c.new()
    name = in6("::ffff:127.0.0.1")
    must("bind", server, name, len(name))
    address = c.local(server)
    if c.kind == TCP6:
        must("listen", server, 1024)
    fd = c.new()
    c.connect(fd, address)
    for level, number in pairs(c):
        if level in (0, 41, 6):
            c.note(f"get {level} {number}", [got(fd, level, number, length) for length in (1, 4, 64)])
    for level, number in pairs(c, DIVERT | MODULES | {(41, 1), (6, 19)}):
        if level in (0, 41):
            one = c.new()
            c.note(f"set {level} {number}", [str(syscall("connect", one, address, len(address)))])
            c.note("values", [put(one, level, number, struct.pack("=i", value)) for value in (0, 1, -1)])
            c.note("after", got(one, level, number))
            c.close(one)


@case(
    kinds=EVERY, call="setsockopt", differs=ENFORCING, because="options that divert packets are refused with a policy"
)
def diverting(c):
    """Options and headers that send packets elsewhere."""
    for level, number in sorted(DIVERT - {(1, 60)}):
        fd = sockets(c)
        c.note(f"{level} {number}", [put(fd, level, number, bytes(264), length) for length in LENGTHS])
        c.note("after", got(fd, level, number))
