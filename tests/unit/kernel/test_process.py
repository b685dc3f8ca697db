import ctypes
import errno
import mmap
import os
import signal
import threading

import pytest

from supervisor.errors import SyscallError, TraceeGone
from supervisor.kernel import libc, process
from tests.unit.kernel.puppet import NOBODY, Puppet, become, missing, needs_root, until

PAGE = mmap.PAGESIZE
PROT_NONE, READ, READ_WRITE = 0, mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE
CLONE_FILES = 0x400

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


@pytest.fixture
def program():
    with Puppet() as puppet:
        yield puppet


# Memory.


def map_pages(*protections):
    """Pages one after the other, filled with b"0", b"1", ...; the address of the first. None unmaps."""
    address = libc.mmap(None, PAGE * len(protections), READ_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    for index, protection in enumerate(protections):
        page = address + index * PAGE
        ctypes.memset(page, 0x30 + index, PAGE)
        if protection is None:
            libc.munmap(page, PAGE)
        else:
            _libc.mprotect(page, PAGE, protection)
    return address


def look(address, length):
    return ctypes.string_at(address, length)


@pytest.mark.parametrize("hole", [None, PROT_NONE])
def test_reading_stops_at_a_page_that_is_not_there(program, hole):
    address = program.do(map_pages, READ_WRITE, hole)
    assert process.read_memory(program.pid, address, PAGE) == b"0" * PAGE
    assert process.read_memory(program.pid, address + PAGE - 3, 10) == b"000"
    assert process.read_memory(program.pid, address + PAGE - 1, 1) == b"0"
    with pytest.raises(OSError) as caught:
        process.read_memory(program.pid, address + PAGE, 1)
    assert caught.value.errno == errno.EFAULT


@pytest.mark.parametrize("hole", [None, PROT_NONE, READ])
def test_writing_stops_at_a_page_that_is_not_writable(program, hole):
    address = program.do(map_pages, READ_WRITE, hole)
    assert process.write_memory(program.pid, address + PAGE - 3, b"abcdef") == 3
    assert program.do(look, address + PAGE - 4, 4) == b"0abc"
    with pytest.raises(OSError) as caught:
        process.write_memory(program.pid, address + PAGE, b"x")
    assert caught.value.errno == errno.EFAULT


@pytest.mark.parametrize("address", [0, 8, 1 << 46, (1 << 64) - 8, 1 << 63])
def test_addresses_that_are_nowhere(program, address):
    for attempt in (
        lambda: process.read_memory(program.pid, address, 4),
        lambda: process.read_vectors(program.pid, [(address, 4)]),
        lambda: process.write_memory(program.pid, address, b"four"),
    ):
        with pytest.raises(OSError) as caught:
            attempt()
        assert caught.value.errno == errno.EFAULT


def test_ranges_are_read_one_after_the_other(program):
    address = program.do(map_pages, READ, READ, READ)
    ranges = [(address + 2 * PAGE, 3), (address, 1), (address + PAGE - 1, 2), (address, 0)]
    assert process.read_vectors(program.pid, ranges) == b"222" + b"0" + b"01"


def test_ranges_end_at_the_first_bad_page(program):
    address = program.do(map_pages, READ, None, READ)
    ranges = [(address, 2), (address + PAGE - 2, 4), (address + 2 * PAGE, 2)]
    assert process.read_vectors(program.pid, ranges) == b"0000"
    with pytest.raises(OSError) as caught:
        process.read_vectors(program.pid, [(address + PAGE, 1), (address, 1)])
    assert caught.value.errno == errno.EFAULT


@pytest.mark.parametrize("count", [1023, 1024, 1025, 3000])
def test_more_ranges_than_one_call_takes(program, count):
    address = program.do(map_pages, READ)
    assert process.read_vectors(program.pid, [(address + i % PAGE, 1) for i in range(count)]) == b"0" * count


def test_the_first_bad_range_after_a_full_batch(program):
    address = program.do(map_pages, READ, None)
    ranges = [(address, 1)] * 1024 + [(address + PAGE, 1)] + [(address, 1)] * 5
    assert process.read_vectors(program.pid, ranges) == b"0" * 1024


def test_a_process_that_is_gone():
    with Puppet() as program:
        address = program.do(map_pages, READ_WRITE)
        program.become_zombie()
        _nothing_is_there(program.pid, address)
        program.kill()
        _nothing_is_there(program.pid, address)


def _nothing_is_there(pid, address):
    for attempt in (
        lambda: process.read_memory(pid, address, 1),
        lambda: process.read_vectors(pid, [(address, 1)]),
        lambda: process.write_memory(pid, address, b"x"),
    ):
        with pytest.raises(TraceeGone):
            attempt()


@needs_root
def test_somebody_elses_process(program):
    address = program.do(map_pages, READ_WRITE)
    with Puppet() as stranger:
        stranger.do(become, NOBODY)
        for attempt in (
            (process.read_memory, program.pid, address, 1), (process.write_memory, program.pid, address, b"x"),
            (take, program.pid, 0),
        ):
            assert stranger.do(failure, *attempt) == ("PermissionError", errno.EPERM)


def failure(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        return type(error).__name__, getattr(error, "errno", None)
    return None


# Descriptors.


def take(pid, number, flags=0):
    with process.open_pidfd(pid, flags) as pidfd, process.take_fd(pidfd, number) as fd:
        return os.readlink(f"/proc/self/fd/{fd.fileno()}")


def test_taking_a_descriptor(program):
    reader, writer = program.do(os.pipe)
    with process.open_pidfd(program.pid) as pidfd, process.take_fd(pidfd, writer) as fd:
        assert not os.get_inheritable(fd.fileno())
        assert os.write(fd.fileno(), b"through the copy") == 16
    assert program.do(os.read, reader, 99) == b"through the copy"


@pytest.mark.parametrize("number", [999, 0x7FFFFFFF, -1])
def test_a_number_that_is_not_open(program, number):
    with process.open_pidfd(program.pid) as pidfd, pytest.raises(SyscallError) as caught:
        process.take_fd(pidfd, number)
    assert caught.value.errno == errno.EBADF


def test_a_pidfd_of_a_process_that_is_gone():
    with Puppet() as program:
        with process.open_pidfd(program.pid) as pidfd:
            program.kill()
            with pytest.raises(TraceeGone):
                process.take_fd(pidfd, 0)
        with pytest.raises(TraceeGone):
            process.open_pidfd(program.pid)


def test_a_zombie_has_no_descriptors():
    with Puppet() as program, process.open_pidfd(program.pid) as pidfd:
        program.become_zombie()
        with pytest.raises((TraceeGone, SyscallError)):
            process.take_fd(pidfd, 0)


def test_flags_that_the_kernel_does_not_know():
    with pytest.raises(OSError, match="Invalid argument") as caught:
        process.open_pidfd(os.getpid(), 1 << 30)
    assert caught.value.errno == errno.EINVAL


_threads = {}


def start_thread(own_table):
    """A thread, with a descriptor table of its own or not, that opens a file: its id and the number."""
    ready, done, opened = threading.Event(), threading.Event(), []

    def run():
        if own_table:
            assert libc.unshare(CLONE_FILES) == 0
        opened.append(os.open("/dev/zero", os.O_RDONLY))
        ready.set()
        done.wait()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    _threads[thread.native_id] = thread, done
    return thread.native_id, opened[0]


def end_thread(tid):
    thread, done = _threads.pop(tid)
    done.set()
    thread.join()


def open_thread(tid):
    try:
        return process.open_pidfd(tid, process.PIDFD_THREAD)
    except OSError:
        missing("PIDFD_THREAD")


def test_a_thread_with_a_table_of_its_own(program):
    tid, number = program.do(start_thread, True)
    assert program.do(os.open, "/dev/null", os.O_RDONLY) == number
    with open_thread(tid) as pidfd, process.take_fd(pidfd, number) as fd:
        assert os.readlink(f"/proc/self/fd/{fd.fileno()}") == "/dev/zero"
    assert take(program.pid, number) == "/dev/null"
    assert take(program.pid, number, process.PIDFD_THREAD) == "/dev/null"
    assert not process.shares_files(program.pid, tid)


def test_a_thread_that_shares_its_table(program):
    tid, number = program.do(start_thread, False)
    with open_thread(tid) as pidfd, process.take_fd(pidfd, number) as fd:
        assert os.readlink(f"/proc/self/fd/{fd.fileno()}") == "/dev/zero"
    assert take(program.pid, number) == "/dev/zero"
    assert process.shares_files(program.pid, tid)


def test_a_thread_that_has_ended(program):
    tid, _ = program.do(start_thread, False)
    with open_thread(tid) as pidfd:
        program.do(end_thread, tid)
        until(lambda: not os.path.exists(f"/proc/{program.pid}/task/{tid}"))
        with pytest.raises(TraceeGone):
            process.take_fd(pidfd, 0)
    with pytest.raises(TraceeGone):
        process.open_pidfd(tid, process.PIDFD_THREAD)


def test_only_the_leader_can_be_opened_as_a_process(program):
    tid, _ = program.do(start_thread, False)
    with pytest.raises(OSError):
        process.open_pidfd(tid)


# Signals.


def block(number):
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})


def pending_of(pid, tid):
    with open(f"/proc/{pid}/task/{tid}/status", encoding="utf-8") as file:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in file)
    return int(lines["SigPnd"], 16), int(lines["ShdPnd"], 16)


def test_a_signal_for_one_thread(program):
    program.do(block, signal.SIGUSR1)
    tid, _ = program.do(start_thread, False)
    process.signal_thread(program.pid, tid, signal.SIGUSR1)
    assert pending_of(program.pid, tid) == (1 << signal.SIGUSR1 - 1, 0)
    assert pending_of(program.pid, program.pid) == (0, 0)


def test_a_signal_for_a_thread_that_is_not_of_this_process(program):
    with pytest.raises(ProcessLookupError):
        process.signal_thread(os.getpid(), program.pid, 0)
    program.kill()
    with pytest.raises(ProcessLookupError):
        process.signal_thread(program.pid, program.pid, 0)
