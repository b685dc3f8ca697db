"""recvfrom(2), recvmsg(2), recvmmsg(2): the kernel's, whatever the policy and the mode."""

import pytest

from tests.unit.syscalls.stage import NOTHING, Continued


@pytest.mark.parametrize("mediation", ["auto", "full"])
@pytest.mark.parametrize("call", ["recvfrom", "recvmsg", "recvmmsg"])
async def test_receiving(world, call, mediation):
    world.under(NOTHING, mediation)
    assert world.at_once(call, 999, 8, 8, 8, 8, 8) == Continued()
    assert world.events == []
    assert world.session.calls[call] == 1
