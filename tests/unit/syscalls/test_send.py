"""sendto(2), sendmsg(2), sendmmsg(2)."""

import errno
import os
import signal
import socket
import struct

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from supervisor.abi.message import IOVEC, MSGHDR
from supervisor.abi.socket import (
    AF_UNSPEC,
    MSG_CMSG_COMPAT,
    MSG_DONTWAIT,
    MSG_FASTOPEN,
    MSG_NOSIGNAL,
    MSG_ZEROCOPY,
)
from supervisor.sockets.address import Inet4, Inet6, UnixPath, pack_address
from supervisor.sockets.option import DIVERTING
from supervisor.syscalls import sending as send_module
from supervisor.syscalls.reply import ERESTARTSYS, Later
from supervisor.syscalls.sending import CHUNK
from supervisor.syscalls.table import ROWS
from tests.unit.syscalls.stage import (
    LOOPBACK,
    NOTHING,
    Continued,
    Failed,
    Returned,
    address_of,
    cmsg,
    listening,
    null,
    said,
    tcp,
    udp,
    unix_listening,
)

HANDLERS = {row.name: row.handler for row in ROWS}
ONLY_LOOPBACK = 'default = "deny"\nerrno = "EPERM"\nsocket.allow = ["*"]\nsend.allow = ["127.0.0.1:*"]'
ELSEWHERE = Inet4(0x0A000001, 9)


async def send_in_one_way(world, way, sock, data, address, flags=0):
    """The three calls with one message. sendmmsg's answer is the count of messages: as that of bytes."""
    number = world.open(sock)
    if way == "sendto":
        name = world.address(address) if address is not None else (0, 0)
        return await world.call("sendto", number, world.put(data), len(data), flags, *name)
    raw = b"" if address is None else address
    if way == "sendmsg":
        return await world.call("sendmsg", number, world.message(data, name=raw), flags)
    vector = world.messages((data, raw))
    answer = await world.call("sendmmsg", number, vector, 1, flags)
    return Returned(world.counts(vector, 1)[0]) if answer == Returned(1) else answer


each_way = pytest.mark.parametrize("way", ["sendto", "sendmsg", "sendmmsg"])


@each_way
async def test_under_no_policy_the_kernel_sends(world, way):
    with udp(bound=True) as peer, udp() as sock:
        assert await send_in_one_way(world, way, sock, b"abc", address_of(peer)) == Continued()
        assert world.only_event().asked == address_of(peer)


@each_way
async def test_what_was_judged_is_sent(world, way):
    world.under(ONLY_LOOPBACK)
    with udp(bound=True) as peer, udp() as sock:
        assert await send_in_one_way(world, way, sock, b"abc", address_of(peer)) == Returned(3)
        assert peer.recv(9) == b"abc"
    event = world.only_event()
    assert (event.how, event.verdict.allowed) == ("performed", True)


@each_way
@pytest.mark.parametrize("address", [ELSEWHERE, Inet4(0xFFFFFFFF, 9)])
async def test_what_is_refused_is_not_sent(world, way, address):
    world.under(ONLY_LOOPBACK)
    with udp() as sock:
        assert await send_in_one_way(world, way, sock, b"abc", address) == Failed(errno.EPERM)
        assert sock.getsockname()[1] == 0  # a socket that has sent has a port
    assert (world.only_event().how, world.session.refusals) == ("refused", 1)


@each_way
async def test_a_family_of_none_is_inet_for_an_inet_socket(world, way):
    world.under(ONLY_LOOPBACK)
    with udp() as sock:
        raw = AF_UNSPEC.to_bytes(2, "little") + pack_address(ELSEWHERE)[2:]
        assert await send_in_one_way(world, way, sock, b"abc", raw) == Failed(errno.EPERM)


@each_way
async def test_a_connected_peer_needs_no_name(world, way):
    world.under(ONLY_LOOPBACK)
    with udp(bound=True) as peer, udp() as sock:
        sock.connect(peer.getsockname())
        assert await send_in_one_way(world, way, sock, b"abc", None) == Returned(3)
        assert peer.recv(9) == b"abc"
    assert world.events == []


async def test_an_ipv6_socket_reads_no_family_as_its_peer(world):
    world.under(ONLY_LOOPBACK)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        raw = AF_UNSPEC.to_bytes(2, "little") + bytes(14)
        assert await send_in_one_way(world, "sendto", sock, b"abc", raw) == Failed(errno.EDESTADDRREQ)


@each_way
async def test_the_kernels_own_errors(world, way):
    world.under(NOTHING)
    with udp() as sock, null() as file:
        assert await send_in_one_way(world, way, sock, b"abc", Inet6(1, 9)) == Failed(errno.EAFNOSUPPORT)
        assert await send_in_one_way(world, way, sock, b"abc", None) == Failed(errno.EDESTADDRREQ)
        assert await send_in_one_way(world, way, file, b"abc", None) == Failed(errno.ENOTSOCK)
    assert world.events == []


async def test_what_sendto_asks_of_its_arguments(world):
    world.under(ONLY_LOOPBACK)
    with udp() as sock:
        number, data = world.open(sock), world.put(b"abc")
        address, length = world.address(Inet4(LOOPBACK, 9))
        for arguments, code in (
            ((number, data, 3, 0, address, -1), errno.EINVAL), ((number, data, 3, 0, address, 129), errno.EINVAL),
            ((number, data, 3, 0, 8, length), errno.EFAULT), ((number, 8, 3, 0, address, length), errno.EFAULT),
            ((number, 1 << 63, 0, 0, address, length), errno.EFAULT), ((999, data, 3, 0, 0, 0), errno.EBADF),
        ):
            assert await world.call("sendto", *arguments) == Failed(code)


async def test_what_sendmsg_asks_of_its_header(world):
    world.under(ONLY_LOOPBACK)
    data = world.put(b"abc")
    vectors = world.put(IOVEC.pack(data, 3))
    far = world.put(IOVEC.pack(data, 1 << 63))
    name, length = world.address(Inet4(LOOPBACK, 9))
    with udp() as sock:
        number = world.open(sock)
        for header, code in (
            ((name, -1, vectors, 1, 0, 0, 0), errno.EINVAL), ((8, 16, vectors, 1, 0, 0, 0), errno.EFAULT),
            ((name, length, vectors, 1025, 0, 0, 0), errno.EMSGSIZE), ((name, length, 8, 1, 0, 0, 0), errno.EFAULT),
            ((name, length, far, 1, 0, 0, 0), errno.EINVAL), ((name, length, vectors, 1, 8, 8, 0), errno.EFAULT),
            ((name, length, vectors, 1, 8, 1 << 31, 0), errno.ENOBUFS),
            ((name, length, vectors, 1, 8, 10 * 1024 * 1024 + 1, 0), errno.ENOBUFS),
        ):
            assert await world.call("sendmsg", number, world.put(MSGHDR.pack(*header)), 0) == Failed(code)
        assert await world.call("sendmsg", number, 8, 0) == Failed(errno.EFAULT)
        for call in ("sendmsg", "sendmmsg"):
            assert await world.call(call, number, 8, MSG_CMSG_COMPAT, MSG_CMSG_COMPAT) == Failed(errno.EINVAL)


async def test_names_without_a_pointer_have_no_length(world):
    world.under(ONLY_LOOPBACK)
    with udp(bound=True) as peer, udp() as sock:
        sock.connect(peer.getsockname())
        vectors = world.put(IOVEC.pack(world.put(b"abc"), 3))
        header = world.put(MSGHDR.pack(0, -1, vectors, 1, 0, 0, 0))
        assert await world.call("sendmsg", world.open(sock), header, 0) == Returned(3)


async def test_several_buffers_are_one_message(world):
    world.under(ONLY_LOOPBACK)
    with udp(bound=True) as peer, udp() as sock:
        header = world.message(b"ab", b"", b"cde", name=address_of(peer))
        assert await world.call("sendmsg", world.open(sock), header, 0) == Returned(5)
        assert peer.recv(9) == b"abcde"


async def test_the_address_is_read_once(world, monkeypatch):
    world.under(ONLY_LOOPBACK)
    with udp(bound=True) as peer, udp() as sock:
        name, length = world.address(address_of(peer))
        monkeypatch.setattr(
            world.listener, "valid", lambda _: bool(world.memory.write(name, pack_address(ELSEWHERE)))
        )
        data = world.put(b"abc")
        assert await world.call("sendto", world.open(sock), data, 3, 0, name, length) == Returned(3)
        assert peer.recv(9) == b"abc"


@each_way
async def test_a_call_that_went_away_sends_nothing(world, way, monkeypatch):
    world.under(ONLY_LOOPBACK)
    monkeypatch.setattr(world.listener, "valid", lambda _: False)
    with udp(bound=True) as peer, udp() as sock:
        assert await send_in_one_way(world, way, sock, b"abc", address_of(peer)) is None
        assert sock.getsockname()[1] == 0


# What would carry a message elsewhere.


@pytest.mark.parametrize(("level", "kind"), sorted(DIVERTING))
async def test_diverting_control_messages(world, level, kind):
    world.under(ONLY_LOOPBACK)
    with udp(bound=True) as peer, udp() as sock:
        header = world.message(b"abc", name=address_of(peer), control=cmsg(level, kind, bytes(4)))
        assert await world.call("sendmsg", world.open(sock), header, 0) == Failed(errno.EPERM)
        assert sock.getsockname()[1] == 0


async def test_control_data_that_cannot_be_split(world):
    world.under(ONLY_LOOPBACK)
    with udp(bound=True) as peer, udp() as sock:
        header = world.message(b"abc", name=address_of(peer), control=struct.pack("@Nii", 99, 0, 0))
        assert await world.call("sendmsg", world.open(sock), header, 0) == Failed(errno.EINVAL)


@each_way
async def test_fast_open_is_a_connect(world, way):
    world.under('default = "deny"\nerrno = "EPERM"\nsocket.allow = ["*"]\nsend.allow = ["127.0.0.1:*"]')
    with listening() as (_, address), tcp() as sock:
        assert await send_in_one_way(world, way, sock, b"abc", address, MSG_FASTOPEN) == Failed(errno.EPERM)
        with pytest.raises(OSError, match="not connected"):
            sock.getpeername()


FREE_SENDS = (
    'default = "deny"\nerrno = "EPERM"\nsocket.allow = ["*"]\nsend.allow = ["*:*", "unix:*"]\n'
    'connect.allow = ["127.0.0.2:*"]'
)


@each_way
@pytest.mark.parametrize("flags", [MSG_FASTOPEN, MSG_FASTOPEN | MSG_ZEROCOPY])
async def test_fast_open_is_a_connect_where_sends_are_free(world, way, flags):
    world.under(FREE_SENDS)
    with listening() as (_, address), tcp() as sock:
        assert await send_in_one_way(world, way, sock, b"abc", address, flags) == Failed(errno.EPERM)


@each_way
async def test_a_stream_ignores_a_name(world, way):
    world.under(NOTHING, "full")
    with listening() as (listener, address), tcp() as sock:
        sock.connect(("127.0.0.1", address.port))
        accepted, _ = listener.accept()
        with accepted:
            assert await send_in_one_way(world, way, sock, b"abc", ELSEWHERE) == Returned(3)
            assert accepted.recv(9) == b"abc"


# Where the kernel may do it.


@pytest.mark.parametrize(("options", "threads", "answer"), [
    ({"guarded": True}, 1, Continued()), ({"guarded": True}, 2, Returned(3)), ({}, 1, Returned(3)),
])
@each_way
async def test_a_stream_that_nobody_can_swap_is_the_kernels(world, way, options, threads, answer):
    world.under(ONLY_LOOPBACK, **options)
    world.thread.facts = world.thread.facts._replace(threads=threads)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert await send_in_one_way(world, way, theirs, b"abc", None) == answer


async def test_a_thread_that_ends_during_a_batch(world, monkeypatch):
    world.under(ONLY_LOOPBACK, guarded=True)
    alone = iter([False, True, True])
    monkeypatch.setattr(type(world.thread), "is_alone", lambda _: next(alone))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        vector = world.messages((b"a", b""), (b"b", b""))
        assert await world.call("sendmmsg", world.open(theirs), vector, 2, 0) == Returned(2)


# sendmmsg.


async def test_a_batch(world):
    world.under(ONLY_LOOPBACK)
    with udp(bound=True) as peer, udp() as sock:
        vector = world.messages((b"a", address_of(peer)), (b"bcd", address_of(peer)))
        assert await world.call("sendmmsg", world.open(sock), vector, 2, 0) == Returned(2)
        assert world.counts(vector, 2) == [1, 3]
        assert (peer.recv(9), peer.recv(9)) == (b"a", b"bcd")


async def test_a_batch_stops_at_the_first_refusal(world):
    world.under(ONLY_LOOPBACK)
    with udp(bound=True) as peer, udp() as sock:
        vector = world.messages((b"a", address_of(peer)), (b"b", ELSEWHERE), (b"c", address_of(peer)))
        assert await world.call("sendmmsg", world.open(sock), vector, 3, 0) == Returned(1)
        assert world.counts(vector, 3) == [1, 0, 0]
        assert peer.recv(9) == b"a"
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(9)


async def test_a_refusal_that_ends_a_batch_is_not_called_performed(world):
    world.under(ONLY_LOOPBACK)
    with udp(bound=True) as peer, udp() as sock:
        vector = world.messages((b"a", address_of(peer)), (b"b", ELSEWHERE))
        assert await world.call("sendmmsg", world.open(sock), vector, 2, 0) == Returned(1)
    assert all(event.verdict.allowed == (event.how != "refused") for event in world.events)


async def test_a_batch_that_begins_with_a_refusal(world):
    world.under(ONLY_LOOPBACK)
    with udp() as sock:
        vector = world.messages((b"b", ELSEWHERE), (b"a", Inet4(LOOPBACK, 9)))
        assert await world.call("sendmmsg", world.open(sock), vector, 2, 0) == Failed(errno.EPERM)
        assert sock.getsockname()[1] == 0


async def test_an_empty_batch(world):
    world.under(ONLY_LOOPBACK)
    with udp() as sock:
        assert await world.call("sendmmsg", world.open(sock), 8, 0, 0) == Returned(0)


async def test_a_batch_is_cut_at_1024(world):
    world.under(ONLY_LOOPBACK)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs, world.stopped("sendmmsg") as call:
        vector = world.put(MSGHDR.pack(0, 0, 0, 0, 0, 0, 0).ljust(64, b"\0") * 1025)
        reply = HANDLERS["sendmmsg"](call, world.open(theirs), vector, 0xFFFFFFFF, MSG_DONTWAIT)
        assert reply.value <= 1024


# Streams and waiting.


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        yield ours, theirs


PERFORM = 'default = "deny"\nerrno = "EPERM"\nunix = "perform"\nsocket.allow = ["*"]'


async def test_a_long_send_waits_for_room(world, pair):
    world.under(PERFORM)
    ours, theirs = pair
    data = os.urandom(2 * CHUNK + 5)
    received = bytearray()
    async with trio.open_nursery() as nursery:
        ident = world.start(nursery, "sendto", world.open(theirs), world.put(data), len(data), 0, 0, 0)
        while len(received) < len(data):
            await wait_all_tasks_blocked()
            received += ours.recv(1 << 20)
    assert received == data
    assert world.listener.answer_to(ident) == [Returned(len(data))]


async def test_one_that_does_not_block_sends_what_fits(world, pair):
    world.under(PERFORM)
    _, theirs = pair
    data = world.put(bytes(CHUNK))
    sent = await world.call("sendto", world.open(theirs), data, CHUNK, MSG_DONTWAIT, 0, 0)
    assert 0 < sent.value < CHUNK
    assert await world.call("sendto", world.open(theirs), data, CHUNK, MSG_DONTWAIT, 0, 0) == Failed(errno.EAGAIN)


async def test_a_timeout_gives_the_partial_count(world, pair):
    world.under(PERFORM)
    _, theirs = pair
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 0, 10_000))
    data = world.put(bytes(CHUNK))
    number = world.open(theirs)
    assert 0 < (await world.call("sendto", number, data, CHUNK, 0, 0, 0)).value < CHUNK
    assert await world.call("sendto", number, data, CHUNK, 0, 0, 0) == Failed(errno.EAGAIN)


@pytest.mark.parametrize(("timeout", "code"), [(0, ERESTARTSYS), (60, errno.EINTR)])
async def test_what_a_signal_makes_of_it(world, pair, timeout, code):
    world.under(PERFORM)
    _, theirs = pair
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", timeout, 0))
    number, data = world.open(theirs), world.put(bytes(CHUNK))
    with world.stopped("sendto") as call:
        reply = HANDLERS["sendto"](call, number, data, CHUNK, 0, 0, 0)
        assert isinstance(reply, Later)
        assert 0 < reply.interrupted().value < CHUNK
    with world.stopped("sendto") as call:
        reply = HANDLERS["sendto"](call, number, data, CHUNK, 0, 0, 0)
        assert said(reply.interrupted()) == Failed(code)


async def test_data_that_ends_in_a_gap(world, pair):
    world.under(PERFORM)
    ours, theirs = pair
    data = world.memory.put_before_gap(b"abc")
    assert await world.call("sendto", world.open(theirs), data, 9, 0, 0, 0) == Failed(errno.EFAULT)
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        ours.recv(9)


@pytest.mark.parametrize(("flags", "signals"), [(0, [signal.SIGPIPE]), (MSG_NOSIGNAL, [])])
async def test_a_broken_pipe(world, pair, flags, signals):
    world.under(PERFORM)
    ours, theirs = pair
    ours.close()
    assert await world.call("sendto", world.open(theirs), world.put(b"x"), 1, flags, 0, 0) == Failed(errno.EPIPE)
    assert world.thread.signals == signals


# Unix datagrams.


@each_way
async def test_what_a_path_leads_to_is_judged(world, way, tmp_path):
    world.under(f'default = "deny"\nerrno = "EPERM"\nunix = "perform"\nsend.allow = ["unix:{tmp_path}/open"]')
    (tmp_path / "way").symlink_to("open")
    (tmp_path / "trap").symlink_to("shut")
    expected = {"open": Returned(3), "way": Returned(3), "trap": Failed(errno.EPERM), "no": Failed(errno.ENOENT)}
    with (
        unix_listening(tmp_path / "open", socket.SOCK_DGRAM) as peer,
        unix_listening(tmp_path / "shut", socket.SOCK_DGRAM),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        for name, answer in expected.items():
            path = UnixPath(bytes(tmp_path / name))
            assert await send_in_one_way(world, way, sock, b"abc", path) == answer, name
        assert (peer.recv(9), peer.recv(9)) == (b"abc", b"abc")


async def test_a_peer_without_room_is_asked_again(world, tmp_path, monkeypatch):
    world.under(f'default = "deny"\nunix = "perform"\nsend.allow = ["unix:{tmp_path}/**"]')
    path = tmp_path / "s"
    with (
        unix_listening(path, socket.SOCK_DGRAM) as peer,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        fill(str(path))
        name = world.address(UnixPath(bytes(path)))
        async with trio.open_nursery() as nursery:
            ident = world.start(nursery, "sendto", world.open(sock), world.put(b"abc"), 3, 0, *name)
            await third_time(monkeypatch, send_module.sockets, "sendmsg")
            assert world.listener.answer_to(ident) == []
            peer.recv(9)
        assert world.listener.answer_to(ident) == [Returned(3)]


async def third_time(monkeypatch, module, name):
    """Wait until a function has been called three times."""
    seen, function = trio.Event(), getattr(module, name)
    calls = []

    def called(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            seen.set()
        return function(*arguments)

    monkeypatch.setattr(module, name, called)
    await seen.wait()


def fill(path):
    """Send to a peer until it has no room."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.setblocking(False)
        while True:
            try:
                filler.sendto(b"x", path)
            except BlockingIOError:
                return
