"""getsockopt(2) and setsockopt(2): plain values are answered here, as the kernel would; the rest is the kernel's."""

import errno
import os
import socket
import struct

import pytest

from supervisor.abi.option import (
    IPV6_ADDRFORM,
    SO_ATTACH_FILTER,
    SO_BINDTODEVICE,
    SO_ERROR,
    SO_KEEPALIVE,
    SO_MARK,
    SO_PEERCRED,
    SO_PEERPIDFD,
    SO_RCVBUF,
    SO_TYPE,
    SOL_IP,
    SOL_TCP,
    TCP_CONGESTION,
    TCP_ZEROCOPY_RECEIVE,
)
from supervisor.abi.socket import SO_LINGER, SO_ZEROCOPY, SOL_SOCKET
from supervisor.errors import TraceeGone
from supervisor.kernel import libc
from supervisor.kernel.identity import Credentials
from supervisor.policy.engine import ALLOW_ALL
from supervisor.sockets.option import DIVERTING, LARGEST, OPTIONS
from supervisor.syscalls.table import ROWS
from tests.unit.kernel.puppet import needs_root
from tests.unit.syscalls.stage import NOTHING, UNMAPPED, Continued, Failed, Returned, null, tcp, udp

HANDLERS = {row.name: row.handler for row in ROWS}
SEND = 'default = "allow"\nerrno = "EPERM"\nsend.deny = ["10.0.0.1:*"]'
BIND = 'default = "allow"\nerrno = "EPERM"\nbind.deny = ["10.0.0.1:*"]'
ANSWERED = [row for row in OPTIONS if not row.because]
INT = struct.Struct("=i")
ONE = INT.pack(1)
SOCKETS = (
    (socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET6, socket.SOCK_STREAM), (socket.AF_INET6, socket.SOCK_DGRAM),
    (socket.AF_UNIX, socket.SOCK_STREAM),
)
UNIQUE = {"SO_COOKIE"}  # of one socket
TIMES = {"TCP_INFO", "TCP_TIMESTAMP"}

each_answered = pytest.mark.parametrize("row", ANSWERED, ids=lambda row: row.name)
both = pytest.mark.parametrize("call", ["getsockopt", "setsockopt"])


@pytest.fixture
async def full(world):
    """A program under full mediation."""
    world.under(ALLOW_ALL, "full")
    yield world
    assert world.events == []


@pytest.fixture
def twins():
    """Two new sockets of a kind: one to ask natively, one for the program."""
    made = []

    def make(family, kind):
        made.extend(socket.socket(family, kind) for _ in range(2))
        return made[-2:]

    yield make
    for sock in made:
        sock.close()


def ask(world, number, level, name, length):
    """getsockopt of a program: the answer, the bytes of its buffer, and the length that was told."""
    value, told = world.put(b"\xaa" * (length + 8)), world.put(INT.pack(length))
    answer = world.at_once("getsockopt", number, level, name, value, told)
    return answer, world.memory.read(value, length + 8), INT.unpack(world.memory.read(told, 4))[0]


def ask_natively(sock, level, name, length):
    value, told = bytearray(b"\xaa" * (length + 8)), bytearray(INT.pack(length))
    result = libc.syscall6(
        libc.number("getsockopt"), sock.fileno(), level, name, libc.address_of(value), libc.address_of(told), 0
    )
    answer = Returned(result) if result >= 0 else Failed(libc.get_errno())
    return answer, bytes(value), INT.unpack(told)[0]


def give(world, number, level, name, value, length=None):
    return world.at_once(
        "setsockopt", number, level, name, world.put(value), len(value) if length is None else length
    )


def give_natively(sock, level, name, value, length):
    buffer = bytearray(value.ljust(length, b"\0") or b"\0")
    result = libc.syscall6(
        libc.number("setsockopt"), sock.fileno(), level, name, libc.address_of(buffer), length, 0
    )
    return Returned(result) if result >= 0 else Failed(libc.get_errno())


# As the kernel.


@each_answered
async def test_every_value(full, twins, row):
    for kind in SOCKETS:
        native, ours = twins(*kind)
        number = full.open(native if row.name in UNIQUE else ours)
        for length in (0, 1, 3, 4, 5, 7, 8, 12, 16, 20, 200, 1000, LARGEST):
            expected = ask_natively(native, row.level, row.number, length)
            if row.name in TIMES:
                expected, got = ((a, t) for a, _, t in (expected, ask(full, number, row.level, row.number, length)))
                assert got == expected
            else:
                assert ask(full, number, row.level, row.number, length) == expected, (kind, length)
    full.clean()


@each_answered
async def test_every_change(full, twins, row):
    for kind in SOCKETS:
        for value in (ONE, bytes(16), b"\xff" * 4, struct.pack("=ii", 1, 5), b"\7", b"cubic\0", b"\1" * row.size):
            for length in sorted({len(value), 4, row.size, row.size + 3, LARGEST, 0}):
                native, ours = twins(*kind)
                expected = give_natively(native, row.level, row.number, value, length)
                number = full.open(ours)
                padded = value.ljust(min(length, 300), b"\0")
                assert give(full, number, row.level, row.number, padded, length) == expected, (kind, value, length)
                if row.name not in UNIQUE | TIMES:
                    assert ask_natively(ours, row.level, row.number, 300) == ask_natively(
                        native, row.level, row.number, 300
                    )
                full.clean()
                native.close()
                ours.close()


async def test_an_error_is_told_once(full):
    with udp(bound=True) as peer, udp() as sock:
        sock.connect(peer.getsockname())
        peer.close()
        sock.send(b"abc")
        number = full.open(sock)
        refused = INT.pack(errno.ECONNREFUSED)
        assert ask(full, number, SOL_SOCKET, SO_ERROR, 4) == (Returned(0), refused + b"\xaa" * 8, 4)
        assert ask(full, number, SOL_SOCKET, SO_ERROR, 4) == (Returned(0), bytes(4) + b"\xaa" * 8, 4)


async def test_the_other_end(full):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        expected = struct.pack("=iii", os.getpid(), os.getuid(), os.getgid())
        answer, value, _ = ask(full, full.open(ours), SOL_SOCKET, SO_PEERCRED, 12)
        assert (answer, value[:12]) == (Returned(0), expected)
        for name in ("pid", "user"):
            full.thread.namespaces.remove(name)
            assert ask(full, full.open(ours), SOL_SOCKET, SO_PEERCRED, 12)[0] == Continued()
            full.thread.namespaces.add(name)


# Memory.


async def test_a_value_that_cannot_be_told_is_the_kernels(full):
    with tcp() as sock:
        number, value, length = full.open(sock), full.put(bytes(9)), full.put(INT.pack(4))
        for option in (SO_TYPE, SO_ERROR):
            for pointers in ((UNMAPPED, length), (value, UNMAPPED), (full.memory.put_before_gap(b"123"), length)):
                assert full.at_once("getsockopt", number, SOL_SOCKET, option, *pointers) == Continued()
        full.memory.protect(length)
        assert full.at_once("getsockopt", number, SOL_SOCKET, SO_TYPE, value, length) == Continued()


async def test_an_error_is_not_taken_where_it_cannot_be_told(full):
    with udp(bound=True) as peer, udp() as sock:
        sock.connect(peer.getsockname())
        peer.close()
        sock.send(b"abc")
        number, value, length = full.open(sock), full.put(bytes(9)), full.put(INT.pack(4))
        locked = full.put(INT.pack(4))
        full.memory.protect(locked)
        for pointers in ((UNMAPPED, length), (value, UNMAPPED), (value, locked)):
            assert full.at_once("getsockopt", number, SOL_SOCKET, SO_ERROR, *pointers) == Continued()
        assert sock.getsockopt(SOL_SOCKET, SO_ERROR) == errno.ECONNREFUSED


@pytest.mark.parametrize("length", [-1, -(2**31), LARGEST + 1, 2**31 - 1])
async def test_lengths_that_are_the_kernels(full, length):
    with tcp() as sock:
        number, value = full.open(sock), full.put(bytes(9))
        told = full.put(INT.pack(length))
        assert full.at_once("getsockopt", number, SOL_SOCKET, SO_TYPE, value, told) == Continued()
        if length < 0:
            assert full.at_once("setsockopt", number, SOL_SOCKET, SO_KEEPALIVE, value, length) == Continued()


async def test_a_value_is_read_as_far_as_the_kernel_would(full):
    """A program may claim that its buffer is longer than it is."""
    with tcp() as sock:
        number, value = full.open(sock), full.memory.put_before_gap(ONE)
        assert full.at_once("setsockopt", number, SOL_SOCKET, SO_KEEPALIVE, value, 2**31 - 1) == Returned(0)
        assert sock.getsockopt(SOL_SOCKET, SO_KEEPALIVE) == 1
        assert full.at_once("setsockopt", number, SOL_SOCKET, SO_LINGER, value, 8) == Continued()
        assert full.at_once("setsockopt", number, SOL_SOCKET, SO_KEEPALIVE, UNMAPPED, 4) == Continued()


# Who answers.


@both
async def test_what_is_no_socket(full, call):
    with null() as file:
        assert full.at_once(call, full.open(file), SOL_SOCKET, SO_TYPE, 8, 4) == Failed(errno.ENOTSOCK)
    assert full.at_once(call, 999, SOL_SOCKET, SO_TYPE, 8, 4) == Failed(errno.EBADF)


@both
@pytest.mark.parametrize(("level", "name"), [
    (SOL_SOCKET, SO_ATTACH_FILTER), (SOL_SOCKET, SO_PEERPIDFD), (SOL_TCP, TCP_ZEROCOPY_RECEIVE), (SOL_IP, 64),
    (41, IPV6_ADDRFORM), (263, 5), (SOL_SOCKET, 12345), (-1, -1),
])
async def test_options_that_are_the_kernels(full, call, level, name):
    with tcp() as sock:
        assert full.at_once(call, full.open(sock), level, name, full.put(ONE * 4), full.put(ONE)) == Continued()


@both
async def test_families_that_are_the_kernels(full, call):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        assert full.at_once(call, full.open(sock), SOL_SOCKET, SO_TYPE, full.put(ONE), full.put(ONE)) == Continued()


async def test_a_change_from_another_user_namespace_is_the_kernels(full):
    with tcp() as sock:
        number = full.open(sock)
        full.thread.namespaces.remove("user")
        assert give(full, number, SOL_SOCKET, SO_KEEPALIVE, ONE) == Continued()
        assert ask(full, number, SOL_SOCKET, SO_KEEPALIVE, 4)[0] == Returned(0)


@needs_root
async def test_a_change_is_made_with_the_programs_rights(full):
    with tcp() as sock:
        number = full.open(sock)
        assert give(full, number, SOL_SOCKET, SO_MARK, ONE) == Returned(0)
        full.thread.become(Credentials(65534, 65534, (), 0))
        assert give(full, number, SOL_SOCKET, SO_MARK, INT.pack(2)) == Failed(errno.EPERM)
        assert sock.getsockopt(SOL_SOCKET, SO_MARK) == 1
        assert give(full, number, SOL_SOCKET, SO_KEEPALIVE, ONE) == Returned(0)
        assert os.geteuid() == 0


async def test_texts(full):
    with tcp() as sock:
        number = full.open(sock)
        assert give(full, number, SOL_TCP, TCP_CONGESTION, b"reno") == Returned(0)
        assert ask(full, number, SOL_TCP, TCP_CONGESTION, 16)[1][:5] == b"reno\0"
        assert give(full, number, SOL_TCP, TCP_CONGESTION, b"nothing") == Failed(errno.ENOENT)
        assert give(full, number, SOL_SOCKET, SO_BINDTODEVICE, b"lo") == Returned(0)
        assert ask(full, number, SOL_SOCKET, SO_BINDTODEVICE, 16) == (Returned(0), b"lo\0" + b"\xaa" * 21, 3)


@both
async def test_a_call_that_is_gone_changes_nothing(full, call):
    with udp() as sock, full.stopped(call) as stopped:
        before = sock.getsockopt(SOL_SOCKET, SO_RCVBUF)
        full.listener.forget_all()
        value, length = full.put(INT.pack(4096)), full.put(INT.pack(4))
        with pytest.raises(TraceeGone):
            HANDLERS[call](
                stopped, full.open(sock), SOL_SOCKET, SO_RCVBUF, value, 4 if call == "setsockopt" else length
            )
        assert sock.getsockopt(SOL_SOCKET, SO_RCVBUF) == before
        assert full.memory.read(value, 4) == INT.pack(4096)


# What is refused.


@pytest.mark.parametrize("rules", [NOTHING, SEND, 'default = "allow"\nerrno = "EPERM"\nconnect.deny = ["10.0.0.1:*"]'])
@pytest.mark.parametrize(("level", "name"), sorted(DIVERTING))
async def test_diverting_options_are_refused_where_destinations_are(world, rules, level, name):
    world.under(rules)
    assert world.at_once("setsockopt", 3, level, 9 << 32 | name, 8, 4) == Failed(errno.EPERM)
    event = world.only_event()
    assert (event.how, event.verdict.allowed) == ("refused", False)


@pytest.mark.parametrize("rules", [ALLOW_ALL, BIND])
@pytest.mark.parametrize(("level", "name"), sorted(DIVERTING))
async def test_and_nowhere_else(world, rules, level, name):
    world.under(rules, "full")
    with tcp() as sock:
        assert world.at_once("setsockopt", world.open(sock), level, name, 8, 4) == Continued()
    assert world.events == []


async def test_zero_copy_is_refused_where_copies_are_sent(world):
    with tcp() as sock:
        number = world.open(sock)
        assert give(world, number, SOL_SOCKET, SO_ZEROCOPY, ONE) == Returned(0)
        assert sock.getsockopt(SOL_SOCKET, SO_ZEROCOPY) == 1
    world.under(SEND)
    with tcp() as sock:
        number = world.open(sock)
        assert give(world, number, SOL_SOCKET, SO_ZEROCOPY, ONE) == Failed(errno.EOPNOTSUPP)
        assert sock.getsockopt(SOL_SOCKET, SO_ZEROCOPY) == 0
        assert ask(world, number, SOL_SOCKET, SO_ZEROCOPY, 4)[0] == Returned(0)
