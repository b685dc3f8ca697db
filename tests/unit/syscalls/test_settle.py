"""When a call is continued, when it is performed, and what is looked up first."""

import errno
import socket

import pytest
import trio

from supervisor.abi.socket import AF_INET, AF_UNIX
from supervisor.errors import CannotServe
from supervisor.families.provider import Target
from supervisor.families.unix import UNIX
from supervisor.kernel.hostfd import HostFd, leaked
from supervisor.kernel.identity import Credentials
from supervisor.kernel.sockets import SocketKind
from supervisor.sockets.address import Inet4, UnixAbstract, UnixPath
from supervisor.syscalls import settle as module
from supervisor.syscalls.reply import Continue, Later, Value
from supervisor.syscalls.settle import as_program, identity_of, look_up, may_continue, settle
from tests.unit.kernel.puppet import NOBODY, needs_root
from tests.unit.syscalls.stage import NOTHING

TCP, UNIX_STREAM = SocketKind(AF_INET, 1, 6), SocketKind(AF_UNIX, 1, 0)
INET = 'default = "deny"\nsocket.allow = ["*"]\nconnect.allow = ["127.0.0.1:*", "unix:*"]\n'


# may_continue.


@pytest.mark.parametrize(("rules", "mediation", "kind", "may"), [
    ('default = "allow"', "auto", TCP, True),
    ('default = "allow"', "full", TCP, False),
    ('default = "allow"', "full", UNIX_STREAM, True),
    (INET, "auto", TCP, False),
    (INET, "auto", UNIX_STREAM, True),
    (INET + 'unix = "perform"', "auto", UNIX_STREAM, False),
    (INET + 'connect.deny = ["unix:/a"]', "auto", UNIX_STREAM, False),
])
async def test_what_may_be_continued(world, rules, mediation, kind, may):
    world.under(rules, mediation, guarded=True)
    with world.stopped() as call:
        assert may_continue(call, "connect", kind) is may


@pytest.mark.parametrize(("guarded", "threads", "may"), [(True, 1, True), (True, 2, False), (False, 1, False)])
async def test_the_table_must_be_its_own(world, guarded, threads, may):
    world.under(INET, guarded=guarded)
    world.thread.facts = world.thread.facts._replace(threads=threads)
    with world.stopped() as call:
        assert call.has_its_table_alone() is may
        assert may_continue(call, "connect", UNIX_STREAM) is may


# settle.


def never(_target):
    raise AssertionError


async def test_a_hopeless_address_is_not_judged(world):
    world.under(NOTHING)
    seen = []
    with world.stopped() as call:
        settle(call, "connect", TCP, b"\x0a\0" + bytes(26), lambda target: seen.append(target) or Value(0))
        assert call.verdict is None
    assert seen[0].raw == b"\x0a\0" + bytes(26)


async def test_a_hopeless_address_is_the_kernels_where_it_is_free(world):
    with world.stopped() as call:
        assert settle(call, "connect", TCP, b"\x0a\0", never) == Continue()
        assert call.verdict is None
        assert settle(call, "connect", UNIX_STREAM, b"\x02\0abc", never) == Continue()


async def test_what_is_performed_is_what_was_judged(world):
    world.under(INET)
    with world.stopped() as call:
        raw = b"\x02\0\0\x50" + bytes(12)
        reply = settle(call, "connect", TCP, raw, lambda target: Value(target.raw[4]))
        assert reply == Value(127)
        assert call.address == Inet4(0, 80)


async def test_an_abstract_name_needs_no_look_up_and_a_path_does(world):
    world.under(INET + 'unix = "perform"')
    with world.stopped() as call:
        assert settle(call, "connect", UNIX_STREAM, b"\1\0\0x", lambda _: Value(1)) == Value(1)
        assert call.address == UnixAbstract(b"x")
        assert isinstance(settle(call, "connect", UNIX_STREAM, b"\1\0/x", never), Later)
        assert call.address == UnixPath(b"/x")


# Looking up.


async def test_what_a_look_up_keeps_belongs_to_the_call(world, monkeypatch):
    kept = HostFd(socket.socket().detach())
    monkeypatch.setattr(UNIX, "locate", lambda *_: Target(UnixPath(b"/y"), b"", kept), raising=False)
    with world.stopped() as call:
        await look_up(call, "connect", UNIX, UnixPath(b"/x"), b"")
        assert call.owned == [kept]
    assert kept.closed


async def test_a_look_up_that_ends_as_it_is_cancelled(world, monkeypatch):
    monkeypatch.setattr(
        UNIX, "locate", lambda *_: Target(UnixPath(b"/y"), b"", HostFd(socket.socket().detach())), raising=False
    )

    async def too_late(function, *_arguments, **_options):
        """The thread is done, and the cancellation comes before its result."""
        function()
        scope.cancel()
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(trio.to_thread, "run_sync", too_late)
    with world.stopped() as call:
        with trio.CancelScope() as scope:
            await look_up(call, "connect", UNIX, UnixPath(b"/x"), b"")
        assert scope.cancelled_caught
    found = list(leaked)
    leaked.clear()
    assert found == []


# Identity.


async def test_the_same_credentials_need_no_change(world):
    with world.stopped() as call:
        assert identity_of(call) is None
        with as_program(call):
            pass


async def test_other_credentials(world):
    other = Credentials(NOBODY, NOBODY, (), 0)
    world.thread.become(other)
    with world.stopped() as call:
        assert identity_of(call) == (other if world.session.us.privileged else None)


@needs_root
async def test_an_identity_that_cannot_be_taken(world, monkeypatch):
    def refuse(_them, _us):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(module, "acting_as", refuse)
    world.thread.become(Credentials(NOBODY, NOBODY, (), 0))
    with world.stopped() as call, pytest.raises(CannotServe, match=f"acting as uid {NOBODY}"), as_program(call):
        raise AssertionError
