"""The fakes are held to what the real things do: every check here runs on both."""

import ctypes
import errno
import fcntl
import os
import resource
import socket

import pytest

from supervisor.errors import SyscallError, TraceeGone
from supervisor.kernel import process
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.identity import Credentials
from supervisor.sockets.address import Inet4
from supervisor.syscalls.call import Call
from supervisor.testing.listener import Continued, Failed, FakeListener, Installed, Returned
from supervisor.testing.memory import PAGE
from supervisor.testing.thread import FakeStateFile, FakeThread
from supervisor.tracee.thread import StateFile, Thread
from tests.unit.kernel.puppet import GETPPID, Puppet, Trapped, until
from tests.unit.kernel.test_process import start_thread
from tests.unit.syscalls.stage import World
from tests.unit.tracee.test_thread import look, two_pages

_BYTE = ctypes.create_string_buffer(b"x")


class RealProgram:
    """A child that waits."""

    def __init__(self, puppet):
        self.puppet = puppet
        self.thread = Thread(puppet.pid)

    def page_before_gap(self):
        return self.puppet.do(two_pages)

    def read_only(self):
        return self.puppet.do(read_only_page)

    def look(self, address, length):
        return self.puppet.do(look, address, length)

    def open_socket(self):
        return self.puppet.do(open_socket)

    def open_file(self):
        return self.puppet.do(os.open, "/dev/zero", os.O_RDONLY)

    def close_fd(self, number):
        self.puppet.do(os.close, number)

    def add_thread(self):
        self.puppet.do(start_thread, False)

    def fill_table(self):
        self.puppet.do(fill_table)

    def expected_tgid(self):
        return self.puppet.pid

    def state(self):
        self.puppet.wait_for_state("S")
        return StateFile(self.puppet.pid)

    def end(self):
        self.puppet.kill()


class FakeProgram:
    """The same, made up."""

    def __init__(self, thread):
        self.thread = thread

    def page_before_gap(self):
        return self.thread.memory.put(b"a" * PAGE)

    def read_only(self):
        address = self.thread.memory.put(b"r" * PAGE)
        self.thread.memory.protect(address)
        return address

    def look(self, address, length):
        return self.thread.memory.read(address, length)

    def open_socket(self):
        with socket.socket() as sock:
            return self.thread.open(sock)

    def open_file(self):
        with open("/dev/zero", "rb") as file:
            return self.thread.open(file)

    def close_fd(self, number):
        self.thread.close_fd(number)

    def add_thread(self):
        self.thread.facts = self.thread.facts._replace(threads=2)

    def fill_table(self):
        self.thread.limit = len(self.thread.table)

    def expected_tgid(self):
        return self.thread.tid

    def state(self):
        return FakeStateFile(self.thread)

    def end(self):
        self.thread.end()


@pytest.fixture(params=["real", "fake"])
def program(request):
    if request.param == "fake":
        with FakeThread() as thread:
            yield FakeProgram(thread)
        return
    with Puppet() as puppet:
        made = RealProgram(puppet)
        yield made
        made.thread.close()


def read_only_page():
    address = two_pages()
    ctypes.memset(address, 0x72, PAGE)
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), PAGE, 1) == 0
    return address


def open_socket():
    return socket.socket().detach()


def fill_table():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, hard))
    while True:
        try:
            os.open("/dev/null", os.O_RDONLY)
        except OSError:
            return


def open_path():
    return HostFd(os.open("/dev/null", os.O_PATH | os.O_CLOEXEC))


def closes_on_exec(number):
    return bool(fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC)


def code_of(call, *arguments):
    with pytest.raises(SyscallError) as caught:
        call(*arguments)
    return caught.value.errno


# Memory.


def test_what_is_read(program):
    address, thread = program.page_before_gap(), program.thread
    assert thread.read(address, 3) == b"aaa"
    assert thread.read(address, PAGE) == b"a" * PAGE
    assert code_of(thread.read, address + 1, PAGE) == errno.EFAULT
    assert code_of(thread.read, address + PAGE, 1) == errno.EFAULT
    assert code_of(thread.read, 0, 1) == errno.EFAULT
    assert thread.read(0, 0) == b""


def test_what_is_read_of_several_ranges(program):
    address, thread = program.page_before_gap(), program.thread
    assert thread.read_vectors([(address, 2), (address, 0), (address, 1)]) == b"aaa"
    assert thread.read_vectors([(address, 2), (address + PAGE - 1, 4), (address, 9)]) == b"aaa"
    assert thread.read_vectors([(address, 2), (8, 1), (address, 9)]) == b"aa"
    assert code_of(thread.read_vectors, [(8, 2), (address, 1)]) == errno.EFAULT


def test_what_is_written(program):
    address, thread = program.page_before_gap(), program.thread
    thread.write(address, b"b")
    assert code_of(thread.write, address + PAGE - 2, b"ccc") == errno.EFAULT
    assert program.look(address + PAGE - 3, 3) == b"acc"
    assert program.look(address, 2) == b"ba"
    thread.write(0, b"")
    assert code_of(thread.write, 0, b"x") == errno.EFAULT
    locked = program.read_only()
    assert code_of(thread.write, locked, b"x") == errno.EFAULT
    assert thread.read(locked, 1) == b"r"


def test_what_is_written_to_several_ranges(program):
    address, thread = program.page_before_gap(), program.thread
    source = ctypes.create_string_buffer(b"0123456789")
    at = ctypes.addressof(source)
    assert thread.write_vectors([(address, 2), (address, 0), (address + 4, 3)], at, 5) == 5
    assert program.look(address, 8) == b"01aa234a"
    assert thread.write_vectors([(address, 9)], at, 3) == 3
    assert thread.write_vectors([(address, 2)], at, 9) == 2
    assert thread.write_vectors([(address, 2), (8, 2), (address + 4, 2)], at, 6) == 2
    assert thread.write_vectors([(address + PAGE - 2, 4), (address, 4)], at, 8) == 2
    assert program.look(address + PAGE - 3, 3) == b"a01"
    assert thread.write_vectors([(8, 2), (address, 2)], at, 4) == 0
    assert thread.write_vectors([(program.read_only(), 2)], at, 2) == 0
    assert thread.write_vectors([(8, 2)], at, 0) == 0


def test_what_may_be_written(program):
    address, locked, thread = program.page_before_gap(), program.read_only(), program.thread
    assert thread.can_write([])
    assert thread.can_write([(address, PAGE)])
    assert thread.can_write([(address, 1), (8, 0), (address + PAGE - 1, 1)])
    for bad in ((address, PAGE + 1), (address + PAGE, 1), (locked, 1), (8, 8), (8, 1 << 62), ((1 << 64) - 8, 16)):
        assert not thread.can_write([bad])
        assert not thread.can_write([(address, 1), bad])


# Descriptors.


def test_what_is_taken(program):
    thread = program.thread
    with thread.take(program.open_file()) as fd:
        assert os.readlink(f"/proc/self/fd/{fd.fileno()}") == "/dev/zero"
        assert not os.get_inheritable(fd.fileno())
    number = program.open_socket()
    with thread.take(number) as one, thread.take(number) as other:
        assert one.fileno() != other.fileno()
    program.close_fd(number)
    assert code_of(thread.take, number) == errno.EBADF
    assert code_of(thread.take, -1) == errno.EBADF
    assert code_of(thread.take, 12345) == errno.EBADF


def test_what_a_handler_takes(program):
    """EBADF and ENOTSOCK, through `Call`."""
    call = Call.__new__(Call)
    call.thread, call.owned, call.kind = program.thread, [], None
    assert code_of(call.take_socket, 12345) == errno.EBADF
    assert code_of(call.take_socket, program.open_file()) == errno.ENOTSOCK
    _, kind = call.take_socket(program.open_socket())
    assert kind == (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    call.let_go()


def test_a_full_table(program):
    program.open_file()
    assert not program.thread.table_is_full()
    program.fill_table()
    assert program.thread.table_is_full()


# Who it is.


def test_who_it_is(program):
    status = program.thread.status()
    assert (status.tgid, status.threads) == (program.expected_tgid(), 1)
    assert status.uids == (os.geteuid(),) * 4
    assert program.thread.credentials() == status.credentials
    assert program.thread.status() is status
    assert program.thread.executable()
    assert program.thread.shares_namespace("user")
    assert program.thread.shares_namespace("mnt")
    assert program.thread.shares_namespace("pid")


def test_alone(program):
    assert program.thread.is_alone()
    program.add_thread()
    assert not program.thread.is_alone()


def test_the_pidfd_is_opened_once_and_closed(program):
    pidfd = program.thread.pidfd()
    assert program.thread.pidfd() is pidfd
    program.thread.close()
    assert pidfd.closed


def test_its_state(program):
    state = program.state()
    assert state.letter() == "S"
    program.end()
    with pytest.raises(TraceeGone):
        state.letter()
    state.close()
    with pytest.raises(TraceeGone):
        type(state)(program.thread if isinstance(state, FakeStateFile) else program.thread.tid)


def test_a_thread_that_is_gone(program):
    program.end()
    thread = program.thread
    for attempt in (
        thread.status, thread.credentials, thread.pidfd, thread.send_sigpipe, lambda: thread.take(0),
        lambda: thread.read(4096, 1), lambda: thread.read_vectors([(4096, 1)]), lambda: thread.write(4096, b"x"),
        lambda: thread.write_vectors([(4096, 1)], ctypes.addressof(_BYTE), 1),
    ):
        with pytest.raises(TraceeGone):
            attempt()
    assert not thread.can_write([(4096, 1)])
    assert not thread.is_alone()
    assert not thread.table_is_full()
    assert not thread.shares_namespace("user")
    assert thread.executable() == ""


# The listener.


class RealCall:
    """A puppet in a trapped call."""

    def __init__(self, puppet):
        self.puppet = puppet
        self.listener = puppet.listener
        self.ident = puppet.call().id
        self.own_result = os.getpid()

    def again(self):
        return self.puppet.call().id

    def result(self):
        return self.puppet.result()

    def fill_table(self):
        self.listener.answer_value(self.ident, 0)
        self.puppet.result()
        self.puppet.do(fill_table)
        self.ident = self.again()

    def closes_on_exec(self, number):
        return self.puppet.do(closes_on_exec, number)

    def go_away(self):
        self.puppet.kill()


class FakeCall:
    """A fake thread in a call."""

    own_result = Continued()

    def __init__(self, thread):
        self.thread = thread
        self.listener = FakeListener()
        self.ident = self.again()

    def again(self):
        return self.listener.begin(self.thread)

    def result(self):
        match self.listener.answers[-1][1]:
            case Returned(value) | Installed(value, _):
                return value
            case Failed(code):
                return -code
            case answer:
                return answer

    def fill_table(self):
        self.thread.limit = 0

    def closes_on_exec(self, number):
        return dict(self.listener.given)[number] == os.O_CLOEXEC

    def go_away(self):
        self.listener.forget_all()


@pytest.fixture(params=["real", "fake"])
def stopped(request):
    if request.param == "fake":
        with FakeThread() as thread:
            yield FakeCall(thread)
        return
    if not GETPPID:
        pytest.skip("needs a machine whose getppid is known")
    with Trapped() as puppet:
        yield RealCall(puppet)


@pytest.mark.parametrize(("answer", "argument", "result"), [
    ("answer_value", 7, 7), ("answer_error", errno.EPERM, -errno.EPERM), ("answer_value", 0, 0),
])
def test_an_answer_is_given_once(stopped, answer, argument, result):
    listener = stopped.listener
    assert listener.valid(stopped.ident)
    assert not listener.valid(stopped.ident + 1)
    getattr(listener, answer)(stopped.ident, argument)
    assert stopped.result() == result
    assert not listener.valid(stopped.ident)
    for again in (
        lambda: listener.answer_value(stopped.ident, 1), lambda: listener.answer_error(stopped.ident, 1),
        lambda: listener.answer_continue(stopped.ident),
    ):
        with pytest.raises(TraceeGone):
            again()


def test_the_kernel_goes_on(stopped):
    stopped.listener.answer_continue(stopped.ident)
    assert stopped.result() == stopped.own_result
    assert not stopped.listener.valid(stopped.ident)


def test_calls_have_ids_of_their_own(stopped):
    stopped.listener.answer_value(stopped.ident, 1)
    stopped.result()
    second = stopped.again()
    assert second != stopped.ident
    assert stopped.listener.valid(second)
    stopped.listener.answer_value(second, 2)
    assert stopped.result() == 2


def test_a_descriptor_is_installed_and_is_the_answer(stopped):
    with HostFd(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)) as fd:
        number = stopped.listener.install(stopped.ident, fd, os.O_CLOEXEC)
        assert stopped.result() == number
        with pytest.raises(TraceeGone):
            stopped.listener.install(stopped.ident, fd, 0)


def test_descriptors_are_given_before_the_answer(stopped):
    listener = stopped.listener
    with HostFd(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)) as fd:
        one = listener.give(stopped.ident, fd, os.O_CLOEXEC)
        other = listener.give(stopped.ident, fd, 0)
    assert one != other
    assert listener.valid(stopped.ident)
    listener.answer_value(stopped.ident, 7)
    assert stopped.result() == 7
    assert stopped.closes_on_exec(one)
    assert not stopped.closes_on_exec(other)


def test_what_is_not_given(stopped):
    listener = stopped.listener
    with open_path() as path, pytest.raises(OSError, match="Bad file") as caught:
        listener.give(stopped.ident, path, 0)
    assert caught.value.errno == errno.EBADF
    stopped.fill_table()
    with HostFd(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)) as fd:
        with pytest.raises(OSError, match="many") as caught:
            listener.give(stopped.ident, fd, 0)
        assert caught.value.errno == errno.EMFILE
        listener.answer_value(stopped.ident, 7)
        assert stopped.result() == 7
        with pytest.raises(TraceeGone):
            listener.give(stopped.ident, fd, 0)


def test_a_listener_whose_calls_no_signal_takes(stopped):
    assert stopped.listener.killable


def test_a_full_table_is_no_answer(stopped):
    stopped.fill_table()
    with HostFd(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)) as fd, pytest.raises(OSError, match="many") as caught:
        stopped.listener.install(stopped.ident, fd, 0)
    assert caught.value.errno == errno.EMFILE
    assert stopped.listener.valid(stopped.ident)
    stopped.listener.answer_error(stopped.ident, errno.EMFILE)
    assert stopped.result() == -errno.EMFILE


def test_a_call_that_went_away(stopped):
    stopped.go_away()
    until(lambda: not stopped.listener.valid(stopped.ident))
    with pytest.raises(TraceeGone):
        stopped.listener.answer_value(stopped.ident, 1)
    with HostFd(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)) as fd, pytest.raises(TraceeGone):
        stopped.listener.install(stopped.ident, fd, 0)


# What only the fakes have.


def test_capabilities_of_another_user_namespace():
    with FakeThread() as thread:
        thread.become(Credentials(0, 0, (), 7))
        assert thread.credentials().capabilities == 7
        thread.namespaces.remove("user")
        assert thread.credentials() == Credentials(0, 0, (), 0)


def test_fakes_of_a_hidden_thread():
    from supervisor.errors import CannotServe

    with FakeThread() as thread:
        thread.hide()
        for attempt in (
            lambda: thread.read(1, 1), lambda: thread.write(1, b"x"), lambda: thread.take(0),
            lambda: thread.write_vectors([(1, 1)], ctypes.addressof(_BYTE), 1),
        ):
            with pytest.raises(CannotServe, match=str(thread.tid)):
                attempt()


def test_data_before_a_gap():
    with FakeThread() as thread:
        address = thread.memory.put_before_gap(b"abc")
        assert thread.read(address, 3) == b"abc"
        assert code_of(thread.read, address, 4) == errno.EFAULT


async def test_the_stage(world):
    assert isinstance(world, World)
    with socket.socket() as sock:
        fd = world.open(sock)
        assert await world.call("connect", fd, *world.address(Inet4(0x7F000001, 1))) == Continued()
    assert process.PIDFD_THREAD
