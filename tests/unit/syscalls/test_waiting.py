"""Waiting for sockets, with a ring and with threads."""

import errno
import os
import socket

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from supervisor.errors import SyscallError
from supervisor.kernel.hostfd import HostFd
from supervisor.sockets.address import UnixAbstract, pack_address
from supervisor.syscalls.waiting import Waiting
from tests.unit.kernel.leftovers import descriptors
from tests.unit.kernel.puppet import missing
from tests.unit.syscalls.stage import listening, tcp


@pytest.fixture(params=["ring", "threads"])
async def waiting(request):
    made = Waiting(use_uring=request.param == "ring")
    if request.param == "ring" and made.ring is None:
        made.close()
        missing("io_uring")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        yield made
        nursery.cancel_scope.cancel()
    assert made.ring is None or made.ring.in_flight == 0
    made.close()


@pytest.fixture
def full():
    """A unix listener without room, and its address."""
    name = f"\0waiting-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(name)
        listener.listen(0)
        first.connect(name)
        yield listener, pack_address(UnixAbstract(name[1:].encode()))


def blocking(family):
    return HostFd(socket.socket(family).detach())


async def result_of(connecting):
    return connecting.result if connecting.result is not None else await connecting.wait()


# connect.


async def test_a_connect(waiting):
    with listening() as (listener, address), blocking(socket.AF_INET) as fd:
        assert await result_of(waiting.connect(fd, pack_address(address))) == 0
        assert await result_of(waiting.connect(fd, pack_address(address))) == -errno.EISCONN
        listener.close()
        with blocking(socket.AF_INET) as other:
            assert await result_of(waiting.connect(other, pack_address(address))) == -errno.ECONNREFUSED


async def test_a_connect_that_waits(waiting, full):
    listener, address = full
    with blocking(socket.AF_UNIX) as fd:
        connecting = waiting.connect(fd, address)
        assert connecting.result is None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connecting.wait)
            await wait_all_tasks_blocked()
            assert connecting.result is None
            listener.accept()[0].close()
        assert connecting.result == 0


async def test_a_cancelled_connect_leaves_nothing(waiting, full):
    with blocking(socket.AF_UNIX) as fd:
        connecting = waiting.connect(fd, full[1])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connecting.wait)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert connecting.result is None
        with socket.socket(fileno=os.dup(fd.fileno())) as sock, pytest.raises(OSError, match="not connected"):
            sock.getpeername()


async def test_a_call_that_should_not_wait_is_interrupted(waiting, full):
    """The flag was cleared between the look and the call."""
    with blocking(socket.AF_UNIX) as fd:
        assert waiting.connect_now(fd, full[1]) == -errno.EINTR


async def test_a_call_that_does_not_wait(waiting):
    with listening() as (_, address), blocking(socket.AF_INET) as fd:
        assert waiting.connect_now(fd, pack_address(address)) == 0
        assert waiting.connect_now(fd, pack_address(address)) == -errno.EISCONN


# accept.


async def test_an_accept(waiting):
    with listening() as (listener, address), tcp() as client, HostFd(os.dup(listener.fileno())) as fd:
        client.connect(("127.0.0.1", address.port))
        accepted, name = await waiting.accept(fd, 0)
        with accepted:
            assert name[2:4] == client.getsockname()[1].to_bytes(2)
            assert not os.get_inheritable(accepted.fileno())
            assert os.get_blocking(accepted.fileno())


async def test_nothing_to_accept(waiting):
    with listening() as (listener, _), HostFd(os.dup(listener.fileno())) as fd:
        listener.setblocking(False)
        with pytest.raises(SyscallError) as caught:
            await waiting.accept(fd, 0)
        assert caught.value.errno == errno.EAGAIN
    with tcp() as sock, HostFd(os.dup(sock.fileno())) as fd:
        with pytest.raises(SyscallError) as caught:
            await waiting.accept(fd, 0)
        assert caught.value.errno == errno.EINVAL


@pytest.fixture
async def threads():
    made = Waiting(use_uring=False)
    yield made
    made.close()


async def test_an_accept_that_never_waits_needs_a_ring(threads):
    with listening() as (listener, _), HostFd(os.dup(listener.fileno())) as fd:
        assert threads.accept_now(fd, 0) is None


async def test_a_cancelled_accept_leaves_no_thread_in_it(threads):
    with listening() as (listener, _), HostFd(os.dup(listener.fileno())) as fd:
        listener.settimeout(None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(threads.accept, fd, 0)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()


async def test_a_connection_that_comes_as_an_accept_is_cancelled(threads):
    with listening() as (listener, address), tcp() as client, HostFd(os.dup(listener.fileno())) as fd:
        listener.settimeout(None)
        client.settimeout(5)
        before = descriptors()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(threads.accept, fd, 0)
            await wait_all_tasks_blocked(0.02)
            nursery.cancel_scope.cancel()
            client.connect(("127.0.0.1", address.port))
        left = {number: link for number, link in descriptors().items() if number not in before}
        for number in left:
            os.close(number)
        assert left == {}
