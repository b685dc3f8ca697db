"""getsockname(2) and getpeername(2)."""

import errno
import socket

import pytest

from supervisor.sockets.address import Inet4, UnixUnnamed, pack_address
from tests.unit.syscalls.stage import LOOPBACK, Failed, Returned, null, tcp, udp


@pytest.mark.parametrize("call", ["getsockname", "getpeername"])
async def test_a_name(world, call):
    with udp(bound=True) as sock:
        sock.connect(sock.getsockname())
        room = world.room(128)
        assert world.at_once(call, world.open(sock), *room) == Returned(0)
        assert world.reported(room) == (16, pack_address(Inet4(LOOPBACK, sock.getsockname()[1])))
    assert world.events == []


@pytest.mark.parametrize("length", [0, 1, 7, 16, 17])
async def test_a_name_is_cut_and_its_true_length_told(world, length):
    with udp(bound=True) as sock:
        room = world.room(length)
        assert world.at_once("getsockname", world.open(sock), *room) == Returned(0)
        expected = pack_address(Inet4(LOOPBACK, sock.getsockname()[1]))[:length]
        assert world.reported(room) == (16, expected.ljust(16, b"\0"))


async def test_a_negative_length_is_left_as_it_is(world):
    with udp() as sock:
        room = world.room(-1)
        assert world.at_once("getsockname", world.open(sock), *room) == Failed(errno.EINVAL)
        assert world.reported(room) == (-1, b"")


async def test_memory_that_is_not_there(world):
    with udp() as sock:
        number, room = world.open(sock), world.room(16)
        assert world.at_once("getsockname", number, 8, room[1]) == Failed(errno.EFAULT)
        assert world.at_once("getsockname", number, room[0], 8) == Failed(errno.EFAULT)
        world.memory.protect(room[1])
        assert world.at_once("getsockname", number, *room) == Failed(errno.EFAULT)
        assert world.memory.read(room[0], 2) == b"\0\0"


async def test_what_has_no_name(world):
    room = world.room(128)
    with tcp() as sock, null() as file:
        assert world.at_once("getpeername", world.open(sock), *room) == Failed(errno.ENOTCONN)
        assert world.at_once("getsockname", world.open(file), *room) == Failed(errno.ENOTSOCK)
    assert world.at_once("getsockname", 999, *room) == Failed(errno.EBADF)


async def test_an_unnamed_unix_socket(world):
    room = world.room(128)
    with socket.socket(socket.AF_UNIX) as sock:
        assert world.at_once("getsockname", world.open(sock), *room) == Returned(0)
    assert world.reported(room) == (2, pack_address(UnixUnnamed()))
