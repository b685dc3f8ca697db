"""connect(2)."""

import errno
import os
import socket
import struct

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from supervisor.abi.socket import AF_UNSPEC
from supervisor.kernel.identity import Credentials
from supervisor.sockets.address import Inet4, Inet6, UnixAbstract, UnixPath, pack_address
from supervisor.syscalls.reply import ERESTARTSYS, Later
from supervisor.syscalls.table import ROWS
from tests.unit.kernel.puppet import NOBODY, needs_root
from tests.unit.syscalls.stage import (
    LOOPBACK,
    NOTHING,
    Continued,
    Failed,
    Returned,
    listening,
    null,
    said,
    tcp,
    udp,
    unix_listening,
)

(CONNECT,) = (row.handler for row in ROWS if row.name == "connect")
ONLY_LOOPBACK = 'default = "deny"\nerrno = "EPERM"\nsocket.allow = ["*"]\nconnect.allow = ["127.0.0.1:*"]'


async def test_under_no_policy_the_kernel_connects(world):
    with listening() as (_, address), tcp() as sock:
        assert world.at_once("connect", world.open(sock), *world.address(address)) == Continued()
    event = world.only_event()
    assert (event.how, event.asked) == ("continued", address)


@pytest.mark.parametrize("rules", [ONLY_LOOPBACK, 'default = "allow"\nconnect.deny = ["10.0.0.0/8:*"]'])
async def test_what_was_judged_is_connected(world, rules):
    world.under(rules)
    with listening() as (_, address), tcp() as sock:
        assert await world.call("connect", world.open(sock), *world.address(address)) == Returned(0)
        assert sock.getpeername() == ("127.0.0.1", address.port)
    assert world.only_event().how == "performed"


async def test_full_mediation_performs_what_it_could_leave_to_the_kernel(world):
    world.under("default = 'allow'", "full")
    with listening() as (_, address), tcp() as sock:
        assert await world.call("connect", world.open(sock), *world.address(address)) == Returned(0)


async def test_what_is_refused_is_not_tried(world):
    world.under('default = "deny"\nerrno = "ENETUNREACH"\nsocket.allow = ["*"]')
    with listening() as (listener, address), tcp() as sock:
        listener.setblocking(False)
        assert world.at_once("connect", world.open(sock), *world.address(address)) == Failed(errno.ENETUNREACH)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert (world.only_event().how, world.session.refusals) == ("refused", 1)


async def test_a_datagram_socket(world):
    world.under(ONLY_LOOPBACK)
    with udp(bound=True) as peer, udp() as sock:
        number = world.open(sock)
        address = Inet4(LOOPBACK, peer.getsockname()[1])
        assert world.at_once("connect", number, *world.address(address)) == Returned(0)
        assert sock.getpeername() == peer.getsockname()
        nobody = world.address(AF_UNSPEC.to_bytes(2, "little") + bytes(14))
        assert world.at_once("connect", number, *nobody) == Returned(0)
        with pytest.raises(OSError, match="not connected"):
            sock.getpeername()


async def test_the_unspecified_address_is_the_loopback_that_was_judged(world):
    world.under(ONLY_LOOPBACK)
    with listening() as (_, address), tcp() as sock:
        answer = await world.call("connect", world.open(sock), *world.address(address._replace(ip=0)))
        assert answer == Returned(0)
        assert sock.getpeername()[0] == "127.0.0.1"


async def test_the_kernels_own_errors(world):
    world.under(NOTHING)
    with tcp() as sock, null() as file:
        number, other = world.open(sock), world.open(file)
        there, length = world.address(Inet6(1, 80))
        for arguments, code in (
            ((number, there, length), errno.EAFNOSUPPORT), ((number, there, 1), errno.EINVAL),
            ((number, there, -1), errno.EINVAL),
            ((number, there, 129), errno.EINVAL), ((number, 8, 16), errno.EFAULT),
            ((999, there, length), errno.EBADF), ((other, there, length), errno.ENOTSOCK),
            ((other, 8, 16), errno.EFAULT),
        ):
            assert await world.call("connect", *arguments) == Failed(code)
    assert world.events == []


async def test_nobody_listens(world):
    world.under(ONLY_LOOPBACK)
    with listening() as (listener, address), tcp() as sock:
        listener.close()
        assert await world.call("connect", world.open(sock), *world.address(address)) == Failed(errno.ECONNREFUSED)


async def test_the_address_is_read_once(world, monkeypatch):
    """Between the decision and the call the program rewrites it."""
    world.under(ONLY_LOOPBACK)
    with listening() as (_, address), tcp() as sock:
        pointer, length = world.address(address)
        valid = world.listener.valid

        def rewrite(ident):
            world.memory.write(pointer, pack_address(Inet4(0x0A000001, 1)))
            return valid(ident)

        monkeypatch.setattr(world.listener, "valid", rewrite)
        assert await world.call("connect", world.open(sock), pointer, length) == Returned(0)
        assert sock.getpeername() == ("127.0.0.1", address.port)


async def test_a_call_that_went_away_does_nothing(world, monkeypatch):
    world.under(ONLY_LOOPBACK)
    monkeypatch.setattr(world.listener, "valid", lambda _: False)
    with listening() as (listener, address), tcp() as sock:
        listener.setblocking(False)
        assert await world.call("connect", world.open(sock), *world.address(address)) is None
        with pytest.raises(BlockingIOError):
            listener.accept()


# Waiting.


@pytest.fixture
def full_backlog():
    """A unix listener that has no room: a blocking connect waits until somebody accepts."""
    name = f"\0full-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(name)
        listener.listen(0)
        first.connect(name)
        yield listener, UnixAbstract(name[1:].encode())


ABSTRACT = 'default = "deny"\nconnect.allow = ["unix:@full-*"]\nunix = "perform"'


async def test_a_blocking_connect_waits(world, full_backlog):
    world.under(ABSTRACT)
    listener, address = full_backlog
    with socket.socket(socket.AF_UNIX) as sock:
        async with trio.open_nursery() as nursery:
            ident = world.start(nursery, "connect", world.open(sock), *world.address(address))
            await wait_all_tasks_blocked()
            assert world.listener.answer_to(ident) == []
            assert world.session.waiting_calls == 1
            listener.accept()[0].close()
        assert world.listener.answer_to(ident) == [Returned(0)]
    assert world.session.waiting_calls == 0


async def test_a_nonblocking_connect_does_not(world, full_backlog):
    world.under(ABSTRACT)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        answer = world.at_once("connect", world.open(sock), *world.address(full_backlog[1]))
    assert answer == Failed(errno.EAGAIN)


async def test_a_timeout(world, full_backlog):
    world.under(ABSTRACT)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 0, 10_000))
        assert await world.call("connect", world.open(sock), *world.address(full_backlog[1])) == Failed(errno.EAGAIN)


@pytest.mark.parametrize(("timeout", "code"), [(0, ERESTARTSYS), (60, errno.EINTR)])
async def test_what_a_signal_makes_of_it(world, full_backlog, timeout, code):
    world.under(ABSTRACT)
    with socket.socket(socket.AF_UNIX) as sock, world.stopped() as call:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", timeout, 0))
        reply = CONNECT(call, world.open(sock), *world.address(full_backlog[1]))
        assert isinstance(reply, Later)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reply.run)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert said(reply.interrupted()) == Failed(code)
    if world.waiting.ring is not None:
        assert world.waiting.ring.in_flight == 0


async def test_a_result_that_came_with_the_signal_counts(world, full_backlog):
    world.under(ABSTRACT)
    listener, address = full_backlog
    with socket.socket(socket.AF_UNIX) as sock, world.stopped() as call:
        reply = CONNECT(call, world.open(sock), *world.address(address))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reply.run)
            await wait_all_tasks_blocked()
            listener.accept()[0].close()
        assert said(reply.interrupted()) == Returned(0)


# Unix.


async def test_what_a_path_leads_to_is_judged(world, tmp_path):
    world.under(f'default = "deny"\nerrno = "EPERM"\nunix = "perform"\nconnect.allow = ["unix:{tmp_path}/open"]')
    with unix_listening(tmp_path / "open"), unix_listening(tmp_path / "shut"):
        (tmp_path / "way").symlink_to("open")
        (tmp_path / "trap").symlink_to("shut")
        for name, expected in (("open", Returned(0)), ("way", Returned(0)), ("shut", Failed(1)), ("trap", Failed(1))):
            with socket.socket(socket.AF_UNIX) as sock:
                answer = await world.call("connect", world.open(sock), *world.address(UnixPath(bytes(tmp_path / name))))
                assert answer == expected, name
    assert [event.how for event in world.events] == ["performed", "performed", "refused", "refused"]
    assert world.events[1].performed == UnixPath(bytes(tmp_path / "open"))


async def test_a_path_that_is_not_there(world, tmp_path):
    world.under(NOTHING)
    with socket.socket(socket.AF_UNIX) as sock:
        answer = await world.call("connect", world.open(sock), *world.address(UnixPath(bytes(tmp_path / "no"))))
    assert answer == Failed(errno.ENOENT)


@needs_root
async def test_a_path_that_the_program_may_not_write(world, tmp_path):
    world.under(f'default = "deny"\nunix = "perform"\nconnect.allow = ["unix:{tmp_path}/**"]')
    for directory in (tmp_path, *tmp_path.parents[:3]):
        directory.chmod(directory.stat().st_mode | 0o711)
    world.thread.become(Credentials(NOBODY, NOBODY, (), 0))
    with unix_listening(tmp_path / "s"):
        for mode, expected in ((0o600, Failed(errno.EACCES)), (0o666, Returned(0))):
            (tmp_path / "s").chmod(mode)
            with socket.socket(socket.AF_UNIX) as sock:
                answer = await world.call("connect", world.open(sock), *world.address(UnixPath(bytes(tmp_path / "s"))))
                assert answer == expected
    assert os.geteuid() == 0
