"""The identity of a thread. Everything happens in a child, which is root at first."""

import ctypes
import errno
import os
import socket
import threading

import pytest

from supervisor.kernel import identity, libc
from supervisor.kernel.identity import Credentials, acting_as, own_credentials
from tests.unit.kernel.puppet import NOBODY, Puppet, become

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
CAP_NET_BIND_SERVICE = 1 << 10
CAP_SETUID = 1 << 7
NOBODY_AT_ALL = Credentials(NOBODY, NOBODY, (), 0)


@pytest.fixture
def daemon():
    with Puppet() as puppet:
        yield puppet


def status():
    """Who this thread is, as the kernel says it."""
    with open("/proc/thread-self/status", encoding="ascii", errors="replace") as file:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    return {
        "uid": tuple(map(int, lines["Uid"].split())), "gid": tuple(map(int, lines["Gid"].split())),
        "groups": tuple(map(int, lines["Groups"].split())), "effective": int(lines["CapEff"], 16),
        "permitted": int(lines["CapPrm"], 16),
    }


def who():
    return own_credentials(), status()


def act(them):
    """Status before, within and after."""
    before = status()
    with acting_as(them, own_credentials()):
        within = status()
    return before, within, status()


def test_own_credentials(daemon):
    ours, said = daemon.do(who)
    assert ours == Credentials(said["uid"][1], said["gid"][1], tuple(sorted(said["groups"])), said["effective"])


@ROOT_ONLY
@pytest.mark.parametrize(
    "them",
    [
        NOBODY_AT_ALL,
        Credentials(1000, 1001, (5, 1001, 70000), 0),
        Credentials(1000, 1000, (), CAP_NET_BIND_SERVICE),
        Credentials(0, 0, (), 0),
        Credentials(0, 1000, (0,), CAP_NET_BIND_SERVICE),
        Credentials(2**32 - 2, 2**32 - 2, tuple(range(200)), 0),
    ],
)
def test_acting_and_being_oneself_again(daemon, them):
    daemon.do(os.setgroups, [1, 4])
    before, within, after = daemon.do(act, them)
    assert within["uid"] == (0, them.uid, 0, them.uid)
    assert within["gid"] == (0, them.gid, 0, them.gid)
    assert tuple(sorted(within["groups"])) == them.groups
    assert within["effective"] == them.capabilities
    assert within["permitted"] == before["permitted"]
    assert after == before


@ROOT_ONLY
def test_capabilities_that_we_do_not_have_are_not_lent(daemon):
    before, within, after = daemon.do(act, Credentials(1000, 1000, (), (1 << 64) - 1))
    assert within["effective"] == before["permitted"]
    assert after == before


def act_and_fail(them):
    try:
        with acting_as(them, own_credentials()):
            raise KeyError
    except KeyError:
        return status()


@ROOT_ONLY
def test_oneself_again_after_a_failure(daemon):
    before = daemon.do(status)
    assert daemon.do(act_and_fail, NOBODY_AT_ALL) == before


def act_beside_a_thread(them):
    acting, looked, seen = threading.Event(), threading.Event(), []

    def look():
        acting.wait()
        seen.append(status())
        looked.set()

    thread = threading.Thread(target=look)
    thread.start()
    before = status()
    with acting_as(them, own_credentials()):
        acting.set()
        looked.wait()
    thread.join()
    return before, seen[0]


@ROOT_ONLY
def test_other_threads_stay_who_they_are(daemon):
    before, beside = daemon.do(act_beside_a_thread, NOBODY_AT_ALL)
    assert beside == before


def bind_low_port(them):
    with socket.socket() as sock, acting_as(them, own_credentials()):
        try:
            sock.bind(("127.0.0.1", 0x1FF))
        except OSError as error:
            return error.errno
    return 0


@ROOT_ONLY
def test_the_kernel_checks_whom_we_act_for(daemon):
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        if int(file.read()) <= 0x1FF:
            pytest.skip("ports below 1024 are free for all here")
    assert daemon.do(bind_low_port, NOBODY_AT_ALL) == errno.EACCES
    assert daemon.do(bind_low_port, NOBODY_AT_ALL._replace(capabilities=CAP_NET_BIND_SERVICE)) == 0


def try_to_act(them):
    before = status()
    performed = False
    try:
        with acting_as(them, own_credentials()):
            performed = True
    except OSError as error:
        return error.errno, performed, status() == before
    return 0, performed, status() == before


@ROOT_ONLY
def test_without_the_right_nothing_is_performed(daemon):
    daemon.do(become, NOBODY)
    assert daemon.do(try_to_act, Credentials(1000, 1000, (), 0)) == (errno.EPERM, False, True)


def keep_only(mask):
    """Lose capabilities for good, staying root."""
    identity._set_effective(mask)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = identity._Header(identity._CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(identity._CAP_DATA.pack(low, low, 0, high, high, 0))
    libc.syscall(identity._CAPSET, ctypes.addressof(header), ctypes.addressof(data))


@ROOT_ONLY
@pytest.mark.parametrize("mask", [CAP_SETUID, 1 << 6, CAP_SETUID | 1 << 6])
def test_half_of_the_right_is_given_back(daemon, mask):
    """CAP_SETUID without CAP_SETGID, the other way round, and both."""
    daemon.do(keep_only, mask)
    code, performed, same = daemon.do(try_to_act, Credentials(1000, 1000, (1000,), 0))
    assert same
    assert performed is (code == 0)
