"""Netlink sockets that are bound or named for a program."""

import errno
import os
import socket
import struct

import pytest

from supervisor.errors import SyscallError
from supervisor.kernel.hostfd import HostFd
from supervisor.syscalls.netlink import bind_as_program, name_as_program

PORT = 1_999_999


def address(port, groups=0, family=16):
    return struct.pack("=HHII", family, 0, port, groups)


@pytest.fixture
def call(world):
    world.thread.facts = world.thread.facts._replace(tgid=PORT)
    with world.stopped("bind") as made:
        yield made


@pytest.fixture
def netlink():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock, HostFd(os.dup(sock.fileno())) as fd:
        yield sock, fd


async def test_the_programs_pid_is_its_port(call, netlink):
    sock, fd = netlink
    bind_as_program(call, fd, address(0, 1))
    assert sock.getsockname() == (PORT, 1)


async def test_where_that_is_taken_the_kernel_chooses(call, netlink):
    sock, fd = netlink
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as first:
        first.bind((PORT, 0))
        bind_as_program(call, fd, address(0))
        assert sock.getsockname()[0] not in (0, PORT)


async def test_a_port_that_was_asked_for(call, netlink):
    sock, fd = netlink
    bind_as_program(call, fd, address(PORT + 1))
    assert sock.getsockname()[0] == PORT + 1
    bind_as_program(call, fd, address(PORT + 1, 1))
    assert sock.getsockname() == (PORT + 1, 1)
    with pytest.raises(SyscallError) as caught:
        bind_as_program(call, fd, address(0))  # a port that it has cannot be given up
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("raw", [b"", b"\x10\0", address(0, family=2)])
async def test_an_address_that_is_none(call, netlink, raw):
    with pytest.raises(SyscallError) as caught:
        bind_as_program(call, netlink[1], raw)
    assert caught.value.errno == errno.EINVAL
    assert netlink[0].getsockname()[0] == 0


async def test_a_name_before_sending(call, netlink):
    sock, fd = netlink
    name_as_program(call, fd)
    assert sock.getsockname()[0] == PORT
    name_as_program(call, fd)
    assert sock.getsockname()[0] == PORT
