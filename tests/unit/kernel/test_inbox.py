"""recvmsg(2) into memory that is kept: what arrives, and how much of it."""

import ctypes
import errno
import os
import socket
from contextlib import contextmanager

import pytest

from supervisor.abi.message import CMSGHDR
from supervisor.abi.option import IP_PKTINFO, IP_RECVTOS, IP_RECVTTL, IP_TOS, IP_TTL
from supervisor.abi.socket import (
    MSG_CTRUNC,
    MSG_DONTWAIT,
    MSG_PEEK,
    MSG_TRUNC,
    SCM_RIGHTS,
    SOL_SOCKET,
)
from supervisor.errors import SyscallError
from supervisor.kernel import inbox as module
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.inbox import Inbox, available
from supervisor.sockets.address import Inet4, UnixAbstract, UnixPath, pack_address
from supervisor.sockets.control import parse_control, parse_rights

KINDS = {"stream": socket.SOCK_STREAM, "datagram": socket.SOCK_DGRAM, "seqpacket": socket.SOCK_SEQPACKET}
LOOPBACK = 0x7F000001


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture(params=["datagram", "seqpacket"])
def messages(request):
    with unix_pair(KINDS[request.param]) as pair:
        yield pair


@pytest.fixture
def stream():
    with unix_pair(socket.SOCK_STREAM) as pair:
        yield pair


@pytest.fixture
def udp():
    with udp_pair() as pair:
        yield pair


@contextmanager
def unix_pair(kind):
    """Our end, and whoever sends to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    with theirs, HostFd(ours.detach()) as fd:
        yield fd, theirs


@contextmanager
def udp_pair():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours, socket.socket(type=socket.SOCK_DGRAM) as theirs:
        ours.bind(("127.0.0.1", 0))
        theirs.connect(ours.getsockname())
        with HostFd(ours.detach()) as fd:
            yield fd, theirs


def data(got):
    return ctypes.string_at(got.address, got.copied)


def switch_on(fd, level, name):
    with socket.socket(fileno=os.dup(fd.fileno())) as sock:
        sock.setsockopt(level, name, 1)


def code_of(call, *arguments, **options):
    with pytest.raises(SyscallError) as caught:
        call(*arguments, **options)
    return caught.value.errno


# How much.


@pytest.mark.parametrize(("size", "expected", "flags"), [
    (0, b"", MSG_TRUNC), (1, b"a", MSG_TRUNC), (5, b"abcde", MSG_TRUNC), (6, b"abcdef", 0), (7, b"abcdef", 0),
    (1 << 20, b"abcdef", 0),
])
def test_a_message_is_cut(inbox, messages, size, expected, flags):
    fd, peer = messages
    peer.send(b"abcdef")
    got = inbox.receive(fd, size)
    assert (got.result, data(got), got.flags & MSG_TRUNC) == (len(expected), expected, flags)
    assert code_of(inbox.receive, fd, 1, flags=MSG_DONTWAIT) == errno.EAGAIN


@pytest.mark.parametrize("size", [0, 1, 5, 6, 7])
def test_its_true_length_is_told_to_who_asks(inbox, messages, size):
    fd, peer = messages
    peer.send(b"abcdef")
    got = inbox.receive(fd, size, flags=MSG_TRUNC)
    assert (got.result, got.copied, data(got)) == (6, min(size, 6), b"abcdef"[:size])


def test_a_stream_keeps_the_rest(inbox, stream):
    fd, peer = stream
    peer.send(b"abcdef")
    assert data(inbox.receive(fd, 2, flags=MSG_PEEK)) == b"ab"
    assert data(inbox.receive(fd, 2)) == b"ab"
    assert data(inbox.receive(fd, 99)) == b"cdef"
    peer.close()
    assert inbox.receive(fd, 99).result == 0


def test_errors_are_the_kernels(inbox, stream):
    fd, _ = stream
    assert code_of(inbox.receive, fd, 1, flags=MSG_DONTWAIT) == errno.EAGAIN
    assert code_of(inbox.receive, fd, 1, flags=MSG_DONTWAIT | socket.MSG_OOB) in (errno.EINVAL, errno.EOPNOTSUPP)
    with HostFd(os.open(os.devnull, os.O_RDONLY)) as file:
        assert code_of(inbox.receive, file, 1) == errno.ENOTSOCK


def test_nothing_of_the_last_message_is_left_after_an_error(inbox, stream):
    fd, peer = stream
    peer.send(b"abc")
    inbox.receive(fd, 9)
    assert code_of(inbox.receive, fd, 9, flags=MSG_DONTWAIT) == errno.EAGAIN
    peer.send(b"d")
    got = inbox.receive(fd, 9)
    assert (data(got), got.flags, got.name, got.control) == (b"d", 0, b"", b"")


# What is more than the buffer that is kept.


@pytest.fixture
def small(monkeypatch):
    """An inbox that keeps 16 bytes."""
    monkeypatch.setattr(module, "SIZE", 16)
    return Inbox()


@pytest.mark.parametrize("size", [17, 40, 41, 1 << 40])
def test_what_is_there_is_received_at_once(small, messages, size):
    fd, peer = messages
    peer.send(bytes(range(40)))
    got = small.receive(fd, size)
    assert (got.result, data(got)) == (min(size, 40), bytes(range(40))[:size])


def test_a_stream_of_more(small, stream):
    fd, peer = stream
    peer.send(bytes(range(40)))
    assert data(small.receive(fd, 30, flags=MSG_PEEK)) == bytes(range(30))
    assert data(small.receive(fd, 30)) == bytes(range(30))
    assert data(small.receive(fd, 30)) == bytes(range(30, 40))


def test_what_was_received_is_there_until_the_next(small, messages):
    fd, peer = messages
    peer.send(bytes(40))
    peer.send(b"b" * 40)
    first = small.receive(fd, 40)
    assert data(first) == bytes(40)
    second = small.receive(fd, 40)
    assert data(second) == b"b" * 40


def test_room_without_data_costs_nothing(inbox, messages):
    fd, peer = messages
    peer.send(b"abc")
    small = inbox.receive(fd, 3, flags=MSG_PEEK)
    large = inbox.receive(fd, 1 << 40)
    assert (large.address, data(large)) == (small.address, b"abc")


# From whom.


def test_a_stream_has_no_name(inbox, stream):
    fd, peer = stream
    peer.send(b"x")
    assert inbox.receive(fd, 9).name == b""


def test_who_sent_a_datagram(inbox, udp):
    fd, peer = udp
    peer.send(b"x")
    assert inbox.receive(fd, 9).name == pack_address(Inet4(LOOPBACK, peer.getsockname()[1]))


@pytest.mark.parametrize("name", ["path", "abstract", "long", "none"])
def test_who_sent_a_unix_datagram(inbox, messages_by_name, tmp_path, name):
    fd, there = messages_by_name
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        expected = b""
        if name == "path":
            peer.bind(str(tmp_path / "peer"))
            expected = pack_address(UnixPath(bytes(tmp_path / "peer")))
        elif name != "none":
            text = b"inbox-%d" % os.getpid() if name == "abstract" else b"%0107d" % os.getpid()
            peer.bind(b"\0" + text)
            expected = pack_address(UnixAbstract(text))
        peer.sendto(b"x", there)
        assert inbox.receive(fd, 9).name == expected


@pytest.fixture
def messages_by_name(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "here"))
        with HostFd(sock.detach()) as fd:
            yield fd, str(tmp_path / "here")


def test_a_long_name_is_not_left_for_the_next(inbox, udp, stream):
    (fd, peer), (other, another) = udp, stream
    peer.send(b"x")
    another.send(b"y")
    assert inbox.receive(fd, 9).name
    assert inbox.receive(other, 9).name == b""


# Control messages.


def test_what_was_asked_for(inbox, udp):
    fd, peer = udp
    switch_on(fd, socket.IPPROTO_IP, IP_RECVTOS)
    peer.send(b"x")
    got = inbox.receive(fd, 9, control=64, has_control=True)
    (message,) = parse_control(got.control)
    assert (message.level, message.type, message.data) == (socket.IPPROTO_IP, IP_TOS, b"\0")
    assert (len(got.control), got.flags) == (socket.CMSG_SPACE(1), 0)


@pytest.mark.parametrize(("has_control", "room"), [(False, 0), (False, 64), (True, 0), (True, 15)])
def test_no_room_for_it(inbox, udp, has_control, room):
    fd, peer = udp
    switch_on(fd, socket.IPPROTO_IP, IP_RECVTTL)
    peer.send(b"x")
    got = inbox.receive(fd, 9, control=room, has_control=has_control)
    assert (data(got), got.control, got.flags) == (b"x", b"", MSG_CTRUNC)


@pytest.mark.parametrize("room", [16, 17, 19])
def test_it_is_cut(inbox, udp, room):
    fd, peer = udp
    switch_on(fd, socket.IPPROTO_IP, IP_RECVTTL)
    peer.send(b"x")
    got = inbox.receive(fd, 9, control=room, has_control=True)
    assert (len(got.control), got.flags) == (room, MSG_CTRUNC)
    assert CMSGHDR.unpack_from(got.control) == (room, socket.IPPROTO_IP, IP_TTL)


@pytest.mark.parametrize("room", [20, 23])
def test_its_padding_may_be_missing(inbox, udp, room):
    fd, peer = udp
    switch_on(fd, socket.IPPROTO_IP, IP_RECVTTL)
    peer.send(b"x")
    got = inbox.receive(fd, 9, control=room, has_control=True)
    (message,) = parse_control(got.control)
    assert (len(got.control), len(message.data), got.flags) == (room, 4, 0)


def test_more_room_than_is_kept(inbox, udp):
    fd, peer = udp
    switch_on(fd, socket.IPPROTO_IP, IP_RECVTTL)
    peer.send(b"x")
    got = inbox.receive(fd, 9, control=1 << 62, has_control=True)
    assert len(got.control) == socket.CMSG_SPACE(4)


def test_the_next_message_has_none_of_it(inbox, udp, stream):
    (fd, peer), (other, another) = udp, stream
    switch_on(fd, socket.IPPROTO_IP, IP_RECVTTL)
    peer.send(b"x")
    another.send(b"y")
    assert inbox.receive(fd, 9, control=64, has_control=True).control
    assert inbox.receive(other, 9, control=64, has_control=True).control == b""


def test_padding_tells_nothing_of_another_programs_message(inbox):
    with udp_pair() as (fd, peer):
        switch_on(fd, socket.IPPROTO_IP, IP_PKTINFO)
        peer.send(b"x")
        assert b"\x7f\0\0\1" in inbox.receive(fd, 9, control=64, has_control=True).control
    with udp_pair() as (fd, peer):
        switch_on(fd, socket.IPPROTO_IP, IP_RECVTTL)
        peer.send(b"x")
        control = inbox.receive(fd, 9, control=64, has_control=True).control
        assert control[socket.CMSG_LEN(4) :] == bytes(4)


@pytest.mark.parametrize(("room", "count", "flags"), [
    (64, 3, 0), (28, 3, 0), (27, 2, MSG_CTRUNC), (20, 1, MSG_CTRUNC), (16, 0, MSG_CTRUNC), (0, 0, MSG_CTRUNC),
])
def test_descriptors_become_ours_or_are_gone(inbox, stream, room, count, flags):
    fd, peer = stream
    socket.send_fds(peer, [b"x"], [0, 1, 2])
    got = inbox.receive(fd, 9, control=room, has_control=True, flags=socket.MSG_CMSG_CLOEXEC)
    messages = parse_control(got.control)
    assert [(message.level, message.type) for message in messages] == [(SOL_SOCKET, SCM_RIGHTS)] * bool(count)
    copies = [HostFd(number) for message in messages for number in parse_rights(message.data)]
    assert [os.path.sameopenfile(copy.fileno(), number) for number, copy in enumerate(copies)] == [True] * count
    assert got.flags & MSG_CTRUNC == flags
    for copy in copies:
        assert not os.get_inheritable(copy.fileno())
        copy.close()


def test_descriptors_without_room_are_gone(inbox, stream):
    fd, peer = stream
    socket.send_fds(peer, [b"x"], [0])
    got = inbox.receive(fd, 9, control=64)
    assert (data(got), got.control, got.flags) == (b"x", b"", MSG_CTRUNC)


# What is there.


def test_how_much_a_stream_has(stream):
    fd, peer = stream
    assert available(fd) == 0
    peer.send(b"abc")
    peer.send(b"de")
    assert available(fd) == 5


def test_how_much_the_next_datagram_has():
    for pair in (udp_pair(), unix_pair(socket.SOCK_DGRAM)):
        with pair as (fd, peer):
            assert available(fd) == 0
            peer.send(b"abc")
            peer.send(b"de")
            assert available(fd) == 3


def test_some_sockets_do_not_say():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        with HostFd(sock.detach()) as listener:
            assert available(listener) == 0
    with HostFd(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).detach()) as netlink:
        assert available(netlink) == 0


def test_what_is_no_socket_at_all(tmp_path):
    with HostFd(os.open(tmp_path, os.O_PATH)) as path, pytest.raises(OSError) as caught:
        available(path)
    assert caught.value.errno == errno.EBADF
