import errno
import os
import select
import socket
import struct

import pytest

from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.uring import Ring
from tests.unit.kernel.puppet import missing, until

SYN_SENT = 2
INET = struct.pack("=H", socket.AF_INET)
UNIX = struct.pack("=H", socket.AF_UNIX)


@pytest.fixture
def ring():
    try:
        ring = Ring()
    except OSError as error:
        missing(f"io_uring ({error.strerror})")
    yield ring
    ring.close()


@pytest.fixture
def dontwait(ring):
    if not ring.accepts_without_waiting:
        missing("IORING_ACCEPT_DONTWAIT")
    return ring


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def full():
    """A unix listener whose queue is full: connecting to it waits."""
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as first:
        server.bind(b"")
        server.listen(0)
        first.connect(server.getsockname())
        yield server


def address_of(server):
    name = server.getsockname()
    if server.family == socket.AF_UNIX:
        return UNIX + name
    return INET + struct.pack("!H4s", name[1], socket.inet_aton(name[0])) + bytes(8)


def as_host_fd(sock):
    return HostFd(sock.detach())


def stream(family=socket.AF_INET):
    return as_host_fd(socket.socket(family, socket.SOCK_STREAM))


def wait_for(ring, pending):
    def done():
        ring.reap()
        return pending.result is not None

    until(done)
    return pending.result


# connect


def test_connecting(ring, server):
    with stream() as fd:
        assert wait_for(ring, ring.connect(fd, address_of(server))) == 0
        accepted, _ = server.accept()
        accepted.close()
    assert ring.in_flight == 0


def test_refused(ring):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = address_of(server)
    with stream() as fd:
        assert wait_for(ring, ring.connect(fd, address)) == -errno.ECONNREFUSED


@pytest.mark.parametrize(
    ("address", "code"), [(b"", errno.EINVAL), (b"\x02", errno.EINVAL), (INET + bytes(127), errno.EINVAL)]
)
def test_addresses_that_are_none(ring, address, code):
    with stream() as fd:
        assert wait_for(ring, ring.connect(fd, address)) == -code


def test_no_socket(ring, server):
    with HostFd(os.open(os.devnull, os.O_RDWR)) as fd:
        assert wait_for(ring, ring.connect(fd, address_of(server))) == -errno.ENOTSOCK


def test_a_blocking_socket_waits_and_its_flags_are_left_alone(ring, full):
    ended = []
    with stream(socket.AF_UNIX) as fd:
        pending = ring.connect(fd, address_of(full))
        pending.on_done = lambda: ended.append(pending.result)
        assert pending.result is None
        assert ring.in_flight == 1
        assert os.get_blocking(fd.fileno())
        full.accept()[0].close()
        assert wait_for(ring, pending) == 0
        assert os.get_blocking(fd.fileno())
        ring.reap()
    assert ended == [0]
    assert ring.in_flight == 0


def test_a_non_blocking_socket_does_not_wait(ring, full):
    with stream(socket.AF_UNIX) as fd:
        os.set_blocking(fd.fileno(), False)
        assert wait_for(ring, ring.connect(fd, address_of(full))) == -errno.EAGAIN


def test_the_end_is_announced(ring, full):
    poll = select.poll()
    poll.register(ring.eventfd.fileno(), select.POLLIN)
    with stream(socket.AF_UNIX) as fd:
        ring.clear_event()
        pending = ring.connect(fd, address_of(full))
        assert poll.poll(0) == []
        full.accept()[0].close()
        assert poll.poll(5000)
        ring.clear_event()
        assert poll.poll(0) == []
        assert wait_for(ring, pending) == 0
    ring.clear_event()


def test_taken_back(ring, full):
    with stream(socket.AF_UNIX) as fd:
        pending = ring.connect(fd, address_of(full))
        ring.cancel(pending)
        assert wait_for(ring, pending) in (-errno.ECANCELED, -errno.EINTR)
    until(lambda: ring.reap() or ring.in_flight == 0)


def test_taking_back_what_has_ended_is_harmless(ring, server):
    with stream() as fd:
        pending = ring.connect(fd, address_of(server))
        assert wait_for(ring, pending) == 0
        ring.cancel(pending)
        assert pending.result == 0
    until(lambda: ring.reap() or ring.in_flight == 0)


@pytest.fixture
def deaf():
    """A TCP listener whose queue is full: it answers no SYN."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, socket.socket() as first:
        first.connect(server.getsockname())
        yield server


def state_of(fd):
    with socket.socket(fileno=os.dup(fd.fileno())) as sock:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def test_taken_back_it_stays_in_syn_sent(ring, deaf):
    with stream() as fd:
        pending = ring.connect(fd, address_of(deaf))
        assert pending.result is None
        ring.cancel(pending)
        assert wait_for(ring, pending) in (-errno.ECANCELED, -errno.EINTR)
        assert state_of(fd) == SYN_SENT
        os.set_blocking(fd.fileno(), False)
        # A native call that was interrupted goes on in the same way.
        assert wait_for(ring, ring.connect(fd, address_of(deaf))) == -errno.EALREADY


def test_the_ring_waits_for_tcp_whatever_the_file_says(ring, deaf):
    """Natively this is EINPROGRESS: whoever connects for a program has to look at the flag."""
    with stream() as fd:
        os.set_blocking(fd.fileno(), False)
        pending = ring.connect(fd, address_of(deaf))
        assert pending.result is None
        assert state_of(fd) == SYN_SENT
        ring.cancel(pending)
        assert wait_for(ring, pending) in (-errno.ECANCELED, -errno.EINTR)
        assert state_of(fd) == SYN_SENT


def test_more_at_once_than_the_ring_has_entries(ring, full):
    fds = [stream(socket.AF_UNIX) for _ in range(200)]
    started = [ring.connect(fd, address_of(full)) for fd in fds]
    assert ring.in_flight == 200
    assert all(pending.result is None for pending in started)
    for _ in range(200):
        full.accept()[0].close()
    assert {wait_for(ring, pending) for pending in started} == {0}
    for fd in fds:
        fd.close()


def test_closing_the_ring_ends_what_is_under_way(full):
    try:
        ring = Ring()
    except OSError as error:
        missing(f"io_uring ({error.strerror})")
    with stream(socket.AF_UNIX) as fd:
        ring.connect(fd, address_of(full))
        ring.close()


# accept


def test_nobody_is_there(dontwait, server):
    with as_host_fd(server.dup()) as fd:
        pending, _ = dontwait.accept(fd, 0)
        assert pending.result == -errno.EAGAIN
        assert os.get_blocking(fd.fileno())


@pytest.mark.parametrize("flags", [0, os.O_CLOEXEC, os.O_CLOEXEC | os.O_NONBLOCK])
def test_accepting(dontwait, server, flags):
    with socket.create_connection(server.getsockname()) as client, as_host_fd(server.dup()) as fd:
        pending, name = dontwait.accept(fd, flags)
        with HostFd(pending.result) as accepted:
            assert name == address_of(client)
            assert os.get_blocking(accepted.fileno()) is not bool(flags & os.O_NONBLOCK)
            assert os.get_inheritable(accepted.fileno()) is not bool(flags & os.O_CLOEXEC)
            os.write(accepted.fileno(), b"hello")
            assert client.recv(9) == b"hello"


def test_a_peer_without_a_name(dontwait, full):
    with as_host_fd(full.dup()) as fd:
        pending, name = dontwait.accept(fd, 0)
        HostFd(pending.result).close()
        assert name == UNIX


def test_what_does_not_listen(dontwait):
    with stream() as fd:
        assert dontwait.accept(fd, 0)[0].result == -errno.EINVAL
    with HostFd(os.open(os.devnull, os.O_RDWR)) as fd:
        assert dontwait.accept(fd, 0)[0].result == -errno.ENOTSOCK
