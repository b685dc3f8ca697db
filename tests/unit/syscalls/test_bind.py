"""bind(2), listen(2), shutdown(2)."""

import errno
import os
import socket

import pytest

from supervisor.abi.socket import AF_UNSPEC
from supervisor.kernel.identity import Credentials
from supervisor.sockets.address import Inet4, Inet6, UnixAbstract, UnixPath
from tests.unit.kernel.puppet import NOBODY, needs_root
from tests.unit.syscalls.stage import LOOPBACK, NOTHING, Continued, Failed, Returned, null, tcp, udp

ONLY_LOOPBACK = 'default = "deny"\nerrno = "EPERM"\nsocket.allow = ["*"]\nbind.allow = ["127.0.0.1:*", "unix:/tmp/**"]'


async def test_under_no_policy_the_kernel_binds(world):
    with tcp() as sock:
        assert world.at_once("bind", world.open(sock), *world.address(Inet4(LOOPBACK, 0))) == Continued()
        assert sock.getsockname() == ("0.0.0.0", 0)
    assert world.only_event().how == "continued"


async def test_what_was_judged_is_bound(world):
    world.under(ONLY_LOOPBACK)
    with tcp() as sock:
        assert world.at_once("bind", world.open(sock), *world.address(Inet4(LOOPBACK, 0))) == Returned(0)
        assert sock.getsockname()[0] == "127.0.0.1"
    assert world.only_event().how == "performed"


@pytest.mark.parametrize("address", [Inet4(0, 0), Inet4(0x0A000001, 80), Inet4(LOOPBACK + 1, 0)])
async def test_what_is_refused_is_not_bound(world, address):
    world.under(ONLY_LOOPBACK)
    with tcp() as sock:
        assert world.at_once("bind", world.open(sock), *world.address(address)) == Failed(errno.EPERM)
        assert sock.getsockname() == ("0.0.0.0", 0)
    assert world.only_event().verdict.allowed is False


async def test_unspecified_family_is_the_wildcard_and_judged_as_that(world):
    world.under(ONLY_LOOPBACK)
    raw = AF_UNSPEC.to_bytes(2, "little") + (80).to_bytes(2) + bytes(12)
    with tcp() as sock:
        assert world.at_once("bind", world.open(sock), *world.address(raw)) == Failed(errno.EPERM)
    assert world.only_event().asked == Inet4(0, 80)


async def test_the_kernels_own_errors(world):
    world.under(NOTHING)
    with tcp() as sock, null() as file:
        number = world.open(sock)
        address = world.address(Inet6(1, 80))
        assert world.at_once("bind", number, *address) == Failed(errno.EAFNOSUPPORT)
        assert world.at_once("bind", number, address[0], 3) == Failed(errno.EINVAL)
        assert world.at_once("bind", number, address[0], 129) == Failed(errno.EINVAL)
        assert world.at_once("bind", number, address[0], -1) == Failed(errno.EINVAL)
        assert world.at_once("bind", number, 8, 16) == Failed(errno.EFAULT)
        assert world.at_once("bind", 999, 8, 16) == Failed(errno.EBADF)
        assert world.at_once("bind", world.open(file), 8, 16) == Failed(errno.ENOTSOCK)
    assert world.events == []


@needs_root
async def test_a_port_that_the_program_may_not_bind(world):
    world.under('default = "deny"\nbind.allow = ["127.0.0.1:*"]')
    world.thread.become(Credentials(NOBODY, NOBODY, (), 0))
    with tcp() as sock:
        assert world.at_once("bind", world.open(sock), *world.address(Inet4(LOOPBACK, 81))) == Failed(errno.EACCES)
        assert sock.getsockname() == ("0.0.0.0", 0)
    assert os.geteuid() == 0


# Paths: the program's own string, from its directory and with its umask.


async def test_a_path_is_bound_as_the_program_spells_it(world, tmp_path):
    world.under(f'default = "deny"\nbind.allow = ["unix:{tmp_path}/**"]')
    world.thread.facts = world.thread.facts._replace(umask=0o077)
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as sock:
        spelled = f"{tmp_path}/./s"
        answer = await world.call("bind", world.open(sock), *world.address(UnixPath(spelled.encode())))
        assert answer == Returned(0)
        assert sock.getsockname() == spelled
    assert path.stat().st_mode & 0o777 == 0o700
    event = world.only_event()
    assert (event.asked, event.performed) == (UnixPath(spelled.encode()), UnixPath(bytes(path)))


async def test_a_path_is_judged_by_where_its_directory_is(world, tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "way").symlink_to(outside)
    world.under(f'default = "deny"\nerrno = "EPERM"\nbind.allow = ["unix:{inside}/**"]')
    with socket.socket(socket.AF_UNIX) as sock:
        answer = await world.call("bind", world.open(sock), *world.address(UnixPath(bytes(inside / "way" / "s"))))
        assert answer == Failed(errno.EPERM)
    assert list(outside.iterdir()) == []


async def test_a_directory_that_is_not_there(world, tmp_path):
    world.under(f'default = "deny"\nbind.allow = ["unix:{tmp_path}/**"]')
    with socket.socket(socket.AF_UNIX) as sock:
        path = UnixPath(bytes(tmp_path / "no" / "s"))
        assert await world.call("bind", world.open(sock), *world.address(path)) == Failed(errno.ENOENT)


async def test_abstract_names_need_no_look_up(world):
    world.under('default = "deny"\nerrno = "EPERM"\nbind.allow = ["unix:@yes-*"]')
    name = b"yes-%d" % os.getpid()
    with socket.socket(socket.AF_UNIX) as sock:
        number = world.open(sock)
        assert world.at_once("bind", number, *world.address(UnixAbstract(b"no"))) == Failed(errno.EPERM)
        assert world.at_once("bind", number, *world.address(UnixAbstract(name))) == Returned(0)
        assert sock.getsockname() == b"\0" + name


# listen(2).


async def test_the_kernel_makes_it_listen(world):
    with tcp() as sock:
        assert world.at_once("listen", world.open(sock), 5) == Continued()
    assert world.events == []


async def test_listening_without_a_port_is_a_bind(world):
    world.under(ONLY_LOOPBACK)
    with tcp() as sock:
        assert world.at_once("listen", world.open(sock), 5) == Failed(errno.EPERM)
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    assert world.only_event().asked == Inet4(0, 0)


async def test_listening_on_a_port_that_was_judged(world):
    world.under(ONLY_LOOPBACK)
    with tcp() as sock:
        sock.bind(("127.0.0.1", 0))
        assert world.at_once("listen", world.open(sock), 1 << 32 | 5) == Returned(0)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


async def test_the_kernels_own_errors_of_listen(world):
    world.under(ONLY_LOOPBACK)
    with udp() as sock:
        assert world.at_once("listen", world.open(sock), 5) == Failed(errno.EOPNOTSUPP)
    assert world.at_once("listen", 999, 5) == Failed(errno.EBADF)


# shutdown(2).


async def test_shutting_down(world):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        number = world.open(theirs)
        assert world.at_once("shutdown", number, socket.SHUT_WR) == Returned(0)
        assert ours.recv(1) == b""
        assert world.at_once("shutdown", number, 3) == Failed(errno.EINVAL)
    with tcp() as sock:
        assert world.at_once("shutdown", world.open(sock), socket.SHUT_RD) == Failed(errno.ENOTCONN)
