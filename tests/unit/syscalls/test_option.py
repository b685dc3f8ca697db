"""getsockopt(2) and setsockopt(2)."""

import errno

import pytest

from supervisor.abi.socket import SO_ZEROCOPY, SOL_SOCKET
from supervisor.syscalls.send import DIVERTING
from tests.unit.syscalls.stage import NOTHING, Continued, Failed

SEND = 'default = "allow"\nerrno = "EPERM"\nsend.deny = ["10.0.0.1:*"]'
BIND = 'default = "allow"\nerrno = "EPERM"\nbind.deny = ["10.0.0.1:*"]'


async def test_the_kernel_answers(world):
    world.under(NOTHING)
    assert world.at_once("getsockopt", 3, SOL_SOCKET, SO_ZEROCOPY, 8, 8) == Continued()
    assert world.at_once("setsockopt", 3, SOL_SOCKET, 2, 8, 4) == Continued()
    assert world.events == []


@pytest.mark.parametrize("rules", [NOTHING, SEND, 'default = "allow"\nerrno = "EPERM"\nconnect.deny = ["10.0.0.1:*"]'])
@pytest.mark.parametrize(("level", "name"), sorted(DIVERTING))
async def test_diverting_options_are_refused_where_destinations_are(world, rules, level, name):
    world.under(rules)
    assert world.at_once("setsockopt", 3, level, 9 << 32 | name, 8, 4) == Failed(errno.EPERM)
    event = world.only_event()
    assert (event.how, event.verdict.allowed) == ("refused", False)


@pytest.mark.parametrize(("level", "name"), sorted(DIVERTING))
async def test_and_nowhere_else(world, level, name):
    assert world.at_once("setsockopt", 3, level, name, 8, 4) == Continued()
    world.under(BIND)
    assert world.at_once("setsockopt", 3, level, name, 8, 4) == Continued()


async def test_zero_copy_is_refused_where_copies_are_sent(world):
    assert world.at_once("setsockopt", 3, SOL_SOCKET, SO_ZEROCOPY, 8, 4) == Continued()
    world.under(SEND)
    assert world.at_once("setsockopt", 3, SOL_SOCKET, SO_ZEROCOPY, 8, 4) == Failed(errno.EOPNOTSUPP)
