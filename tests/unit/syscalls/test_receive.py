"""recvfrom(2), recvmsg(2), recvmmsg(2): what is there is received as the kernel would; the rest is the kernel's."""

import ctypes
import errno
import mmap
import socket
import struct

import pytest

from supervisor.abi.message import IOVEC, MSGHDR
from supervisor.abi.option import IP_PKTINFO, IP_RECVTTL, SO_TIMESTAMPING
from supervisor.abi.socket import (
    MSG_CMSG_CLOEXEC,
    MSG_CMSG_COMPAT,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    SO_PASSCRED,
    SO_RCVLOWAT,
    SOL_SOCKET,
    UIO_MAXIOV,
)
from supervisor.errors import TraceeGone
from supervisor.kernel import libc
from supervisor.sockets.address import Inet4, pack_address
from supervisor.syscalls.message import USER_END
from supervisor.syscalls.table import ROWS
from supervisor.testing.memory import PAGE
from tests.unit.kernel.test_process import READ_WRITE, map_pages
from tests.unit.syscalls.room import (
    FILL,
    PAIRS,
    STREAMS,
    each_handler,
    each_kind,
    each_message,
    each_stream,
    each_way,
    each_way_of_kinds,
    natively,
    pair_of,
    receive_in_one_way,
    rest_of,
    room,
    room_at,
    supervised,
)
from tests.unit.syscalls.stage import LOOPBACK, UNMAPPED, Continued, Failed, Returned, null

HANDLERS = {row.name: row.handler for row in ROWS}
TX_SOFTWARE = 2 | 16  # SOF_TIMESTAMPING_TX_SOFTWARE, and that it is told


# As the kernel.


@each_kind
@pytest.mark.parametrize("flags", [
    0, MSG_PEEK, MSG_TRUNC, MSG_PEEK | MSG_TRUNC, MSG_WAITALL, MSG_OOB, MSG_DONTWAIT, MSG_ERRQUEUE,
    MSG_CMSG_CLOEXEC, MSG_WAITALL | MSG_PEEK, MSG_OOB | MSG_TRUNC, MSG_OOB | MSG_PEEK, 0x800, 0x10000,
])
@pytest.mark.parametrize("sent", [[b"abcdef", b"gh"], [b""], []], ids=len)
async def test_every_flag_and_size(receiver, kind, flags, sent):
    for sizes in ((64,), (6,), (2, 0, 3), (0,), (4, 64), (1,) * 7):
        for control in (0, 64):
            outcomes = []
            for receive in (natively, lambda *arguments: supervised(receiver, *arguments)):
                with pair_of(kind) as (ours, theirs):
                    for message in sent:
                        theirs.send(message)
                    outcomes.append(receive(ours, sizes, control, flags))
            assert outcomes[1] == outcomes[0], (sizes, control)
    receiver.clean()


@each_kind
@pytest.mark.parametrize("control", [0, 1, 15, 16, 17, 20, 23, 24, 28, 31, 32, 40, 56, 64])
async def test_every_size_of_control(receiver, kind, control):
    options = (
        [(SOL_SOCKET, SO_PASSCRED)] if kind.startswith("unix") else
        [(socket.IPPROTO_IP, IP_RECVTTL), (socket.IPPROTO_IP, IP_PKTINFO)]
    )
    outcomes = []
    for receive in (natively, lambda *arguments: supervised(receiver, *arguments)):
        with pair_of(kind) as (ours, theirs):
            for level, name in options:
                ours.setsockopt(level, name, 1)
            theirs.send(b"abc")
            outcomes.append(receive(ours, (64,), control, 0))
    assert outcomes[1] == outcomes[0]


@each_stream
async def test_urgent_data(receiver, kind):
    for flags in (MSG_OOB, MSG_OOB | MSG_PEEK, 0, MSG_PEEK):
        outcomes = []
        for receive in (natively, lambda *arguments: supervised(receiver, *arguments)):
            with pair_of(kind) as (ours, theirs):
                theirs.send(b"abc")
                theirs.send(b"!", MSG_OOB)
                theirs.send(b"def")
                outcomes.append(receive(ours, (64,), 0, flags))
        assert outcomes[1] == outcomes[0], flags
    receiver.clean()


@each_kind
async def test_after_the_end(receiver, kind):
    outcomes = []
    for receive in (natively, lambda *arguments: supervised(receiver, *arguments)):
        with pair_of(kind) as (ours, theirs):
            theirs.send(b"abc")
            ours.send(b"unread") if kind == "unix" else None
            theirs.close()
            outcomes.append(receive(ours, (64,), 64, 0))
    assert outcomes[1] == outcomes[0]


# What is there.


@each_way_of_kinds
async def test_what_is_there(receiver, way, kind):
    for blocking in (False, True):
        with pair_of(kind, blocking=blocking) as (ours, theirs):
            theirs.send(b"abc")
            space = room(receiver)
            assert receive_in_one_way(receiver, way, ours, space) == Returned(3)
            assert space.data() == [b"abc".ljust(64, FILL)]
    receiver.clean()


@each_way
@pytest.mark.parametrize("length", [0, 1, 8, 16, 17, 128])
async def test_who_sent_it(receiver, way, length):
    with pair_of("udp") as (ours, theirs):
        theirs.send(b"abc")
        space = room(receiver, name=128)
        receiver.memory.write(space.header + 8, struct.pack("=i", length))
        assert receive_in_one_way(receiver, way, ours, space) == Returned(3)
        expected = pack_address(Inet4(LOOPBACK, theirs.getsockname()[1]))
        assert space.told().namelen == 16
        assert receiver.memory.read(space.name, 20) == expected[:length].ljust(20, FILL)


@pytest.mark.parametrize("way", ["recvfrom", "recvmsg"])
async def test_a_stream_has_a_name_of_no_length(receiver, way):
    with pair_of("tcp") as (ours, theirs):
        theirs.send(b"abc")
        space = room(receiver, name=128)
        assert receive_in_one_way(receiver, way, ours, space) == Returned(3)
        assert space.told().namelen == 0
        assert receiver.memory.read(space.name, 128) == FILL * 128


@each_way
@each_message
async def test_a_name_that_cannot_be_told(receiver, way, kind):
    """The message is gone, as natively."""
    with pair_of(kind) as (ours, theirs):
        space = room(receiver)
        space = room_at(receiver, space.buffers, name=1)
        theirs.send(b"abc")
        receiver.memory.write(space.header + 8, struct.pack("=i", -1))
        expected = errno.EINVAL
        answer = receive_in_one_way(receiver, way, ours, space)
        if way == "recvmmsg" and answer == Continued():
            return
        assert answer == Failed(expected)
        # recvmsg looks at the length before it receives.
        assert space.data() == [(b"abc" if way == "recvfrom" else b"").ljust(64, FILL)]


async def test_a_name_of_recvfrom_without_a_length(receiver):
    with pair_of("udp") as (ours, theirs):
        theirs.send(b"abc")
        for name, length in ((receiver.put(bytes(16)), 8), (UNMAPPED, None)):
            at = receiver.put(struct.pack("=i", 16)) if length is None else length
            buf = receiver.put(bytes(9))
            assert receiver.at_once("recvfrom", receiver.open(ours), buf, 9, 0, name, at) == Continued()
            assert receiver.memory.read(buf, 4) == bytes(4)
        assert rest_of(ours) == [b"abc", errno.EAGAIN]


async def test_a_length_past_any_buffer(receiver):
    with pair_of("unix") as (ours, theirs):
        theirs.send(b"abc")
        buf = receiver.put(bytes(PAGE))
        # It is more than can be shown to be writable.
        assert receiver.at_once("recvfrom", receiver.open(ours), buf, 1 << 40, 0, 0, 0) == Continued()
    with pair_of("udp") as (ours, theirs):
        theirs.send(b"abc")
        assert receiver.at_once("recvfrom", receiver.open(ours), buf, 1 << 40, 0, 0, 0) == Continued()


@each_kind
async def test_more_than_the_inbox_keeps(receiver, kind, monkeypatch):
    monkeypatch.setattr("supervisor.kernel.inbox.SIZE", 1000)
    with pair_of(kind) as (ours, theirs):
        data = bytes(range(250)) * 80
        theirs.send(data)
        space = room(receiver, 5000, 9000, 9000)
        assert receive_in_one_way(receiver, "recvmsg", ours, space) == Returned(20000)
        assert b"".join(space.data()) == data.ljust(23000, FILL)


async def test_no_more_memory_is_touched_than_is_received(receiver, monkeypatch):
    """Pages of a large buffer that nothing was received into do not become the program's."""
    asked = []
    write = type(receiver.thread).write_vectors

    def write_vectors(thread, ranges, source, length):
        asked.append((sum(size for _, size in ranges), length))
        return write(thread, ranges, source, length)

    monkeypatch.setattr(type(receiver.thread), "write_vectors", write_vectors)
    for kind in ("unix", "udp"):
        with pair_of(kind) as (ours, theirs):
            theirs.send(b"abc")
            assert receive_in_one_way(receiver, "recvmsg", ours, room(receiver, 2, 1 << 20)) == Returned(3)
    assert asked == [(3, 3), (3, 3)]


# What has to be waited for.


@each_way_of_kinds
async def test_the_kernel_waits(receiver, way, kind):
    with pair_of(kind, blocking=True) as (ours, _):
        assert receive_in_one_way(receiver, way, ours, room(receiver)) == Continued()
        assert receive_in_one_way(receiver, way, ours, room(receiver), MSG_DONTWAIT) == Continued()
        ours.setblocking(False)
        assert receive_in_one_way(receiver, way, ours, room(receiver)) == Continued()
    receiver.clean()


@each_stream
@pytest.mark.parametrize(("size", "answer"), [(3, Returned(3)), (4, Continued())])
async def test_all_is_waited_for(receiver, kind, size, answer):
    with pair_of(kind, blocking=True) as (ours, theirs):
        theirs.send(b"abc")
        assert receive_in_one_way(receiver, "recvmsg", ours, room(receiver, 1, size - 1), MSG_WAITALL) == answer
        assert rest_of(ours) == ([errno.EAGAIN] if answer == Returned(3) else [b"abc", errno.EAGAIN])


@each_stream
async def test_what_need_not_be_waited_for(receiver, kind):
    with pair_of(kind, blocking=True) as (ours, theirs):
        theirs.send(b"abc")
        flags = MSG_WAITALL | MSG_DONTWAIT
        assert receive_in_one_way(receiver, "recvmsg", ours, room(receiver, 9), flags) == Returned(3)


@each_stream
@pytest.mark.parametrize(("least", "size", "answer"), [
    (3, 64, Returned(3)), (4, 64, Continued()), (4, 4, Continued()), (4, 3, Returned(3)), (4, 0, Continued()),
])
async def test_the_least_that_is_waited_for(receiver, kind, least, size, answer):
    with pair_of(kind, blocking=True) as (ours, theirs):
        ours.setsockopt(SOL_SOCKET, SO_RCVLOWAT, least)
        if size:
            theirs.send(b"abc")
        assert receive_in_one_way(receiver, "recvmsg", ours, room(receiver, size)) == answer


async def test_messages_are_never_less_than_whole(receiver):
    for kind in set(PAIRS) - set(STREAMS):
        with pair_of(kind, blocking=True) as (ours, theirs):
            theirs.send(b"abc")
            assert receive_in_one_way(receiver, "recvmsg", ours, room(receiver, 64), MSG_WAITALL) == Returned(3)
    receiver.clean()


# Memory that is not there.


@each_way
@each_stream
async def test_a_stream_loses_nothing(receiver, way, kind):
    locked = receiver.put(bytes(9))
    receiver.memory.protect(locked)
    for buffer in ((UNMAPPED, 9), (receiver.memory.put_before_gap(b"12"), 3), (locked, 9)):
        with pair_of(kind) as (ours, theirs):
            theirs.send(b"abc")
            assert receive_in_one_way(receiver, way, ours, room_at(receiver, [buffer])) == Continued()
            assert rest_of(ours) == [b"abc", errno.EAGAIN]
    receiver.clean()


@each_message
@pytest.mark.parametrize("way", ["recvfrom", "recvmsg"])
async def test_a_message_is_the_kernels_to_lose(receiver, kind, way):
    with pair_of(kind) as (ours, theirs):
        theirs.send(b"abc")
        assert receive_in_one_way(receiver, way, ours, room_at(receiver, [(UNMAPPED, 9)])) == Continued()
        at = receiver.memory.put_before_gap(b"12")
        assert receive_in_one_way(receiver, way, ours, room_at(receiver, [(at, 3)])) == Continued()
        assert rest_of(ours) == [b"abc", errno.EAGAIN]


@each_way
@pytest.mark.parametrize(("flags", "answer"), [(MSG_PEEK, Returned(0)), (MSG_PEEK | MSG_TRUNC, Continued())])
async def test_a_look_needs_no_memory(receiver, way, flags, answer):
    with pair_of("udp") as (ours, theirs):
        theirs.send(b"abc")
        space = room_at(receiver, [(UNMAPPED, 0)])
        assert receive_in_one_way(receiver, way, ours, space, flags) == answer
        assert rest_of(ours) == [b"abc", errno.EAGAIN]


async def test_a_look_into_bad_memory(receiver):
    with pair_of("unix") as (ours, theirs):
        theirs.send(b"abc")
        space = room_at(receiver, [(UNMAPPED, 9)])
        assert receive_in_one_way(receiver, "recvmsg", ours, space, MSG_PEEK) in (Failed(errno.EFAULT), Continued())
        assert rest_of(ours) == [b"abc", errno.EAGAIN]


async def test_a_look_goes_as_far_as_the_memory(receiver):
    """Natively a stream's count is what was copied of whole buffers before the bad page."""
    at = map_pages(READ_WRITE, None) + mmap.PAGESIZE - 3
    with pair_of("unix") as (ours, theirs):
        theirs.send(b"ab")
        theirs.send(b"cd")
        vector = libc.IoVec(at, 4)
        header = libc.MsgHdr(None, 0, ctypes.pointer(vector), 1, None, 0, 0)
        assert libc.recvmsg(ours.fileno(), ctypes.byref(header), MSG_PEEK) == 2
        space = room_at(receiver, [(receiver.memory.put_before_gap(b"123"), 4)])
        assert receive_in_one_way(receiver, "recvmsg", ours, space, MSG_PEEK) in (Returned(2), Continued())
    libc.munmap(at + 3 - mmap.PAGESIZE, mmap.PAGESIZE)


async def test_what_tcp_throws_away(receiver):
    with pair_of("tcp") as (ours, theirs):
        theirs.send(b"abcdef")
        space = room(receiver)
        assert receive_in_one_way(receiver, "recvmsg", ours, space, MSG_TRUNC) == Returned(6)
        assert space.data() == [FILL * 64]
        theirs.send(b"abcdef")
        # NULL is how programs ask for it, and only the kernel knows what it means.
        space = room_at(receiver, [(0, 64)])
        assert receive_in_one_way(receiver, "recvmsg", ours, space, MSG_TRUNC) == Continued()


async def test_what_tcp_does_not_throw_away(receiver):
    """What was sent comes back with its timestamp, on the queue of errors."""
    outcomes = []
    for receive in (natively, lambda *arguments: supervised(receiver, *arguments)):
        with pair_of("tcp") as (ours, _):
            ours.setsockopt(SOL_SOCKET, SO_TIMESTAMPING, TX_SOFTWARE)
            ours.send(b"abc")
            outcomes.append(receive(ours, (128,), 0, MSG_ERRQUEUE | MSG_TRUNC))
    assert [each.result for each in outcomes] == [outcomes[0].result] * 2
    assert [each.data == [FILL * 128] for each in outcomes] == [False] * 2


async def test_a_header_that_cannot_be_written(receiver):
    with pair_of("udp") as (ours, theirs):
        theirs.send(b"abc")
        space = room(receiver)
        receiver.memory.protect(space.header)
        assert receive_in_one_way(receiver, "recvmsg", ours, space) == Failed(errno.EFAULT)
        assert space.data() == [b"abc".ljust(64, FILL)]
        assert rest_of(ours) == [errno.EAGAIN]


async def test_control_that_cannot_be_written(receiver):
    with pair_of("udp") as (ours, theirs):
        ours.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        theirs.send(b"abc")
        space = room(receiver, 64)
        raw = MSGHDR.pack(0, 0, receiver.put(IOVEC.pack(*space.buffers[0])), 1, UNMAPPED, 64, 0)
        space = space._replace(header=receiver.put(raw))
        assert receive_in_one_way(receiver, "recvmsg", ours, space) in (Returned(3), Continued())


# What a program may ask.


@each_handler
async def test_what_is_no_socket(receiver, name):
    with null() as file:
        assert receiver.at_once(name, receiver.open(file), 0, 1) == Failed(errno.ENOTSOCK)
    assert receiver.at_once(name, 999, 0, 1) == Failed(errno.EBADF)


async def test_flags_of_another_machine(receiver):
    with pair_of("udp") as (ours, theirs):
        number, space = receiver.open(ours), room(receiver)
        theirs.send(b"abc")
        assert receiver.at_once("recvmsg", 999, 0, MSG_CMSG_COMPAT) == Failed(errno.EINVAL)
        assert receiver.at_once("recvmmsg", 999, 0, 1, MSG_CMSG_COMPAT) == Failed(errno.EINVAL)
        ((buf, size),) = space.buffers
        assert receiver.at_once("recvfrom", number, buf, size, MSG_CMSG_COMPAT, 0, 0) == Returned(3)


async def test_what_recvfrom_asks_of_its_buffer(receiver):
    for buf, length in ((USER_END, 1), (USER_END + 1, 0), (USER_END - 4096, 1 << 40), ((1 << 64) - 1, 1)):
        assert receiver.at_once("recvfrom", 999, buf, length, 0, 0, 0) == Failed(errno.EFAULT)
    assert receiver.at_once("recvfrom", 999, USER_END, 0, 0, 0, 0) == Failed(errno.EBADF)


async def test_what_recvmsg_asks_of_its_header(receiver):
    vectors = receiver.put(IOVEC.pack(receiver.put(bytes(9)), 9))
    far = receiver.put(IOVEC.pack(USER_END, 1))
    long = receiver.put(IOVEC.pack(8, 1 << 63))
    with pair_of("udp") as (ours, theirs):
        theirs.send(b"abc")
        number = receiver.open(ours)
        for header, code in (
            ((8, -1, vectors, 1, 0, 0, 0), errno.EINVAL), ((0, 0, vectors, UIO_MAXIOV + 1, 0, 0, 0), errno.EMSGSIZE),
            ((0, 0, 8, 1, 0, 0, 0), errno.EFAULT), ((0, 0, far, 1, 0, 0, 0), errno.EFAULT),
            ((0, 0, long, 1, 0, 0, 0), errno.EINVAL),
        ):
            at = receiver.put(MSGHDR.pack(*header))
            assert receiver.at_once("recvmsg", number, at, 0) == Failed(code)
            assert receiver.at_once("recvmmsg", number, at, 1, 0, 0) in (Continued(), Failed(code))
        assert receiver.at_once("recvmsg", number, UNMAPPED, 0) == Failed(errno.EFAULT)
        # A negative length of no name is none; the most buffers are enough.
        header = receiver.put(MSGHDR.pack(0, -1, vectors, 1, 0, 0, 0))
        assert receiver.at_once("recvmsg", number, header, MSG_PEEK) == Returned(3)
        space = room_at(receiver, [(receiver.put(b"x"), 1)] * UIO_MAXIOV)
        assert receiver.at_once("recvmsg", number, space.header, 0) == Returned(3)


@each_way
async def test_a_refused_connection(receiver, way):
    with pair_of("udp") as (ours, theirs), socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect(ours.getsockname())
        ours.close()
        sock.send(b"abc")
        assert receive_in_one_way(receiver, way, sock, room(receiver)) == Failed(errno.ECONNREFUSED)
        assert receive_in_one_way(receiver, way, sock, room(receiver), MSG_DONTWAIT) == Continued()
    assert theirs.fileno() == -1


@each_way
async def test_families_that_are_the_kernels(receiver, way):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        sock.setblocking(False)
        assert receive_in_one_way(receiver, way, sock, room(receiver)) == Continued()


@each_way
@each_kind
async def test_a_call_that_a_signal_could_take(receiver, way, kind):
    """What was received for it would be lost."""
    receiver.listener.killable = False
    with pair_of(kind) as (ours, theirs):
        theirs.send(b"abc")
        assert receive_in_one_way(receiver, way, ours, room(receiver)) == Continued()
        assert rest_of(ours) == [b"abc", errno.EAGAIN]


@each_way_of_kinds
async def test_a_call_that_is_gone_takes_nothing(receiver, way, kind):
    with pair_of(kind) as (ours, theirs), receiver.stopped(way) as call:
        theirs.send(b"abc")
        space = room(receiver)
        receiver.listener.forget_all()
        arguments = {
            "recvfrom": (*space.buffers[0], 0, 0, 0), "recvmsg": (space.header, 0), "recvmmsg": (space.header, 1, 0, 0),
        }
        with pytest.raises(TraceeGone):
            HANDLERS[way](call, receiver.open(ours), *arguments[way])
        assert rest_of(ours) == [b"abc", errno.EAGAIN]
