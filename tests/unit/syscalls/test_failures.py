"""Whatever fails of what a handler uses, at whatever moment: one answer, never an allow, nothing left open."""

import errno
import gc
import inspect
import os
import socket
from contextlib import contextmanager

import pytest
import trio

from supervisor.abi.message import MMSGHDR_SIZE, MSGHDR_SIZE
from supervisor.errors import TraceeGone
from supervisor.kernel import sockets
from supervisor.kernel.hostfd import leaked
from supervisor.sockets.address import Inet4, UnixAbstract, UnixPath
from supervisor.syscalls.waiting import Waiting
from supervisor.testing.listener import FakeListener
from supervisor.testing.thread import FakeThread
from supervisor.tracee.thread import Thread
from tests.unit.syscalls.stage import (
    LOOPBACK,
    Failed,
    Installed,
    Returned,
    address_of,
    cmsg,
    listening,
    null,
    tcp,
    udp,
    unix_listening,
)

ALLOWS = (
    'default = "deny"\nerrno = "ENETUNREACH"\nunix = "perform"\nsocket.allow = ["*"]\n'
    + "".join(f'{action}.allow = ["127.0.0.1:*", "unix:/**", "unix:@**"]\n' for action in ("bind", "connect", "send"))
    + 'accept.allow = ["127.0.0.1:*"]\naccept.deny = ["127.0.0.2:*"]\n'
)
REFUSES = ALLOWS.replace("127.0.0.1", "127.0.0.9").replace("unix:/**", "unix:/no").replace("unix:@**", "unix:@no")

# Asked while closing, of descriptors that are open, and what those are made of: they cannot fail.
CLOSING = {"close", "lingers", "closes_at_once", "get_option", "get_int_option"}


def public(place):
    """The names of a module's or a class's own functions, but for `run`, which is there before the call."""
    owner = place.__name__ if inspect.ismodule(place) else place.__module__
    return [
        name for name, value in vars(place).items()
        if inspect.isfunction(value) and value.__module__ == owner and not name.startswith("_")
        and name not in CLOSING | {"run"}
    ]


ERRORS = {
    "EPERM": lambda: OSError(errno.EPERM, "no"), "EIO": lambda: OSError(errno.EIO, "no"),
    "bug": lambda: RuntimeError("no"), "gone": TraceeGone,
}


class Fault:
    """Lets the nth call of a function fail, and counts the calls."""

    def __init__(self, error=None, at=0):
        self.error, self.at, self.calls = error, at, 0

    def wrap(self, function):
        def called(*arguments, **options):
            self.calls += 1
            if self.error is not None and self.calls == self.at:
                raise self.error()
            return function(*arguments, **options)

        return called


# Each scenario makes one call: (name, arguments), with what it needs open meanwhile.


@contextmanager
def a_connect(world, _):
    with listening() as (_, address), tcp() as sock:
        yield "connect", (world.open(sock), *world.address(address))


@contextmanager
def a_connect_without_waiting(world, _):
    with listening() as (_, address), tcp(nonblocking=True) as sock:
        yield "connect", (world.open(sock), *world.address(address))


@contextmanager
def a_connect_of_datagrams(world, _):
    with udp(bound=True) as peer, udp() as sock:
        yield "connect", (world.open(sock), *world.address(address_of(peer)))


@contextmanager
def a_connect_to_a_path(world, tmp_path):
    (tmp_path / "s").unlink(missing_ok=True)
    with unix_listening(tmp_path / "s"), socket.socket(socket.AF_UNIX) as sock:
        yield "connect", (world.open(sock), *world.address(UnixPath(bytes(tmp_path / "s"))))


@contextmanager
def a_bind(world, _):
    with tcp() as sock:
        yield "bind", (world.open(sock), *world.address(Inet4(LOOPBACK, 0)))


@contextmanager
def a_bind_to_a_path(world, tmp_path):
    name = tmp_path / f"s{len(os.listdir(tmp_path))}"
    with socket.socket(socket.AF_UNIX) as sock:
        yield "bind", (world.open(sock), *world.address(UnixPath(bytes(name))))


@contextmanager
def an_abstract_bind(world, _):
    with socket.socket(socket.AF_UNIX) as sock:
        yield "bind", (world.open(sock), *world.address(UnixAbstract(b"failures-%d" % os.getpid())))


@contextmanager
def a_netlink_bind(world, _):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        yield "bind", (world.open(sock), *world.address(b"\x10\0\0\0" + bytes(8)))


@contextmanager
def a_listen(world, _):
    with tcp() as sock:
        sock.bind(("127.0.0.1", 0))
        yield "listen", (world.open(sock), 5)


@contextmanager
def a_shutdown(world, _):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield "shutdown", (world.open(theirs), socket.SHUT_WR)


@contextmanager
def a_name(world, _):
    with udp(bound=True) as sock:
        sock.connect(sock.getsockname())
        yield "getpeername", (world.open(sock), *world.room(128))


@contextmanager
def an_accept(world, _):
    with listening() as (listener, address), tcp() as client:
        client.connect(("127.0.0.1", address.port))
        listener.setblocking(True)
        yield "accept", (world.open(listener), *world.room(128))


@contextmanager
def a_send(world, _):
    with udp(bound=True) as peer, udp() as sock:
        yield "sendto", (world.open(sock), world.put(b"abc"), 3, 0, *world.address(address_of(peer)))


@contextmanager
def a_message(world, _):
    with udp(bound=True) as peer, udp() as sock:
        control = cmsg(socket.IPPROTO_IP, socket.IP_TTL, (9).to_bytes(4, "little"))
        yield "sendmsg", (world.open(sock), world.message(b"abc", name=address_of(peer), control=control), 0)


@contextmanager
def a_message_with_descriptors(world, tmp_path):
    with null() as file:
        numbers = [world.open(file), world.open(file)]
    control = cmsg(1, 1, b"".join(number.to_bytes(4, "little") for number in numbers))
    path = tmp_path / "d"
    path.unlink(missing_ok=True)
    with unix_listening(path, socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        yield "sendmsg", (world.open(sock), world.message(b"abc", name=UnixPath(bytes(path)), control=control), 0)


@contextmanager
def descriptors_to_a_pair(world, _):
    with null() as file:
        number = world.open(file)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        control = cmsg(1, 1, number.to_bytes(4, "little"))
        yield "sendmsg", (world.open(theirs), world.message(b"abc", control=control), 0)


@contextmanager
def a_broken_pipe(world, _):
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        yield "sendto", (world.open(theirs), world.put(b"abc"), 3, 0, 0, 0)


@contextmanager
def a_batch(world, _):
    with udp(bound=True) as peer, udp() as sock:
        vector = world.messages((b"a", address_of(peer)), (b"b", address_of(peer)))
        yield "sendmmsg", (world.open(sock), vector, 2, 0)


@contextmanager
def a_netlink_message(world, _):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        request = bytes((20, 0, 0, 0, 18, 0, 1, 3)) + bytes(12)
        yield "sendto", (world.open(sock), world.put(request), len(request), 0, *world.address(b"\x10\0" + bytes(10)))


def space(world, control=0):
    """A struct msghdr to receive into."""
    return world.message(bytes(64), name=bytes(128), control=bytes(control))


@contextmanager
def a_receive(world, _):
    with udp(bound=True) as sock, udp() as peer:
        peer.sendto(b"abc", sock.getsockname())
        yield "recvfrom", (world.open(sock), world.put(bytes(64)), 64, 0, *world.room(128))


@contextmanager
def a_receive_that_must_be_whole(world, _):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.send(b"abc")
        yield "recvmsg", (world.open(theirs), world.message(bytes(3)), socket.MSG_WAITALL)


@contextmanager
def received_descriptors(world, _):
    ours, theirs = socket.socketpair()
    with ours, theirs, null() as file:
        socket.send_fds(ours, [b"abc"], [file.fileno(), file.fileno(), ours.fileno()])
        yield "recvmsg", (world.open(theirs), space(world, 64), 0)


@contextmanager
def a_received_batch(world, _):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs, null() as file:
        for _ in range(2):
            socket.send_fds(ours, [b"abc"], [file.fileno()])
        headers = [world.memory.read(space(world, 64), MSGHDR_SIZE).ljust(MMSGHDR_SIZE, b"\0") for _ in range(3)]
        yield "recvmmsg", (world.open(theirs), world.put(b"".join(headers)), 3, socket.MSG_DONTWAIT, 0)


@contextmanager
def an_option(world, _):
    with tcp() as sock:
        yield "getsockopt", (world.open(sock), 1, socket.SO_ERROR, world.put(bytes(4)), world.put(b"\4\0\0\0"))


@contextmanager
def an_option_of_the_peer(world, _):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        length = world.put((12).to_bytes(4, "little"))
        yield "getsockopt", (world.open(ours), 1, socket.SO_PEERCRED, world.put(bytes(12)), length)


@contextmanager
def a_changed_option(world, _):
    with tcp() as sock:
        yield "setsockopt", (world.open(sock), 1, socket.SO_KEEPALIVE, world.put(b"\1\0\0\0"), 4)


SCENARIOS = (
    a_connect, a_connect_without_waiting, a_connect_of_datagrams, a_connect_to_a_path, a_bind, a_bind_to_a_path,
    an_abstract_bind, a_netlink_bind, a_listen, a_shutdown, a_name, an_accept, a_send, a_message,
    a_message_with_descriptors, descriptors_to_a_pair, a_broken_pipe, a_batch, a_netlink_message,
    a_receive, a_receive_that_must_be_whole, received_descriptors, a_received_batch, an_option, an_option_of_the_peer,
    a_changed_option,
)
REFUSABLE = (
    a_connect, a_connect_without_waiting, a_connect_of_datagrams, a_connect_to_a_path, a_bind, a_bind_to_a_path,
    an_abstract_bind, a_send, a_message, a_message_with_descriptors, a_batch,
)


def targets():
    """Everything a handler may call that can fail."""
    for name in public(Thread):
        yield FakeThread, name
    for place in (sockets, Waiting):
        for name in public(place):
            yield place, name
    yield FakeListener, "valid"
    yield FakeListener, "give"


async def attempt(world, scenario, tmp_path, place, name, fault):
    """Make the scenario's call with one function wrapped: its answers."""
    with pytest.MonkeyPatch.context() as patch, scenario(world, tmp_path) as (call, arguments):
        patch.setattr(place, name, fault.wrap(getattr(place, name)))
        async with trio.open_nursery() as nursery:
            ident = world.start(nursery, call, *arguments)
        answers = world.listener.answer_to(ident)
    world.clean()
    return answers


def count_open():
    return len(os.listdir("/proc/self/fd"))


"""What leaves a descriptor to be collected: each has its own test below."""
LOOKING_UP = (a_connect_to_a_path, a_bind_to_a_path, a_message_with_descriptors)
"""Where no pidfd means that a look-up is abandoned, and ends when it likes: see test_settle."""


async def go_through(world, scenario, tmp_path, error, may_be):
    """Let every call of every function fail in turn; what was answered must be one of some types. All that is wrong."""
    wrong = []
    for place, name in targets():
        if name == "pidfd" and scenario in LOOKING_UP:
            continue
        count = Fault()
        await attempt(world, scenario, tmp_path, place, name, count)
        for at in range(1, count.calls + 1):
            before = count_open()
            answers = await attempt(world, scenario, tmp_path, place, name, Fault(error, at))
            if len(answers) != 1 and not (error is TraceeGone and not answers):
                wrong.append(f"{name} {at}: {len(answers)} answers")
            if not all(isinstance(answer, may_be) for answer in answers):
                wrong.append(f"{name} {at}: {answers}")
            gc.collect(0)
            if leaked or count_open() != before:
                wrong.append(f"{name} {at}: {count_open() - before + len(leaked)} left open")
            leaked.clear()
            if world.session.waiting_calls:
                wrong.append(f"{name} {at}: still waiting")
    return wrong


each_error = pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)


@each_error
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_an_allowed_call(world, scenario, error, tmp_path):
    """What fails makes no Continue: in full mediation that would be another call than was decided."""
    world.under(ALLOWS, "full")
    assert await go_through(world, scenario, tmp_path, error, Failed | Returned | Installed) == []


@each_error
@pytest.mark.parametrize("scenario", REFUSABLE)
async def test_a_refused_call(world, scenario, error, tmp_path):
    world.under(REFUSES, "auto", guarded=True)
    assert await go_through(world, scenario, tmp_path, error, Failed) == []


@each_error
async def test_our_own_failures_are_told(world, error, tmp_path):
    """The policy's errno and an event, for everything that a connect needs before it is made."""
    world.under(ALLOWS)
    for place, name in ((FakeThread, "take"), (FakeThread, "read"), (FakeListener, "valid")):
        world.events.clear()
        (answer,) = await attempt(world, a_connect, tmp_path, place, name, Fault(error, 1))
        assert answer == Failed(errno.ENETUNREACH)
        assert world.only_event().how == "failed"


# What is known to be wrong.


async def test_a_socket_whose_kind_cannot_be_told(world, tmp_path):
    world.under(ALLOWS)
    await attempt(world, a_shutdown, tmp_path, sockets, "kind_of", Fault(ERRORS["bug"], 1))
    gc.collect()
    found = list(leaked)
    leaked.clear()
    assert found == []


@pytest.mark.parametrize(("place", "name"), [(FakeListener, "valid"), (FakeThread, "read_vectors")])
async def test_passed_descriptors_of_a_caller_that_goes_away(world, tmp_path, place, name):
    world.under(ALLOWS)
    await attempt(world, descriptors_to_a_pair, tmp_path, place, name, Fault(ERRORS["gone"], 1))
    gc.collect()
    found = list(leaked)
    leaked.clear()
    assert found == []
