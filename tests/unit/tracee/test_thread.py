"""A thread of a program that does nothing but wait: what is read through it, and what is told when that fails."""

import ctypes
import errno
import mmap
import os
import signal

import pytest

from supervisor.errors import CannotServe, SyscallError, TraceeGone
from supervisor.kernel import libc, process, seccomp
from supervisor.tracee import thread as module
from supervisor.tracee.thread import StateFile, Thread
from tests.unit.kernel.puppet import NOBODY, Puppet, become, missing, until
from tests.unit.kernel.test_process import end_thread, pending_of, start_thread

PAGE = mmap.PAGESIZE


@pytest.fixture
def program():
    with Puppet() as puppet:
        yield puppet


@pytest.fixture
def thread(program):
    thread = Thread(program.pid)
    yield thread
    thread.close()


@pytest.fixture
def gone():
    """A thread that was there when it called."""
    with Puppet() as puppet:
        thread = Thread(puppet.pid)
        puppet.kill()
        yield thread
        thread.close()


@pytest.fixture
def stranger(program):
    """A process that may not look into the program."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with Puppet() as puppet:
        puppet.do(become, NOBODY)
        yield puppet


def two_pages():
    """The address of a page of "a"s, before one that is not mapped."""
    address = libc.mmap(None, 2 * PAGE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    libc.munmap(address + PAGE, PAGE)
    ctypes.memset(address, 0x61, PAGE)
    return address


def look(address, length):
    return ctypes.string_at(address, length)


def code_of(call, *arguments):
    with pytest.raises(SyscallError) as caught:
        call(*arguments)
    return caught.value.errno


def failure(method, pid, *arguments):
    """What a method raises for another process's thread: the name of its class, and its text."""
    thread = Thread(pid)
    try:
        getattr(thread, method)(*arguments)
    except Exception as error:
        return type(error).__name__, str(error)
    finally:
        thread.close()
    return "", ""


# Memory.


def test_all_or_nothing_is_read(program, thread):
    address = program.do(two_pages)
    assert thread.read(address, 3) == b"aaa"
    assert thread.read(address, PAGE) == b"a" * PAGE
    assert code_of(thread.read, address + 1, PAGE) == errno.EFAULT
    assert code_of(thread.read, 0, 1) == errno.EFAULT
    assert thread.read(0, 0) == b""


def test_ranges_are_read_as_far_as_they_go(program, thread):
    address = program.do(two_pages)
    assert thread.read_vectors([(address, 2), (address + PAGE - 1, 4), (address, 9)]) == b"aaa"
    assert code_of(thread.read_vectors, [(8, 2), (address, 1)]) == errno.EFAULT


@pytest.mark.parametrize("ranges", [[], [(0, 0)], [(0, 0), (8, 0)]])
def test_ranges_of_nothing(thread, ranges):
    assert thread.read_vectors(ranges) == b""


def test_what_fits_is_written(program, thread):
    address = program.do(two_pages)
    thread.write(address, b"b")
    assert code_of(thread.write, address + PAGE - 2, b"ccc") == errno.EFAULT
    assert program.do(look, address + PAGE - 3, 3) == b"acc"
    assert program.do(look, address, 2) == b"ba"
    thread.write(0, b"")
    assert code_of(thread.write, 0, b"x") == errno.EFAULT


# Descriptors.


def test_taking_a_descriptor(program, thread):
    number = program.do(os.open, "/dev/zero", os.O_RDONLY)
    with thread.take(number) as fd:
        assert os.readlink(f"/proc/self/fd/{fd.fileno()}") == "/dev/zero"
    assert code_of(thread.take, 12345) == errno.EBADF


@pytest.fixture
def without_thread_pidfds(monkeypatch):
    """A kernel before 6.9."""
    open_pidfd = process.open_pidfd

    def refuse(pid, flags=0):
        if flags & process.PIDFD_THREAD:
            raise OSError(errno.EINVAL, "Invalid argument")
        return open_pidfd(pid, flags)

    monkeypatch.setattr(module, "_thread_pidfds", True)
    monkeypatch.setattr(process, "open_pidfd", refuse)


def test_a_thread_with_a_table_of_its_own(program):
    tid, number = program.do(start_thread, True)
    thread = Thread(tid)
    try:
        with thread.take(number) as fd:
            assert os.readlink(f"/proc/self/fd/{fd.fileno()}") == "/dev/zero"
    except CannotServe:
        missing("PIDFD_THREAD")
    finally:
        thread.close()


def test_an_older_kernel_reaches_the_shared_table(program, without_thread_pidfds):
    tid, number = program.do(start_thread, False)
    for _ in range(2):
        thread = Thread(tid)
        with thread.take(number) as fd:
            assert os.readlink(f"/proc/self/fd/{fd.fileno()}") == "/dev/zero"
        thread.close()
        assert module._thread_pidfds is False


def test_an_older_kernel_does_not_reach_a_threads_own_table(program, without_thread_pidfds):
    tid, number = program.do(start_thread, True)
    with pytest.raises(CannotServe, match="table of its own"):
        Thread(tid).take(number)


def test_an_older_kernel_and_a_thread_that_is_gone(gone, without_thread_pidfds):
    with pytest.raises(TraceeGone):
        gone.take(0)


def test_the_pidfd_is_opened_once_and_closed(program):
    thread = Thread(program.pid)
    pidfd = thread.pidfd()
    assert thread.pidfd() is pidfd
    thread.close()
    assert pidfd.closed


# Who it is.


def test_status_and_credentials(program, thread):
    status = thread.status()
    assert (status.tgid, status.threads) == (program.pid, 1)
    assert thread.credentials().uid == os.geteuid()
    assert thread.status() is status


def test_a_thread_and_its_process(program):
    tid, _ = program.do(start_thread, False)
    assert Thread(tid).status().tgid == program.pid
    assert Thread(tid).status().threads == 2


def test_alone(program, thread):
    assert thread.is_alone()
    tid, _ = program.do(start_thread, False)
    assert not thread.is_alone()
    assert not Thread(tid).is_alone()
    program.do(end_thread, tid)
    until(thread.is_alone)


def test_its_program(thread):
    assert thread.executable() == os.readlink("/proc/self/exe")


# Those that are gone.


def test_a_thread_that_is_gone(gone):
    for attempt in (
        gone.status, gone.credentials, gone.pidfd, gone.send_sigpipe, lambda: gone.take(0), lambda: gone.read(4096, 1),
        lambda: gone.read_vectors([(4096, 1)]), lambda: gone.write(4096, b"x"), lambda: StateFile(gone.tid),
    ):
        with pytest.raises(TraceeGone):
            attempt()
    assert not gone.is_alone()
    assert gone.executable() == ""


# Those that may not be looked into: our failure, never the program's errno.


@pytest.mark.parametrize("arguments", [
    ("read", 4096, 1), ("read_vectors", [(4096, 1)]), ("write", 4096, b"x"), ("take", 0),
])
def test_somebody_elses_thread(program, stranger, arguments):
    method, *rest = arguments
    kind, text = stranger.do(failure, method, program.pid, *rest)
    assert kind == "CannotServe"
    assert str(program.pid) in text


def test_an_undumpable_program(stranger):
    with Puppet() as secretive:
        secretive.do(become, NOBODY)
        address = secretive.do(two_pages)
        assert stranger.do(failure, "read", secretive.pid, address, 1) == ("", "")
        secretive.do(seccomp.set_undumpable)
        assert stranger.do(failure, "read", secretive.pid, address, 1)[0] == "CannotServe"
        assert stranger.do(failure, "take", secretive.pid, 0)[0] == "CannotServe"


# Signals and states.


def test_sigpipe_is_for_this_thread(program):
    tid, _ = program.do(start_thread_with_pipes_blocked)
    Thread(tid).send_sigpipe()
    assert pending_of(program.pid, tid) == (1 << signal.SIGPIPE - 1, 0)
    assert pending_of(program.pid, program.pid) == (0, 0)


def start_thread_with_pipes_blocked():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
    return start_thread(False)


def test_the_state_letter(program):
    program.wait_for_state("S")
    state = StateFile(program.pid)
    assert state.letter() == "S"
    os.kill(program.pid, signal.SIGSTOP)
    program.wait_for_state("T")
    assert state.letter() == "T"
    os.kill(program.pid, signal.SIGCONT)
    program.become_zombie()
    assert state.letter() == "Z"
    program.kill()
    with pytest.raises(TraceeGone):
        state.letter()
    state.close()


def test_a_name_that_pretends(program):
    program.do(call_itself, b"x) D (y")
    program.wait_for_state("S")
    state = StateFile(program.pid)
    assert state.letter() == "S"
    state.close()


def call_itself(name):
    ctypes.CDLL(None).prctl(15, ctypes.c_char_p(name), 0, 0, 0)
