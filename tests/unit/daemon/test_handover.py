"""Taking a listener over: whatever is no listener is refused, and nothing of it is kept."""

import errno
import os
import socket

import pytest

from supervisor.daemon.handover import as_listener, take_listener
from supervisor.errors import StartError
from supervisor.kernel import process
from supervisor.kernel.hostfd import HostFd
from tests.unit.kernel.puppet import NOBODY, Puppet, become, load_trap, needs_root


@pytest.fixture
def launcher():
    with Puppet() as puppet:
        yield puppet


def test_a_listener(launcher):
    number = launcher.do(load_trap)
    listener = take_listener(launcher.pid, number)
    assert listener.ready() == 0
    listener.close()


@pytest.mark.parametrize("number", [None, "3", 3.0, -1, 1 << 31, 1 << 64, [3], {}])
def test_what_is_no_number(launcher, number):
    with pytest.raises(StartError, match="named no descriptor"):
        take_listener(launcher.pid, number)


def test_one_that_is_not_open(launcher):
    with pytest.raises(StartError, match="no such descriptor"):
        take_listener(launcher.pid, 12345)


def test_what_is_no_listener(launcher):
    for path in ("/dev/null", "/proc/self/status"):
        number = launcher.do(os.open, path, os.O_RDONLY)
        with pytest.raises(StartError, match="not a seccomp listener"):
            take_listener(launcher.pid, number)


def test_a_socket_of_ours():
    with (
        socket.socket() as sock,
        HostFd(os.dup(sock.fileno())) as fd,
        pytest.raises(StartError, match="not a seccomp listener"),
    ):
        as_listener(fd)


def test_a_file_that_has_its_name(launcher, tmp_path):
    (tmp_path / "anon_inode:seccomp notify").touch()
    number = launcher.do(os.open, str(tmp_path / "anon_inode:seccomp notify"), os.O_RDONLY)
    with pytest.raises(StartError, match="not a seccomp listener"):
        take_listener(launcher.pid, number)


def test_a_launcher_that_is_gone(launcher):
    launcher.kill()
    with pytest.raises(StartError, match="no such descriptor"):
        take_listener(launcher.pid, 3)


def test_a_launcher_that_cannot_be_named():
    with pytest.raises(StartError, match="may not look into the launcher"):
        take_listener(0, 3)


def attempt(pid, number):
    try:
        take_listener(pid, number)
    except StartError as error:
        return str(error)
    return ""


@needs_root
def test_a_launcher_that_may_not_be_looked_into(launcher):
    with Puppet() as stranger:
        stranger.do(become, NOBODY)
        assert "Yama" in stranger.do(attempt, launcher.pid, 0)


def test_no_more_descriptors(launcher, monkeypatch):
    number = launcher.do(load_trap)

    def full(_pidfd, _number):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(process, "take_fd", full)
    with pytest.raises(StartError, match="Too many open files"):
        take_listener(launcher.pid, number)
