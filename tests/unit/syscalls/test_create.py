"""socket(2) and socketpair(2): decided on integers, made by the kernel."""

import errno
import socket

import pytest

from supervisor.abi.inet import IPPROTO_MPTCP
from supervisor.abi.socket import AF_INET, AF_INET6, AF_PACKET, AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK
from tests.unit.syscalls.stage import Continued, Failed

ONLY_INET = 'default = "deny"\nerrno = "EPERM"\nsocket.allow = ["inet"]'


@pytest.mark.parametrize("call", ["socket", "socketpair"])
async def test_what_may_be_made(world, call):
    world.under(ONLY_INET)
    assert world.at_once(call, AF_INET, socket.SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0) == Continued()
    event = world.only_event()
    assert (event.how, event.kind) == ("continued", (AF_INET, socket.SOCK_STREAM, 0))


@pytest.mark.parametrize("call", ["socket", "socketpair"])
@pytest.mark.parametrize("family", [AF_UNIX, AF_INET6, AF_PACKET])
async def test_what_may_not_be_made(world, call, family):
    world.under(ONLY_INET)
    assert world.at_once(call, family, socket.SOCK_STREAM, 0, 0) == Failed(errno.EPERM)
    assert world.only_event().how == "refused"
    assert world.session.refusals == 1


async def test_garbage_above_32_bits_is_not_looked_at(world):
    world.under(ONLY_INET)
    assert world.at_once("socket", 1 << 32 | AF_PACKET, socket.SOCK_RAW, 0) == Failed(errno.EPERM)
    assert world.at_once("socket", 1 << 32 | AF_INET, 7 << 32 | socket.SOCK_STREAM, 5 << 40) == Continued()


@pytest.mark.parametrize(("family", "code"), [
    (AF_INET, errno.EPROTONOSUPPORT), (AF_INET6, errno.EPROTONOSUPPORT), (AF_UNIX, errno.EPERM),
])
async def test_mptcp_is_refused_as_a_kernel_without_it_does(world, family, code):
    world.under('default = "deny"\nerrno = "EPERM"\nsocket.allow = ["netlink:route"]')
    assert world.at_once("socket", family, socket.SOCK_STREAM, IPPROTO_MPTCP) == Failed(code)
