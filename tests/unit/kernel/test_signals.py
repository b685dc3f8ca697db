import os
import select
import signal

import pytest

from supervisor.kernel.signals import Received, SignalFile
from tests.unit.kernel.puppet import Puppet

SI_USER, SI_TKILL = 0, -6

_files = {}


@pytest.fixture
def receiver():
    with Puppet() as puppet:
        puppet.do(listen, {signal.SIGUSR1, signal.SIGTERM, signal.SIGRTMAX})
        yield puppet


def listen(signals):
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    _files["it"] = SignalFile(signals)


def read():
    return _files["it"].read()


def is_readable():
    poll = select.poll()
    poll.register(_files["it"].fileno(), select.POLLIN)
    return bool(poll.poll(0))


def signal_itself(number):
    signal.raise_signal(number)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM, signal.SIGRTMAX])
def test_who_sent_it(receiver, number):
    assert not receiver.do(is_readable)
    os.kill(receiver.pid, number)
    assert receiver.do(is_readable)
    assert receiver.do(read) == Received(number, SI_USER, os.getpid())
    assert not receiver.do(is_readable)


def test_its_own(receiver):
    receiver.do(signal_itself, signal.SIGUSR1)
    assert receiver.do(read) == Received(signal.SIGUSR1, SI_TKILL, receiver.pid)


def test_reading_waits(receiver):
    receiver.start(read)
    receiver.wait_for_state("S")
    os.kill(receiver.pid, signal.SIGUSR1)
    assert receiver.result().number == signal.SIGUSR1


def test_one_after_the_other(receiver):
    for number in (signal.SIGTERM, signal.SIGUSR1):
        os.kill(receiver.pid, number)
    assert {receiver.do(read).number, receiver.do(read).number} == {signal.SIGTERM, signal.SIGUSR1}


def test_other_signals_are_not_its_business(receiver):
    receiver.do(ignore, signal.SIGUSR2)
    os.kill(receiver.pid, signal.SIGUSR2)
    assert not receiver.do(is_readable)


def ignore(number):
    signal.signal(number, signal.SIG_IGN)


def test_it_is_not_inherited(receiver):
    assert receiver.do(inherits) is False


def inherits():
    return os.get_inheritable(_files["it"].fileno())
