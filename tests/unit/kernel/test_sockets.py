"""The socket calls on descriptors of our own: one call, its bytes, and the kernel's errno as the program's."""

import errno
import os
import socket
import struct

import pytest

from supervisor.abi.socket import MSG_DONTWAIT, SCM_RIGHTS, SO_RCVTIMEO, SO_SNDTIMEO, SOL_SOCKET
from supervisor.errors import SyscallError
from supervisor.kernel import sockets
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.sockets import SocketKind

INET = struct.pack("=H", socket.AF_INET)
UNIX = struct.pack("=H", socket.AF_UNIX)
LOOPBACK = INET + struct.pack("!H4s", 0, socket.inet_aton("127.0.0.1")) + bytes(8)


def own(sock):
    return HostFd(sock.detach())


@pytest.fixture
def tcp():
    with own(socket.socket()) as fd:
        yield fd


@pytest.fixture
def pair():
    one, other = socket.socketpair()
    with own(one) as fd, other:
        other.settimeout(5)
        yield fd, other


def code_of(call, *arguments):
    with pytest.raises(SyscallError) as caught:
        call(*arguments)
    return caught.value.errno


@pytest.mark.parametrize(
    ("family", "kind", "protocol"),
    [
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP),
        (socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_UDP),
        (socket.AF_UNIX, socket.SOCK_SEQPACKET, 0),
        (socket.AF_NETLINK, socket.SOCK_RAW, 0),
    ],
)
def test_what_a_socket_is(family, kind, protocol):
    with own(socket.socket(family, kind | socket.SOCK_NONBLOCK)) as fd:
        assert sockets.kind_of(fd) == SocketKind(family, kind, protocol)
        assert sockets.is_nonblocking(fd)


def test_other_files_are_no_sockets(tmp_path):
    with HostFd(os.open(os.devnull, os.O_RDONLY)) as fd:
        assert code_of(sockets.kind_of, fd) == errno.ENOTSOCK
    with HostFd(os.open(tmp_path, os.O_PATH)) as fd:
        assert code_of(sockets.kind_of, fd) == errno.EBADF


def test_a_copy_is_the_same_socket_and_another_is_not(tcp):
    with HostFd(os.dup(tcp.fileno())) as copy, own(socket.socket()) as other:
        assert sockets.cookie_of(copy) == sockets.cookie_of(tcp) != sockets.cookie_of(other)


def test_time_limits(tcp):
    assert sockets.timeout_of(tcp, SO_RCVTIMEO) is None
    with socket.socket(fileno=os.dup(tcp.fileno())) as sock:
        sock.setsockopt(SOL_SOCKET, SO_RCVTIMEO, sockets.TIMEVAL.pack(2, 500000))
    assert sockets.timeout_of(tcp, SO_RCVTIMEO) == 2.5
    assert sockets.timeout_of(tcp, SO_SNDTIMEO) is None


def test_a_name_of_any_length(tcp):
    sockets.bind(tcp, LOOPBACK)
    name = sockets.getsockname(tcp)
    assert (name[:2], name[4:]) == (LOOPBACK[:2], LOOPBACK[4:])
    assert code_of(sockets.getpeername, tcp) == errno.ENOTCONN
    with own(socket.socket(socket.AF_UNIX)) as fd:
        assert sockets.getsockname(fd) == UNIX
        sockets.bind(fd, UNIX + b"\0" + b"x" * 107)
        assert sockets.getsockname(fd) == UNIX + b"\0" + b"x" * 107


def test_a_connection(tcp):
    sockets.bind(tcp, LOOPBACK)
    sockets.listen(tcp, 1)
    with own(socket.socket()) as client:
        sockets.connect(client, sockets.getsockname(tcp))
        assert sockets.getpeername(client) == sockets.getsockname(tcp)
        sockets.shutdown(client, socket.SHUT_RDWR)
        assert code_of(sockets.connect, client, LOOPBACK) in (errno.ECONNREFUSED, errno.EISCONN)


def test_the_kernels_word_is_the_programs_errno(tcp, pair):
    fd, _ = pair
    assert code_of(sockets.bind, tcp, LOOPBACK[:3]) == errno.EINVAL
    assert code_of(sockets.bind, tcp, b"") == errno.EINVAL
    assert code_of(sockets.shutdown, tcp, 9) == errno.EINVAL
    assert code_of(sockets.listen, fd, 1) == errno.EINVAL
    assert code_of(sockets.get_option, fd, 12345, 1, 4) == errno.EOPNOTSUPP


def test_sending(pair):
    fd, other = pair
    assert sockets.sendmsg(fd, None, b"data", b"", 0) == 4
    assert sockets.sendmsg(fd, None, b"", b"", 0) == 0
    assert other.recv(99) == b"data"


def test_sending_a_descriptor(pair):
    fd, other = pair
    control = struct.pack("@Niii4x", 20, SOL_SOCKET, SCM_RIGHTS, fd.fileno())
    sockets.sendmsg(fd, None, b"x", control, 0)
    _, numbers, _, _ = socket.recv_fds(other, 9, 9)
    with HostFd(numbers[0]) as copy:
        assert sockets.cookie_of(copy) == sockets.cookie_of(fd)


def test_no_name_and_a_name_of_no_length():
    with own(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as fd:
        assert code_of(sockets.sendmsg, fd, None, b"x", b"", 0) == errno.ENOTCONN
        assert code_of(sockets.sendmsg, fd, b"", b"x", b"", 0) == errno.ENOTCONN
        assert code_of(sockets.sendmsg, fd, UNIX + b"\0nobody is here\0", b"x", b"", 0) == errno.ECONNREFUSED


def test_memory_that_ends_within_a_message(pair):
    fd, other = pair
    # A stream fails as a whole here, as natively: unix sockets copy a message before they queue it.
    assert code_of(sockets.sendmsg, fd, None, b"data", b"", MSG_DONTWAIT, 4) == errno.EFAULT
    other.setblocking(False)
    with pytest.raises(BlockingIOError):
        other.recv(9)
    assert code_of(sockets.sendmsg, fd, None, b"", b"", MSG_DONTWAIT, 1) == errno.EFAULT
