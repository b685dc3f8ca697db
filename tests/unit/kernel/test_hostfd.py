import os
import socket
import struct
import time
from contextlib import suppress

import pytest

from supervisor.kernel.hostfd import Closer, HostFd, leaked


def null():
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def is_open(number):
    return os.path.lexists(f"/proc/self/fd/{number}")


def test_closed_once():
    number = null()
    fd = HostFd(number)
    assert fd.fileno() == number
    assert not fd.closed
    fd.close()
    assert fd.closed
    assert not is_open(number)
    again = null()
    assert again == number
    fd.close()
    assert is_open(again)
    os.close(again)


def test_after_the_end_there_is_no_number():
    fd = HostFd(null())
    fd.close()
    with pytest.raises(ValueError, match="closed"):
        fd.fileno()
    with pytest.raises(ValueError, match="closed"):
        fd.detach()
    assert repr(fd) == "HostFd(-1)"


def test_detached_is_the_takers():
    fd = HostFd(null())
    number = fd.detach()
    fd.close()
    del fd
    assert leaked == []
    assert is_open(number)
    os.close(number)


def test_closed_at_the_end_of_a_block_whatever_happens():
    fd = HostFd(null())
    number = fd.fileno()
    with pytest.raises(KeyError), fd:
        {}["nothing"]
    assert not is_open(number)


def test_closed_within_the_block():
    with HostFd(null()) as fd:
        fd.close()


def test_a_forgotten_one_is_recorded_and_closed():
    number = null()
    fd = HostFd(number)
    del fd
    assert leaked == [number]
    assert not is_open(number)
    leaked.clear()


def test_it_is_no_number():
    with HostFd(null()) as fd:
        assert not isinstance(fd, int)
        assert repr(fd) == f"HostFd({fd.fileno()})"
        with pytest.raises(AttributeError):
            fd.other = 1


@pytest.fixture
def closer():
    closer = Closer()
    yield closer
    closer.stop()


def test_the_closer_closes(closer):
    reader, writer = os.pipe()
    fd = HostFd(writer)
    closer.close(fd)
    assert fd.closed
    assert os.read(reader, 1) == b""
    closer.close(fd)
    os.close(reader)


def test_the_closer_has_no_thread_until_it_is_needed(closer):
    with HostFd(null()) as fd:
        fd.close()
        closer.close(fd)
    assert closer.threads == 0
    closer.close(HostFd(null()))
    assert closer.threads == 1


def test_the_closer_survives_a_number_that_is_not_open(closer):
    closer.close(HostFd(1 << 20))
    reader, writer = os.pipe()
    closer.close(HostFd(writer))
    assert os.read(reader, 1) == b""
    os.close(reader)


def lingering():
    """A socket whose close(2) waits for a second: there is data that nobody takes."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1))
        client.connect(server.getsockname())
        peer, _ = server.accept()
        client.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                client.send(bytes(65536))
        return HostFd(client.detach()), peer


def test_nobody_waits_for_a_socket_that_lingers(closer):
    fd, peer = lingering()
    started = time.monotonic()
    closer.close(fd)
    # Nor does what is closed after it.
    reader, writer = os.pipe()
    closer.close(HostFd(writer))
    assert os.read(reader, 1) == b""
    quick = time.monotonic() - started
    os.close(reader)
    closer.stop()
    slow = time.monotonic() - started
    peer.close()
    assert quick < 0.5 < slow
    assert closer.threads == 0
