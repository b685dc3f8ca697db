import errno
import fcntl
import os
import resource
import select
import signal

import pytest

from supervisor.abi.seccomp import NOTIF, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Notification
from supervisor.errors import TraceeGone
from supervisor.kernel import libc, seccomp
from supervisor.kernel.hostfd import HostFd
from tests.unit.kernel.puppet import GETPPID, Puppet, Trapped, become, getppid, load_trap, missing, needs_root, until

LARGE = 0x8000_0000_0000_0001


@pytest.fixture
def program():
    with Trapped() as puppet:
        yield puppet


@pytest.fixture
def null():
    with HostFd(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) as fd:
        yield fd


def killable():
    if not seccomp.has_filter_flag(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV):
        missing("WAIT_KILLABLE_RECV")


# Receiving.


def test_a_notification_says_who_calls_what(program):
    signed = LARGE - (1 << 64)
    program.start(getppid, 1, 2, signed, 4, 5, -1)
    until(program.listener.ready)
    assert program.listener.ready() == select.POLLIN
    notification, raw = program.listener.receive()
    assert raw == NOTIF.pack(*notification)
    assert notification._replace(id=0, instruction_pointer=0) == Notification(
        0, program.pid, 0, GETPPID, libc.ARCHITECTURE.audit, 0, 1, 2, LARGE, 4, 5, (1 << 64) - 1
    )
    assert notification.instruction_pointer
    assert program.listener.ready() == 0
    program.listener.answer_value(notification.id, 7)
    assert program.result() == 7


def test_every_call_has_an_id_of_its_own(program):
    idents = []
    for _ in range(3):
        idents.append(program.call().id)
        program.listener.answer_value(idents[-1], 0)
        program.result()
    assert idents == [idents[0], idents[0] + 1, idents[0] + 2]


def test_a_thread_is_named_by_its_own_id(program):
    program.start(in_a_thread)
    notification = program.receive()
    assert notification.pid != program.pid
    assert os.path.exists(f"/proc/{program.pid}/task/{notification.pid}")
    program.listener.answer_value(notification.id, 0)
    assert program.result() == [0]


def in_a_thread():
    import threading

    values = []
    thread = threading.Thread(target=lambda: values.append(getppid()))
    thread.start()
    thread.join()
    return values


def test_a_call_that_went_away_before_it_was_received(program):
    program.start(getppid)
    until(program.listener.ready)
    program.kill()
    assert program.listener.receive() is None


# Answering.


@pytest.mark.parametrize("value", [0, 1, 0x7FFFFFFF, 0x7FFFFFFFFFFFFFFF])
def test_a_value(program, value):
    program.listener.answer_value(program.call().id, value)
    assert program.result() == value


@pytest.mark.parametrize("error", [errno.EPERM, errno.ECONNREFUSED, errno.ENOSYS, 4095])
def test_an_error(program, error):
    program.listener.answer_error(program.call().id, error)
    assert program.result() == -error


def test_continue_lets_the_kernel_do_it(program):
    program.listener.answer_continue(program.call().id)
    assert program.result() == os.getpid()


def test_a_restart_code_without_a_signal_is_seen_by_the_program(program):
    # Why the state letter matters: without a signal pending nothing turns 512 into a restart.
    program.listener.answer_error(program.call().id, 512)
    assert program.result() == -512


def test_a_restart_code_with_a_signal_pending(program):
    killable()
    program.do(handle, signal.SIGUSR1, False)
    notification = program.call()
    os.kill(program.pid, signal.SIGUSR1)
    program.wait_for_state("D")
    program.listener.answer_error(notification.id, 512)
    assert program.result() == -errno.EINTR


def test_a_restart_code_restarts_where_the_handler_says_so(program):
    killable()
    program.do(handle, signal.SIGUSR1, True)
    first = program.call()
    os.kill(program.pid, signal.SIGUSR1)
    program.wait_for_state("D")
    program.listener.answer_error(first.id, 512)
    second = program.receive()
    assert second == first._replace(id=first.id + 1)
    program.listener.answer_value(second.id, 3)
    assert program.result() == 3


def handle(number, restart):
    signal.signal(number, lambda *_: None)
    signal.siginterrupt(number, not restart)


# The life of a notification.


def test_it_is_valid_until_it_is_answered(program):
    notification = program.call()
    assert program.listener.valid(notification.id)
    program.listener.answer_value(notification.id, 0)
    assert program.result() == 0
    assert not program.listener.valid(notification.id)
    assert not program.listener.valid(notification.id + 1)


def test_it_is_answered_once(program, null):
    notification = program.call()
    program.listener.answer_value(notification.id, 1)
    for again in answers(program, notification, null):
        with pytest.raises(TraceeGone):
            again()
    assert program.result() == 1


def test_a_killed_thread_takes_its_notification_along(program, null):
    notification = program.call()
    program.kill()
    assert not program.listener.valid(notification.id)
    for late in answers(program, notification, null):
        with pytest.raises(TraceeGone):
            late()


def answers(program, notification, fd):
    ident, listener = notification.id, program.listener
    return [
        lambda: listener.answer_value(ident, 2),
        lambda: listener.answer_error(ident, errno.EPERM),
        lambda: listener.answer_continue(ident),
        lambda: listener.install(ident, fd, 0),
    ]


def test_a_signal_leaves_a_received_call_alone(program):
    killable()
    program.do(handle, signal.SIGUSR1, False)
    notification = program.call()
    program.wait_for_state("S")
    os.kill(program.pid, signal.SIGUSR1)
    program.wait_for_state("D")
    assert program.listener.valid(notification.id)
    program.listener.answer_value(notification.id, 5)
    assert program.result() == 5


def test_the_last_task_hangs_up(program):
    assert program.listener.ready() == 0
    program.kill()
    assert program.listener.ready() == select.POLLHUP


def test_a_task_that_is_left_keeps_it_open(program):
    other = program.do(leave_a_child)
    program.kill()
    # The grandchild has the channel and the filter, and is nobody's child here.
    assert program.listener.ready() == 0
    os.kill(other, signal.SIGKILL)
    until(lambda: program.listener.ready() == select.POLLHUP)


def leave_a_child():
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    return pid


def test_calls_without_a_listener_fail(program):
    program.listener.close()
    assert program.do(getppid) == -errno.ENOSYS


def test_a_waiting_call_fails_when_the_listener_closes(program):
    program.call()
    program.listener.close()
    assert program.result() == -errno.ENOSYS


# Descriptors.


@pytest.mark.parametrize("flags", [0, os.O_CLOEXEC])
def test_installing_answers_with_the_number(program, null, flags):
    number = program.listener.install(program.call().id, null, flags)
    assert program.result() == number
    assert program.do(os.readlink, f"/proc/self/fd/{number}") == os.devnull
    assert program.do(fcntl.fcntl, number, fcntl.F_GETFD) == (fcntl.FD_CLOEXEC if flags else 0)


def test_the_lowest_free_number_is_taken(program, null):
    free = program.do(os.open, os.devnull, os.O_RDONLY)
    program.do(os.close, free)
    assert program.listener.install(program.call().id, null, 0) == free
    program.result()


def test_a_full_table_leaves_the_call_unanswered(program, null):
    program.do(fill_table)
    notification = program.call()
    with pytest.raises(OSError) as caught:
        program.listener.install(notification.id, null, 0)
    assert caught.value.errno == errno.EMFILE
    assert program.listener.valid(notification.id)
    program.listener.answer_error(notification.id, errno.EMFILE)
    assert program.result() == -errno.EMFILE


def fill_table():
    used = max(int(name) for name in os.listdir("/proc/self/fd")) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
    for _ in range(used):
        try:
            os.dup(0)
        except OSError:
            break


# Loading.


def test_the_kernel_says_what_it_knows():
    if not seccomp.has_user_notification():
        missing("SECCOMP_RET_USER_NOTIF")
    assert not seccomp.has_filter_flag(1 << 30)


def test_sync_wake_up(program):
    if not program.listener.sync_wake_up:
        missing("SYNC_WAKE_UP")


def test_one_listener_in_a_process_tree(program):
    assert program.do(load_errno) == errno.EBUSY


def load_errno():
    try:
        load_trap()
    except OSError as error:
        return error.errno
    return 0


def load_without_promise():
    try:
        seccomp.load_filter(bytes(8))
    except OSError as error:
        return error.errno
    return 0


@needs_root
def test_without_no_new_privs_a_filter_is_refused():
    with Puppet() as puppet:
        puppet.do(become, 65534)
        assert puppet.do(load_without_promise) == errno.EACCES


def test_a_program_that_is_none_is_refused():
    with Puppet() as puppet:
        puppet.do(seccomp.set_no_new_privs)
        assert puppet.do(load_without_promise) == errno.EINVAL


def test_a_process_about_itself():
    with Puppet() as puppet:
        puppet.do(seccomp.set_no_new_privs)
        puppet.do(seccomp.set_undumpable)
        puppet.do(seccomp.set_child_subreaper)
        assert puppet.do(promises) == {"no_new_privs": 1, "dumpable": 0, "subreaper": 1}


def promises():
    subreaper = bytearray(4)
    libc.prctl(37, libc.address_of(subreaper), 0, 0, 0)
    return {
        "no_new_privs": libc.prctl(39, 0, 0, 0, 0), "dumpable": libc.prctl(3, 0, 0, 0, 0), "subreaper": subreaper[0],
    }
