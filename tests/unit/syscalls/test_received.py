"""Control messages on their way to a program: descriptors become its own, and all else stays as it is."""

import errno
import itertools
import os
import socket
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.abi.message import CMSGHDR
from supervisor.abi.socket import (
    MSG_CMSG_CLOEXEC,
    MSG_CTRUNC,
    MSG_TRUNC,
    SCM_CREDENTIALS,
    SCM_PIDFD,
    SCM_RIGHTS,
    SOL_SOCKET,
)
from supervisor.errors import TraceeGone
from supervisor.kernel import sockets
from supervisor.kernel.hostfd import HostFd, closer
from supervisor.kernel.inbox import Inbox
from supervisor.policy.engine import ALLOW_ALL
from supervisor.sockets.control import ControlMessage, pack_control, pack_rights, parse_control, parse_rights
from supervisor.syscalls.received import hand_over, holds_a_path
from supervisor.syscalls.session import Session
from supervisor.testing.call import make_call
from supervisor.testing.listener import FakeListener
from supervisor.testing.thread import FakeThread

OTHER = ControlMessage(SOL_SOCKET, SCM_CREDENTIALS, b"who it is..!")


class Program:
    """A call of a program that receives. `full_after` that many new descriptors, its table is full."""

    def __init__(self):
        self.thread = FakeThread()
        self.listener = FakeListener()
        self.call = make_call("recvmsg", Session("s", self.listener, ALLOW_ALL, "full", None, print), self.thread)

    def full_after(self, count):
        self.thread.limit = len(self.thread.table) + count

    def is_given(self, messages, flags=0, asked=0, *, cut=0):
        """Hand these messages over, the last `cut` bytes missing: the messages it gets, and the flags."""
        raw = pack_control(messages)
        control, flags = hand_over(self.call, raw[: len(raw) - cut], flags, asked)
        return parse_control(control), flags

    def file(self, number):
        return identity(self.thread.table[number].fileno())


@contextmanager
def receiving():
    program = Program()
    with program.thread:
        yield program
        program.call.close()


@pytest.fixture
def program():
    with receiving() as made:
        yield made


def files(count):
    """Descriptors of ours, as they have just been received: numbers, and what they are."""
    numbers = [os.memfd_create("received", os.MFD_CLOEXEC) for _ in range(count)]
    return numbers, [identity(number) for number in numbers]


def identity(number):
    status = os.fstat(number)
    return status.st_dev, status.st_ino


def rights(numbers):
    return ControlMessage(SOL_SOCKET, SCM_RIGHTS, pack_rights(numbers))


def pidfd(number):
    return ControlMessage(SOL_SOCKET, SCM_PIDFD, number.to_bytes(4, "little", signed=True))


def number_of(message):
    return int.from_bytes(message.data, "little", signed=True)


def are_closed(numbers):
    """Files whose close may hang are closed elsewhere: that is waited for."""
    closer.stop()
    return not any(os.path.lexists(f"/proc/self/fd/{number}") for number in numbers)


# What is no descriptor.


def test_nothing(program):
    assert hand_over(program.call, b"", MSG_TRUNC, 0) == (b"", MSG_TRUNC)


@pytest.mark.parametrize("raw", [
    pack_control([OTHER]), pack_control([OTHER])[:-4], pack_control([OTHER, OTHER]),
    CMSGHDR.pack(16, SOL_SOCKET, SCM_CREDENTIALS), CMSGHDR.pack(16, SOL_SOCKET, SCM_RIGHTS), bytes(7),
    CMSGHDR.pack(18, SOL_SOCKET, SCM_PIDFD) + b"\3\0",
    pack_control([ControlMessage(SOL_SOCKET + 1, SCM_RIGHTS, bytes(4))]),
])
def test_all_else_stays_as_it_is(program, raw):
    assert hand_over(program.call, raw, 0, 0) == (raw, 0)
    assert program.listener.given == []


@pytest.mark.parametrize("asked", [0, MSG_CMSG_CLOEXEC])
@pytest.mark.parametrize("flags", [0, MSG_CTRUNC | MSG_TRUNC])
def test_the_flag_is_told_to_who_gave_it(program, flags, asked):
    """It is always ours, and the kernel repeats it."""
    for raw in (b"", pack_control([OTHER])):
        assert hand_over(program.call, raw, flags | MSG_CMSG_CLOEXEC, asked)[1] == flags | asked


# Descriptors.


@pytest.mark.parametrize("asked", [0, MSG_CMSG_CLOEXEC])
def test_descriptors_become_the_programs(program, asked):
    numbers, expected = files(3)
    (message,), flags = program.is_given([rights(numbers)], asked=asked)
    theirs = parse_rights(message.data)
    assert [program.file(number) for number in theirs] == expected
    assert program.listener.given == [(number, os.O_CLOEXEC if asked else 0) for number in theirs]
    assert flags == asked
    assert are_closed(numbers)


def test_their_neighbours_stay_as_they_are(program):
    numbers, expected = files(2)
    result, _ = program.is_given([OTHER, rights(numbers), OTHER])
    assert (result[0], result[2]) == (OTHER, OTHER)
    assert [program.file(number) for number in parse_rights(result[1].data)] == expected


def test_padding_that_had_no_room_is_not_written(program):
    numbers, _ = files(3)
    raw = pack_control([rights(numbers)])[:-4]
    control, flags = hand_over(program.call, raw, 0, 0)
    assert (len(control), flags) == (28, 0)
    assert parse_rights(parse_control(control)[0].data) == [number for number, _ in program.listener.given]


@pytest.mark.parametrize("room", [0, 1, 2])
def test_what_no_longer_fits_is_dropped(program, room):
    numbers, expected = files(3)
    program.full_after(room)
    result, flags = program.is_given([OTHER, rights(numbers)])
    assert flags == MSG_CTRUNC
    assert result[0] == OTHER
    theirs = [number for message in result[1:] for number in parse_rights(message.data)]
    assert [program.file(number) for number in theirs] == expected[:room]
    assert len(result) == 1 + bool(room)  # a message of none is none
    assert are_closed(numbers)


def test_what_was_cut_before_stays_cut(program):
    numbers, _ = files(1)
    (_,), flags = program.is_given([rights(numbers)], MSG_CTRUNC)
    assert flags == MSG_CTRUNC


def test_a_path_that_slipped_in_ends_the_message(program):
    (one, last), (expected, _) = files(2)
    path = os.open("/", os.O_PATH | os.O_CLOEXEC)
    (message,), flags = program.is_given([rights([one, path, last])])
    (number,) = parse_rights(message.data)
    assert (program.file(number), flags) == (expected, MSG_CTRUNC)
    assert are_closed((one, path, last))


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.ENOMEM])
def test_whatever_else_the_kernel_says_ends_it_too(program, monkeypatch, code):
    """scm_detach_fds: `if (err < 0) break`."""
    numbers, _ = files(2)
    monkeypatch.setattr(program.listener, "give", fails_at(program.listener.give, 1, OSError(code, "no")))
    (message,), flags = program.is_given([rights(numbers)])
    assert (len(parse_rights(message.data)), flags) == (1, MSG_CTRUNC)


# The sender's pidfd.


@pytest.mark.parametrize("asked", [0, MSG_CMSG_CLOEXEC])
def test_a_pidfd_always_closes_on_exec(program, asked):
    (number,), (expected,) = files(1)
    (message,), flags = program.is_given([pidfd(number)], asked=asked)
    assert (message.level, message.type) == (SOL_SOCKET, SCM_PIDFD)
    assert program.file(number_of(message)) == expected
    assert program.listener.given == [(number_of(message), os.O_CLOEXEC)]
    assert flags == asked
    assert are_closed([number])


def test_a_pidfd_without_room_is_an_error_in_its_place(program):
    """scm_pidfd_recv: the message says why, and nothing is truncated."""
    numbers, _ = files(1)
    program.full_after(0)
    assert program.is_given([pidfd(*numbers)]) == ([pidfd(-errno.EMFILE)], 0)


@pytest.mark.parametrize("code", [-1, -errno.ESRCH, -errno.EINVAL])
def test_an_error_in_the_place_of_a_pidfd(program, code):
    assert program.is_given([pidfd(code)]) == ([pidfd(code)], 0)
    numbers, _ = files(1)
    result, _ = program.is_given([rights(numbers), pidfd(code)])
    assert result[1] == pidfd(code)


def test_descriptors_and_a_pidfd_where_one_has_room(program):
    numbers, expected = files(3)
    program.full_after(1)
    (message, last), flags = program.is_given([rights(numbers[:2]), pidfd(numbers[2])])
    (number,) = parse_rights(message.data)
    assert (program.file(number), last, flags) == (expected[0], pidfd(-errno.EMFILE), MSG_CTRUNC)


# Nothing leaks.


def fails_at(function, at, error):
    calls = itertools.count()

    def called(*arguments):
        if next(calls) == at:
            raise error
        return function(*arguments)

    return called


@pytest.mark.parametrize("error", [TraceeGone(), OSError(errno.EIO, "no"), RuntimeError("no")], ids=repr)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_failure_in_the_middle(program, monkeypatch, at, error):
    numbers, _ = files(4)
    monkeypatch.setattr(program.listener, "give", fails_at(program.listener.give, at, error))
    try:
        program.is_given([rights(numbers[:2]), OTHER, rights(numbers[2:])])
    except type(error):
        pass
    assert are_closed(numbers)


def test_a_call_that_is_gone(program):
    numbers, _ = files(3)
    program.listener.forget_all()
    with pytest.raises(TraceeGone):
        program.is_given([rights(numbers[:2]), pidfd(numbers[2])])
    assert are_closed(numbers)


def test_a_file_whose_close_may_hang_is_closed_elsewhere(program):
    number = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    with HostFd(os.dup(number)) as copy:
        assert not sockets.closes_at_once(copy)
    program.is_given([rights([number])])
    assert are_closed([number])


# Looking before.


def test_a_path_is_seen_wherever_it_is():
    for place in range(3):
        numbers, _ = files(2)
        numbers.insert(place, os.open("/", os.O_PATH | os.O_CLOEXEC))
        assert holds_a_path(pack_control([OTHER, rights(numbers[:2]), rights(numbers[2:])]))
        assert are_closed(numbers)


def test_no_path_is_seen_where_none_is():
    numbers, _ = files(3)
    assert not holds_a_path(b"")
    assert not holds_a_path(pack_control([OTHER, pidfd(-errno.ESRCH)]))
    assert not holds_a_path(pack_control([rights(numbers[:2]), pidfd(numbers[2])]))
    assert are_closed(numbers)


# Whatever comes.


anything = st.builds(
    ControlMessage, st.sampled_from([0, SOL_SOCKET, 41, 270]), st.integers(5, 90), st.binary(max_size=40)
)
shapes = st.lists(anything | st.integers(0, 6).map(lambda count: ("rights", count)) | st.just(("pidfd", 1)), max_size=6)


@settings(max_examples=200, deadline=None)
@given(shapes, st.integers(0, 20), st.sampled_from([0, MSG_CMSG_CLOEXEC]), st.sampled_from([0, MSG_CTRUNC, MSG_TRUNC]))
def test_any_messages(messages, room, asked, flags):
    ours, sent, expected = [], [], []
    for message in messages:
        if isinstance(message, ControlMessage):
            sent.append(message)
            continue
        numbers, identities = files(message[1])
        ours += numbers
        expected += identities
        sent.append(pidfd(*numbers) if message[0] == "pidfd" else rights(numbers))
    with receiving() as program:
        program.full_after(room)
        result, told = program.is_given(sent, flags | MSG_CMSG_CLOEXEC, asked)
        # What is no descriptor is as it was, in its place.
        mine = (SCM_RIGHTS, SCM_PIDFD)
        assert [each for each in result if each.type not in mine] == [each for each in sent if each.type not in mine]
        # As many as there is room for are given, in their order, and the numbers say where they are.
        said = [
            number for message in result if message.type in mine for number in parse_rights(message.data) if number >= 0
        ]
        assert said == [number for number, _ in program.listener.given]
        assert [program.file(number) for number in said] == expected[:room]
        # The flags tell of it.
        lost = any(
            len(parse_rights(message.data)) > len(parse_rights(kept.data)) for message, kept in paired(sent, result)
        )
        assert told == flags | asked | (MSG_CTRUNC if lost else 0)
        # What was a pidfd is one, or says why not.
        assert all(number_of(message) in said or number_of(message) == -errno.EMFILE
                   for message in result if message.type == SCM_PIDFD)
    assert are_closed(ours)


def paired(sent, result):
    """Each SCM_RIGHTS that was sent, and what is left of it; descriptors are lost from the end."""
    kept = [message for message in result if message.type == SCM_RIGHTS]
    for message in sent:
        if message.type == SCM_RIGHTS and parse_rights(message.data):
            yield message, kept.pop(0) if kept else rights([])
        elif message.type == SCM_RIGHTS:
            kept.pop(0)


# And with the kernel's own messages.


def test_what_the_kernel_made_of_it(program):
    ours, theirs = socket.socketpair()
    numbers, expected = files(3)
    with theirs, HostFd(ours.detach()) as fd:
        socket.send_fds(theirs, [b"x"], numbers)
        for number in numbers:
            os.close(number)
        got = Inbox().receive(fd, 9, control=64, has_control=True, flags=MSG_CMSG_CLOEXEC)
        control, flags = hand_over(program.call, got.control, got.flags, 0)
    (message,) = parse_control(control)
    assert [program.file(number) for number in parse_rights(message.data)] == expected
    assert (flags, len(control)) == (0, socket.CMSG_SPACE(12))
