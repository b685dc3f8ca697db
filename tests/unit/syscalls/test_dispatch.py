"""From a notification to its one answer."""

import errno
import socket

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from supervisor.errors import CannotServe, SyscallError, TraceeGone
from supervisor.kernel.hostfd import HostFd
from supervisor.policy.verdict import Verdict
from supervisor.syscalls import dispatch as module
from supervisor.syscalls.call import Denied
from supervisor.syscalls.reply import ERESTARTSYS, Continue, Fail, InstallFd, Later, Value
from supervisor.syscalls.table import Row
from tests.unit.syscalls.stage import Continued, Failed, Installed, Returned, tcp

RULES = 'default = "allow"\nerrno = "ENETUNREACH"'
LISTEN = module.libc.ARCHITECTURE.calls["listen"]


@pytest.fixture
def handle(world, monkeypatch):
    """Let a function handle listen(2), which gets the call; a program that calls it."""

    def use(function):
        world.under(RULES)
        monkeypatch.setitem(module.ROWS_BY_NUMBER, LISTEN, Row("listen", "Fi", lambda call, _fd, _n: function(call)))

    return use


def raising(error):
    def handler(_call):
        raise error

    return handler


def raising_later(error):
    async def run():
        await trio.lowlevel.checkpoint()
        raise error

    return lambda _call: Later(run)


both = pytest.mark.parametrize("way", [raising, raising_later])


# Errors.


@both
async def test_the_programs_errno(world, handle, way):
    handle(way(SyscallError(errno.ENOBUFS)))
    assert await world.call("listen") == Failed(errno.ENOBUFS)
    assert world.session.refusals == 0


@both
async def test_the_policys_errno(world, handle, way):
    handle(way(Denied(Verdict(False, "rule", errno.EHOSTUNREACH))))
    assert await world.call("listen") == Failed(errno.EHOSTUNREACH)
    assert world.session.refusals == 1


@both
@pytest.mark.parametrize("error", [
    OSError(errno.EPERM, "no"), OSError(errno.EIO, "no"), RuntimeError("no"), AssertionError(), KeyError("no"),
    MemoryError(), RecursionError(), CannotServe("no"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"),
    ExceptionGroup("several", [ValueError("no")]),
], ids=repr)
async def test_our_own_failure_is_the_policys_errno(world, handle, way, error):
    handle(way(error))
    assert await world.call("listen") == Failed(errno.ENETUNREACH)
    event = world.only_event()
    assert (event.how, event.errno) == ("failed", errno.ENETUNREACH)
    assert ("no" in event.note) or type(error).__name__ in event.note


@both
async def test_our_own_failure_says_where(world, handle, way):
    handle(way(ValueError("odd")))
    await world.call("listen")
    assert world.only_event().note.startswith("ValueError: odd (test_dispatch.py:")


@both
async def test_a_caller_that_is_gone_has_no_answer(world, handle, way):
    def gone(call):
        world.listener.forget(call.ident)
        return way(TraceeGone())(call)

    handle(gone)
    assert await world.call("listen") is None
    assert world.events == []


@both
async def test_a_thread_that_cannot_be_seen_but_still_waits_is_answered(world, handle, way):
    handle(way(TraceeGone()))
    assert await world.call("listen") == Failed(errno.ENETUNREACH)
    assert world.only_event().how == "failed"


@pytest.mark.parametrize(("options", "says"), [
    ({"nr": 9999}, "9999"), ({"nr": -1}, "-1"), ({"arch": 0x40000003}, "0x40000003"), ({"pid": 0}, "pid namespace"),
])
async def test_what_is_none_of_our_calls(world, options, says):
    world.under(RULES)
    assert await world.call("socket", 2, 1, 0, **options) == Failed(errno.ENETUNREACH)
    assert says in world.only_event().note


# Replies.


async def test_replies(world, handle):
    for reply, answer in ((Value(7), Returned(7)), (Fail(13), Failed(13)), (Continue(), Continued())):
        handle(lambda _, reply=reply: reply)
        assert await world.call("listen") == answer


async def test_a_descriptor(world, handle):
    def give(call):
        call.owned.append(HostFd(socket.socket().detach()))
        return InstallFd(call.owned[0], 0)

    handle(give)
    assert await world.call("listen") == Installed(3, 0)


async def test_copies_are_let_go_before_the_answer(world, handle, monkeypatch):
    states = []
    monkeypatch.setattr(world.listener, "answer_value", lambda _ident, _value: states.append(taken[0].closed))
    taken = []

    def keep(call):
        with tcp() as sock:
            taken.append(call.take_socket(world.open(sock))[0])
        return Value(0)

    handle(keep)
    await world.call("listen")
    assert states == [True]


async def test_an_answer_that_comes_too_late(world, handle):
    def late(call):
        call.wants_event = True
        world.listener.forget(call.ident)
        return Value(0)

    handle(late)
    assert await world.call("listen") is None
    assert "gone" in world.only_event().note


async def test_an_answer_that_the_kernel_does_not_take(world, handle, monkeypatch):
    """Then the policy's errno is."""
    def refuse(_ident, _value):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(world.listener, "answer_value", refuse)
    handle(lambda _: Value(0))
    assert await world.call("listen") == Failed(errno.ENETUNREACH)
    monkeypatch.setattr(world.listener, "answer_error", refuse)
    assert await world.call("listen") is None


@both
async def test_a_report_that_fails_ends_nothing(world, handle, way, monkeypatch):
    handle(way(ValueError()))
    monkeypatch.setattr(world.session, "report", raising(OSError(errno.ENOSPC, "full")))
    assert await world.call("listen") == Failed(errno.ENETUNREACH)
    assert world.session.unrecorded == 1
    handle(lambda _: Value(0))
    assert await world.call("listen") == Returned(0)


async def test_calls_are_counted(world, handle):
    handle(lambda _: Value(0))
    await world.call("listen")
    await world.call("listen", nr=9999)
    assert world.session.calls == {"listen": 1, "syscall-9999": 1}


# Waiting.


@pytest.fixture
def door():
    return trio.Event()


@pytest.fixture
def waiting(handle, door):
    """listen(2) waits at a door, and what a signal makes of it."""

    async def run():
        await door.wait()
        return Value(1)

    handle(lambda _: Later(run))


async def test_one_that_ends(world, waiting, door):
    async with trio.open_nursery() as nursery:
        ident = world.start(nursery, "listen")
        assert world.session.waiting_calls == 1
        await wait_all_tasks_blocked()
        assert world.listener.answer_to(ident) == []
        door.set()
    assert world.listener.answer_to(ident) == [Returned(1)]
    assert world.session.waiting_calls == 0


async def test_one_that_a_signal_is_meant_for(world, waiting, autojump_clock):
    async def interrupt():
        await trio.sleep(1)
        world.thread.letter = "D"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(interrupt)
        assert await world.call("listen") == Failed(ERESTARTSYS)
    assert world.session.waiting_calls == 0


async def test_what_the_call_says_to_a_signal(world, handle, autojump_clock):
    world.thread.letter = "D"
    handle(lambda _: Later(trio.sleep_forever, lambda: Value(5)))
    assert await world.call("listen") == Returned(5)


async def test_a_thread_that_ends(world, waiting, autojump_clock):
    async with trio.open_nursery() as nursery:
        ident = world.start(nursery, "listen")
        await wait_all_tasks_blocked()
        world.thread.end()
        world.listener.forget(ident)
    assert world.listener.answers == []
    assert world.session.waiting_calls == 0


async def test_a_call_that_a_signal_took_away(world, waiting, autojump_clock):
    """Without WAIT_KILLABLE_RECV."""
    async with trio.open_nursery() as nursery:
        ident = world.start(nursery, "listen")
        await wait_all_tasks_blocked()
        world.listener.forget(ident)
    assert world.listener.answers == []


async def test_a_watch_that_fails(world, waiting, monkeypatch, autojump_clock):
    monkeypatch.setattr(type(world.thread), "pidfd", raising(OSError(errno.EMFILE, "Too many open files")))
    assert await world.call("listen") == Failed(errno.ENETUNREACH)
    assert world.only_event().how == "failed"


async def test_the_end_of_the_daemon(world, handle):
    taken = []

    def keep(call):
        with tcp() as sock:
            taken.append(call.take_socket(world.open(sock))[0])
        return Later(trio.sleep_forever)

    handle(keep)
    async with trio.open_nursery() as nursery:
        world.start(nursery, "listen")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert taken[0].closed
    assert world.listener.answers == []
    assert world.session.waiting_calls == 0
