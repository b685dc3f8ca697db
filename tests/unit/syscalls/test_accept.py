"""accept(2) and accept4(2)."""

import errno
import os
import socket
import struct

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from supervisor.abi.socket import SOCK_CLOEXEC, SOCK_NONBLOCK
from supervisor.sockets.address import Inet4, pack_address
from supervisor.syscalls.reply import ERESTARTSYS, Later
from supervisor.syscalls.table import ROWS
from tests.unit.syscalls.stage import LOOPBACK, Continued, Failed, Installed, listening, null, said, tcp

(ACCEPT,) = (row.handler for row in ROWS if row.name == "accept")
ONLY_LOOPBACK = 'default = "deny"\nerrno = "EPERM"\naccept.allow = ["127.0.0.1:*"]\naccept.deny = ["10.0.0.1:*"]'
NOBODY_MAY = 'default = "deny"\nerrno = "EPERM"\naccept.deny = ["127.0.0.0/8:*"]'


@pytest.fixture
def client():
    """A listener, and a connection to it that waits."""
    with listening() as (listener, address), tcp() as sock:
        sock.connect(("127.0.0.1", address.port))
        sock.settimeout(5)
        yield listener, sock


async def test_a_connection_that_is_there(world, client):
    listener, sock = client
    world.under(ONLY_LOOPBACK)
    room = world.room(128)
    answer = await world.call("accept", world.open(listener), *room)
    assert isinstance(answer, Installed)
    assert answer.flags == 0
    assert world.reported(room) == (16, pack_address(Inet4(LOOPBACK, sock.getsockname()[1])))
    event = world.only_event()
    assert (event.how, event.asked) == ("performed", Inet4(LOOPBACK, sock.getsockname()[1]))


async def test_flags_are_of_the_new_descriptor(world, client):
    world.under(ONLY_LOOPBACK)
    answer = await world.call("accept4", world.open(client[0]), 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC)
    assert answer.flags == os.O_CLOEXEC
    assert not os.get_blocking(world.thread.table[answer.number].fileno())


async def test_the_kernels_own_errors(world, client):
    listener, _ = client
    world.under(ONLY_LOOPBACK)
    number = world.open(listener)
    with tcp() as sock, null() as file:
        assert await world.call("accept", world.open(sock), 0, 0) == Failed(errno.EINVAL)
        assert await world.call("accept", world.open(file), 0, 0) == Failed(errno.ENOTSOCK)
        assert await world.call("accept4", world.open(file), 0, 0, 1) == Failed(errno.EINVAL)
    assert await world.call("accept4", number, 0, 0, 1) == Failed(errno.EINVAL)
    assert await world.call("accept", 999, 0, 0) == Failed(errno.EBADF)
    room = world.room(-1)
    assert await world.call("accept", number, *room) == Failed(errno.EINVAL)


async def test_a_full_table_takes_no_connection(world, client):
    listener, _ = client
    world.under(ONLY_LOOPBACK)
    number = world.open(listener)
    world.thread.limit = 1
    assert await world.call("accept", number, 0, 0) == Failed(errno.EMFILE)
    world.thread.limit = 9
    assert isinstance(await world.call("accept", number, 0, 0), Installed)


async def test_a_table_that_fills_meanwhile(world, client, monkeypatch):
    world.under(ONLY_LOOPBACK)
    number = world.open(client[0])
    monkeypatch.setattr(type(world.thread), "table_is_full", lambda _: False)
    monkeypatch.setattr(world.listener, "install", refuse_to_install)
    assert await world.call("accept", number, 0, 0) == Failed(errno.EMFILE)
    assert world.only_event().errno == errno.EMFILE


def refuse_to_install(_ident, _fd, _flags):
    raise OSError(errno.EMFILE, "Too many open files")


async def test_a_refused_peer_is_hung_up_on_and_the_next_one_asked(world):
    with listening() as (listener, address), tcp() as bad, tcp() as good:
        bad.bind(("127.0.0.2", 0))
        for sock in (bad, good):
            sock.settimeout(5)
            sock.connect(("127.0.0.1", address.port))
        world.under('default = "deny"\naccept.deny = ["127.0.0.2:*"]\naccept.allow = ["127.0.0.1:*"]')
        answer = await world.call("accept", world.open(listener), 0, 0)
        assert isinstance(answer, Installed)
        assert bad.recv(1) == b""
        good.send(b"x")
        assert os.read(world.thread.table[answer.number].fileno(), 1) == b"x"
    assert [event.how for event in world.events] == ["refused", "performed"]


async def test_a_refused_peer_is_counted(world, client):
    world.under(NOBODY_MAY)
    client[0].setblocking(False)
    assert await world.call("accept", world.open(client[0]), 0, 0) == Failed(errno.EAGAIN)
    assert world.session.refusals == 1


async def test_a_log_that_fails_ends_nothing(world, client, monkeypatch):
    world.under(NOBODY_MAY)
    client[0].setblocking(False)
    monkeypatch.setattr(world.session, "report", refuse_to_write, raising=False)
    assert await world.call("accept", world.open(client[0]), 0, 0) == Failed(errno.EAGAIN)


def refuse_to_write(_event):
    raise OSError(errno.ENOSPC, "No space left on device")


# When there is none.


async def test_the_kernel_waits_where_no_rule_is_about_peers(world):
    world.under("default = 'allow'", "full")
    with listening() as (listener, _):
        listener.settimeout(None)
        assert world.at_once("accept", world.open(listener), 0, 0) == Continued()
        listener.setblocking(False)
        assert world.at_once("accept", world.open(listener), 0, 0) == Failed(errno.EAGAIN)


async def test_one_that_blocks_waits_for_a_peer_that_is_allowed(world):
    world.under('default = "deny"\naccept.deny = ["127.0.0.2:*"]\naccept.allow = ["127.0.0.1:*"]')
    with listening() as (listener, address), tcp() as bad, tcp() as good:
        listener.settimeout(None)
        bad.bind(("127.0.0.2", 0))
        async with trio.open_nursery() as nursery:
            ident = world.start(nursery, "accept", world.open(listener), 0, 0)
            for sock in (bad, good):
                await wait_all_tasks_blocked()
                assert world.listener.answer_to(ident) == []
                sock.connect(("127.0.0.1", address.port))
        (answer,) = world.listener.answer_to(ident)
        assert isinstance(answer, Installed)
    assert world.session.waiting_calls == 0


async def test_a_timeout(world):
    world.under(ONLY_LOOPBACK)
    with listening() as (listener, _):
        listener.settimeout(None)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, 10_000))
        assert await world.call("accept", world.open(listener), 0, 0) == Failed(errno.EAGAIN)


@pytest.mark.parametrize(("timeout", "code"), [(0, ERESTARTSYS), (60, errno.EINTR)])
async def test_what_a_signal_makes_of_it(world, timeout, code):
    world.under(ONLY_LOOPBACK)
    with listening() as (listener, _), world.stopped("accept") as call:
        listener.settimeout(None)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", timeout, 0))
        reply = ACCEPT(call, world.open(listener), 0, 0)
        assert isinstance(reply, Later)
        assert said(reply.interrupted()) == Failed(code)
