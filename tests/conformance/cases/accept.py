"""accept(2) and accept4(2): addresses, flags, states, limits."""

import os
import resource
import select
import socket as s
import struct

from tests.conformance.case import case
from tests.conformance.kinds import ALL, DATAGRAM, LISTENING, NAMED, SEQ_PATH, STREAM_PATH, TCP4, TCP6, both
from tests.conformance.memory import BAD, Int, Memory, read_only
from tests.conformance.raw import GARBAGE, must

PROTOCOLS = (TCP4, TCP6, STREAM_PATH, SEQ_PATH)
FLAGS = (None, 0, s.SOCK_CLOEXEC, s.SOCK_NONBLOCK, s.SOCK_CLOEXEC | s.SOCK_NONBLOCK)


def waiting_client(c, server):
    """A connection in the queue of the server."""
    fd = c.new(c.kind._replace(nonblock=False))
    must("connect", fd, server.address, len(server.address))
    return fd


@case(kinds=both(LISTENING))
def success(c):
    """A waiting connection, with its address and without; data goes both ways."""
    server = c.server()
    for length in (128, None):
        client = waiting_client(c, server)
        fd = c.accept(server.fd, length).value
        c.getsockname(fd)
        c.getpeername(fd)
        c.sendto(client, b"there")
        c.recvfrom(fd)
        c.sendto(fd, b"back")
        c.recvfrom(client)


@case(kinds=LISTENING)
def flags(c):
    """accept takes none from the listener, accept4 gives what it is told."""
    server = c.server()
    os.set_blocking(server.fd, False)
    for bits in FLAGS:
        waiting_client(c, server)
        fd = c.accept(server.fd, None, bits, label=f"flags {bits}").value
        c.flags_of(fd)


@case(kinds=PROTOCOLS, call="accept4")
def wrong_flags(c):
    """Flags that mean nothing are EINVAL, and nothing is taken from the queue."""
    server = c.server()
    os.set_blocking(server.fd, False)
    for bits in (1, 0x10, 0x100, 0x400, 0x10000, -1, 1 << 31, GARBAGE | 1):
        c.accept(server.fd, None, bits, label=f"empty {bits:#x}")
    waiting_client(c, server)
    for bits in (1, 0x100, -1):
        c.accept(server.fd, None, bits, label=f"waiting {bits:#x}")
    c.accept(server.fd, None, GARBAGE, label="garbage above only")
    c.accept(-1, None, 1, label="and a bad descriptor")


@case(kinds=PROTOCOLS)
def truncated(c):
    """Every address length; the true one is written."""
    server = c.server()
    for length in (0, 1, 2, 3, 4, 8, 15, 16, 17, 27, 28, 29, 110, 128, 129, 256):
        client = waiting_client(c, server)
        c.close(c.accept(server.fd, length, label=f"length {length}").value)
        c.close(client)


@case(kinds=PROTOCOLS)
def negative_length(c):
    """EINVAL; whether the connection is lost shows at the next accept."""
    server = c.server()
    os.set_blocking(server.fd, False)
    for length in (-1, -(1 << 31)):
        c.accept(server.fd, length, label=f"empty {length}")
        waiting_client(c, server)
        c.accept(server.fd, length, label=f"waiting {length}")
        c.accept(server.fd, label="afterwards")


@case(kinds=PROTOCOLS)
def huge_length(c):
    """The length is only a limit."""
    server = c.server()
    waiting_client(c, server)
    c.accept(server.fd, (1 << 31) - 1)


@case(kinds=PROTOCOLS)
def bad_address(c):
    """An address that cannot be written; whether the connection is lost."""
    server = c.server()
    os.set_blocking(server.fd, False)
    for name, make in {**BAD, "read-only": lambda: read_only(128)}.items():
        waiting_client(c, server)
        size = Int(128)
        c.accept_pointers(server.fd, make(), size, label=name)
        c.note("length", size.value)
        c.accept(server.fd, None, label="afterwards")


@case(kinds=PROTOCOLS)
def bad_length_pointer(c):
    """A length that cannot be read or written, or is NULL beside an address."""
    server = c.server()
    os.set_blocking(server.fd, False)
    for name, make in {**BAD, "read-only": lambda: read_only(struct.pack("=i", 128))}.items():
        waiting_client(c, server)
        memory = Memory(128)
        c.accept_pointers(server.fd, memory, make(), label=name)
        c.note("address untouched", memory.untouched)
        c.accept(server.fd, None, label="afterwards")


@case(kinds=PROTOCOLS)
def length_without_address(c):
    """A NULL address: the length is neither read nor written."""
    server = c.server()
    for make in (lambda: Int(77), lambda: 8, lambda: Int(-1)):
        waiting_client(c, server)
        size = make()
        result = c.accept_pointers(server.fd, None, size)
        c.note("length", [result.ok, size.value if isinstance(size, Int) else size])


@case(kinds=both(ALL))
def not_listening(c):
    """EINVAL, or EOPNOTSUPP for datagrams: fresh, bound, connected."""
    if c.kind.naming != "pair":
        c.accept(c.new(), label="fresh")
        c.accept(c.bound("b").fd, label="bound")
    c.accept(c.linked()[0], label="connected")


@case(kinds=DATAGRAM)
def datagram_with_bad_arguments(c):
    """Which complaint comes first."""
    fd = c.linked()[0]
    c.call("accept", fd, 8, 8, label="bad pointers")
    c.call("accept4", fd, 0, 0, 1, label="bad flags")
    c.accept(fd, -1, label="negative length")


@case(kinds=LISTENING)
def not_listening_with_bad_arguments(c):
    """A bound socket with bad pointers and flags."""
    fd = c.bound().fd
    c.call("accept", fd, 8, 8, label="bad pointers")
    c.call("accept4", fd, 0, 0, 1, label="bad flags")
    c.accept(fd, -1, label="negative length")


@case(kinds=both(LISTENING))
def empty(c):
    """A non-blocking listener with nobody waiting, with good and bad arguments."""
    server = c.server()
    os.set_blocking(server.fd, False)
    c.accept(server.fd)
    c.accept(server.fd, None, s.SOCK_NONBLOCK)
    c.call("accept", server.fd, 8, 8, label="bad pointers")
    c.poll(server.fd, select.POLLIN, 0)
    waiting_client(c, server)
    c.poll(server.fd, select.POLLIN)
    c.accept(server.fd)
    c.poll(server.fd, select.POLLIN, 0)


@case(kinds=LISTENING)
def client_gone(c):
    """The client closed, or was reset, before it was accepted."""
    server = c.server()
    client = waiting_client(c, server)
    c.sendto(client, b"last words")
    c.close(client)
    fd = c.accept(server.fd).value
    c.recvfrom(fd)
    c.recvfrom(fd)
    client = waiting_client(c, server)
    c.option(client, s.SOL_SOCKET, s.SO_LINGER, struct.pack("=ii", 1, 0))
    c.close(client)
    os.set_blocking(server.fd, False)
    fd = c.accept(server.fd, label="reset").value
    if fd >= 0:
        c.recvfrom(fd)
        c.recvfrom(fd)


@case(kinds=LISTENING)
def descriptor_limit(c):
    """EMFILE, and the connection stays in the queue."""
    server = c.server()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    client = waiting_client(c, server)
    os.set_blocking(server.fd, False)
    resource.setrlimit(resource.RLIMIT_NOFILE, (client + 1, hard))
    c.accept(server.fd, label="full")
    c.accept(server.fd, None, 0, label="full, accept4")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    c.accept(server.fd, label="room again")
    resource.setrlimit(resource.RLIMIT_NOFILE, (client + 1, hard))
    c.accept(server.fd, label="full and empty")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@case(kinds=LISTENING)
def descriptor_limit_blocking(c):
    """At the limit a blocking accept does not wait."""
    server = c.server()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (server.fd + 1, hard))
    c.accept(server.fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@case(kinds=LISTENING)
def lowest_number(c):
    """The lowest free number."""
    server = c.server()
    gap = c.new()
    waiting_client(c, server)
    c.close(gap)
    c.accept(server.fd)


@case(kinds=(TCP4, TCP6))
def inherited_options(c):
    """What an accepted TCP socket takes from its listener."""
    server = c.server()
    c.option(server.fd, s.SOL_SOCKET, s.SO_KEEPALIVE, 1)
    c.option(server.fd, s.IPPROTO_TCP, s.TCP_NODELAY, 1)
    c.timeout(server.fd, s.SO_RCVTIMEO, 3000)
    waiting_client(c, server)
    fd = c.accept(server.fd).value
    c.get_int(fd, s.SOL_SOCKET, s.SO_KEEPALIVE, "SO_KEEPALIVE")
    c.get_int(fd, s.IPPROTO_TCP, s.TCP_NODELAY, "TCP_NODELAY")
    c.get_int(fd, s.SOL_SOCKET, 3, "SO_TYPE")


@case(kinds=NAMED)
def number_with_garbage(c):
    """The upper half of the descriptor's register does not matter."""
    server = c.server()
    if c.kind.connects:
        waiting_client(c, server)
    c.accept(server.fd | GARBAGE)


@case(kinds=LISTENING)
def owner(c):
    """The accepted socket's inode belongs to the caller."""
    server = c.server()
    waiting_client(c, server)
    info = os.fstat(c.accept(server.fd).value)
    c.note("fstat", [info.st_uid, info.st_gid, oct(info.st_mode)])


@case(kinds=LISTENING)
def after_shutdown(c):
    """A listener that was shut down."""
    server = c.server()
    c.call("shutdown", server.fd, s.SHUT_RD)
    c.accept(server.fd)
    c.poll(server.fd, select.POLLIN, 0)
