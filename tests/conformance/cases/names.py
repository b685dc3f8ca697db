"""getsockname(2) and getpeername(2): truncation, lengths, pointers, states."""

import struct

from tests.conformance.case import case
from tests.conformance.context import Out
from tests.conformance.kinds import ALL, LISTENING, NAMED, PAIRS, PLAIN, TCP, both
from tests.conformance.memory import BAD, FILL, Int, Memory, read_only, straddling
from tests.conformance.raw import GARBAGE, syscall

NAMES = ("getsockname", "getpeername")


def both_calls(**options):
    """The case once for getsockname and once for getpeername, under their own names."""

    def register(body):
        for name in NAMES:

            def case_body(c, name=name):
                return body(c, name)

            case_body.__name__, case_body.__doc__ = f"{name}_{body.__name__}", body.__doc__
            case(call=name, **options)(case_body)
        return body

    return register


@both_calls(kinds=both(ALL))
def connected(c, name):
    """Both ends of a connection."""
    one, two = c.linked()
    for fd in (one, two):
        getattr(c, name)(fd)


@both_calls(kinds=both(NAMED))
def fresh(c, name):
    """A fresh socket, a bound one, a server."""
    for fd in (c.new(), c.bound("b").fd, c.server("s").fd):
        getattr(c, name)(fd)


LENGTHS = (0, 1, 2, 3, 4, 8, 15, 16, 17, 20, 21, 22, 27, 28, 29, 110, 111, 128, 129, 200, 256)


@both_calls(kinds=ALL)
def lengths(c, name):
    """Truncated to every length, and the true length written."""
    _, fd = c.linked()
    for length in LENGTHS:
        getattr(c, name)(fd, length, label=f"length {length}")


@both_calls(kinds=PLAIN)
def odd_lengths(c, name):
    """Negative lengths are EINVAL, huge ones are fine."""
    fd, _ = c.linked()
    for length in (-1, -(1 << 31), (1 << 31) - 1, 1 << 20):
        getattr(c, name)(fd, length, label=f"length {length}")


@both_calls(kinds=PLAIN)
def bad_address(c, name):
    """Every bad pointer for the address, with length 0 and more; what happens to the length."""
    fd, _ = c.linked()
    for label, make in BAD.items():
        for length in (0, 1, 2, 16, 128, -1):
            size = Int(length)
            c.call(name, fd, make(), size, label=f"{label} {length}")
            c.note("length", size.value)


@both_calls(kinds=PLAIN)
def bad_length_pointer(c, name):
    """Every bad pointer for the length; the address stays untouched or not."""
    fd, _ = c.linked()
    for label, make in BAD.items():
        memory = Memory(128)
        c.call(name, fd, memory, make(), label=label)
        c.note("untouched", memory.untouched)
    c.call(name, fd, 0, 0, label="both NULL")


@both_calls(kinds=PLAIN)
def read_only_memory(c, name):
    """Results cannot be written: the address, the length, both."""
    fd, _ = c.linked()
    c.call(name, fd, read_only(128), Int(128), label="address")
    length = read_only(struct.pack("=i", 128))
    memory = Memory(128)
    c.call(name, fd, memory, length, label="length")
    c.note("address", c.names.address(memory.read().rstrip(bytes([FILL]))))
    c.call(name, fd, read_only(128), length, label="both")
    c.call(name, fd, read_only(128), Int(0), label="nothing to write")


@both_calls(kinds=PLAIN)
def short_memory(c, name):
    """The memory ends before what is asked for; before what is written; the length straddles."""
    fd, _ = c.linked()
    c.call(name, fd, Memory(40), Int(128), label="40 of 128")
    c.call(name, fd, Memory(2), Int(2), label="2 of 2")
    c.call(name, fd, Memory(1), Int(2), label="1 of 2")
    c.call(name, fd, Memory(10), Int(128), label="10 of 128")
    c.call(name, fd, Memory(128), straddling(struct.pack("=i", 128), 3), label="length of 3 bytes")


@both_calls(kinds=PLAIN)
def same_memory(c, name):
    """Address and length are the same four bytes."""
    fd, _ = c.linked()
    shared = Memory(struct.pack("=i", 128) + bytes(128))
    c.call(name, fd, shared, shared)
    c.note("first bytes", c.names.address(shared.read(4)))


@both_calls(kinds=PLAIN)
def number_with_garbage(c, name):
    """The upper half of the descriptor's register does not matter."""
    fd, _ = c.linked()
    getattr(c, name)(fd | GARBAGE)


@both_calls(kinds=LISTENING)
def peer_gone(c, name):
    """After the peer closed, and after shutdown."""
    fd, peer = c.linked()
    c.close(peer)
    getattr(c, name)(fd, label="peer closed")
    one, _two = c.linked(label="t")
    syscall("shutdown", one, 2)
    getattr(c, name)(one, label="shut down")


@both_calls(kinds=PAIRS)
def pair(c, name):
    """A socketpair has no names."""
    for fd in c.pair():
        getattr(c, name)(fd)


@both_calls(kinds=PLAIN)
def sixth_argument(c, name):
    """Arguments that the call does not have are ignored."""
    fd, _ = c.linked()
    out = Out()
    c.note(name, str(syscall(name, fd, out.memory, out.length, GARBAGE, -1, 7)))
    c.note("address", out.describe(c.names.address))


@case(kinds=TCP, call="getpeername")
def peer_reset(c):
    """A reset connection has no peer any more."""
    fd, peer = c.linked()
    c.option(peer, 1, 13, struct.pack("=ii", 1, 0))
    c.close(peer)
    c.poll(fd, 1)
    c.getpeername(fd)
    c.getsockname(fd)


@case(kinds=TCP, call="getpeername")
def not_yet_accepted(c):
    """A client in the queue already has its peer."""
    server = c.server()
    fd = c.new()
    c.connect(fd, server.address)
    c.getpeername(fd)
    c.getsockname(fd)
    c.getpeername(c.accept(server.fd).value, label="accepted")
