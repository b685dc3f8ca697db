"""recvmmsg(2): what is there of a batch, and how it ends."""

import ctypes
import errno
import socket
import struct

import pytest

from supervisor.abi.message import MMSGHDR_LEN_OFFSET, MMSGHDR_SIZE, MSGHDR
from supervisor.abi.socket import (
    MSG_CMSG_CLOEXEC,
    MSG_DONTWAIT,
    MSG_OOB,
    MSG_TRUNC,
    MSG_WAITFORONE,
    SOL_SOCKET,
)
from supervisor.kernel import libc
from supervisor.sockets.address import Inet4, pack_address
from supervisor.sockets.control import parse_rights
from tests.unit.syscalls.room import (
    FILL,
    UNTOUCHED,
    batch,
    each_message,
    each_stream,
    it_still_waits,
    pair_of,
    rest_of,
    room,
    room_at,
    waiting_path,
)
from tests.unit.syscalls.stage import LOOPBACK, UNMAPPED, Continued, Failed, Returned, null

TIMEOUT = struct.pack("=qq", 0, 0)


def receive_batch(world, sock, rooms, flags=0, timeout=0):
    vector, rooms = batch(world, *rooms)
    return world.at_once("recvmmsg", world.open(sock), vector, len(rooms), flags, timeout), rooms


def lengths(rooms):
    return [
        struct.unpack("=I", each.world.memory.read(each.header + MMSGHDR_LEN_OFFSET, 4))[0] for each in rooms
    ]


@each_message
async def test_a_batch_of_what_is_there(receiver, kind):
    with pair_of(kind) as (ours, theirs):
        for data in (b"a", b"", b"ccc"):
            theirs.send(data)
        answer, rooms = receive_batch(receiver, ours, [room(receiver, 2, 2) for _ in range(4)])
        assert (answer, lengths(rooms)) == (Returned(3), [1, 0, 3, UNTOUCHED])
        assert [b"".join(each.data()) for each in rooms] == [b"a\xaa\xaa\xaa", FILL * 4, b"ccc\xaa", FILL * 4]
        assert [each.told().flags for each in rooms] == [0, 0, 0, 0x5555]
        assert receive_batch(receiver, ours, [room(receiver)])[0] == Continued()


async def test_a_batch_takes_no_more_than_it_has_room_for(receiver):
    with pair_of("udp") as (ours, theirs):
        for data in (b"a", b"bb", b"ccc"):
            theirs.send(data)
        answer, rooms = receive_batch(receiver, ours, [room(receiver, 1, name=128), room(receiver, 1, name=16)])
        assert (answer, lengths(rooms)) == (Returned(2), [1, 1])
        assert [each.told().flags for each in rooms] == [0, MSG_TRUNC]
        assert [each.address() for each in rooms] == [pack_address(Inet4(LOOPBACK, theirs.getsockname()[1]))] * 2
        assert rest_of(ours) == [b"ccc", errno.EAGAIN]


async def test_descriptors_in_a_batch(receiver):
    with pair_of("unix datagram") as (ours, theirs), null() as file:
        for _ in range(2):
            socket.send_fds(theirs, [b"abc"], [file.fileno()])
        answer, rooms = receive_batch(receiver, ours, [room(receiver, control=32) for _ in range(3)])
        assert answer == Returned(2)
        numbers = [parse_rights(each.messages()[0].data)[0] for each in rooms[:2]]
        assert numbers == [number for number, _ in receiver.listener.given]


async def test_a_batch_that_has_to_wait_is_the_kernels(receiver):
    with pair_of("udp", blocking=True) as (ours, theirs):
        theirs.send(b"abc")
        theirs.send(b"def")
        assert receive_batch(receiver, ours, [room(receiver)] * 2)[0] == Continued()
        assert receive_batch(receiver, ours, [room(receiver)] * 2, MSG_WAITFORONE)[0] == Returned(2)
        assert receive_batch(receiver, ours, [room(receiver)] * 2, MSG_WAITFORONE)[0] == Continued()
        assert receive_batch(receiver, ours, [room(receiver)] * 2, MSG_DONTWAIT)[0] == Continued()


async def test_what_is_waited_for_is_not_told(receiver):
    """MSG_WAITFORONE is the loop's, not the socket's."""
    with pair_of("udp") as (ours, theirs):
        theirs.send(b"abc")
        answer, rooms = receive_batch(receiver, ours, [room(receiver)], MSG_WAITFORONE | MSG_CMSG_CLOEXEC)
        assert (answer, rooms[0].told().flags) == (Returned(1), MSG_CMSG_CLOEXEC)


async def test_batches_that_are_the_kernels(receiver):
    with pair_of("udp") as (ours, theirs):
        theirs.send(b"abc")
        timeout = receiver.put(TIMEOUT)
        assert receive_batch(receiver, ours, [room(receiver)], timeout=timeout)[0] == Continued()
        number, space = receiver.open(ours), room(receiver)
        for vlen in (0, 1025, 0xFFFFFFFF):
            assert receiver.at_once("recvmmsg", number, space.header, vlen, 0, 0) == Continued()
        assert receiver.at_once("recvmmsg", number, UNMAPPED, 1, 0, 0) == Continued()
        assert rest_of(ours) == [b"abc", errno.EAGAIN]


@pytest.mark.parametrize("bad", ["data", "header", "vectors"])
async def test_a_batch_with_a_bad_message_is_the_kernels(receiver, bad):
    """Only the kernel can leave the error behind as the socket's."""
    with pair_of("udp") as (ours, theirs):
        theirs.send(b"abc")
        theirs.send(b"def")
        rooms = [room(receiver), room_at(receiver, [(UNMAPPED, 9)])]
        if bad == "vectors":
            raw = MSGHDR.pack(0, 0, UNMAPPED, 1, 0, 0, 0).ljust(MMSGHDR_SIZE, b"\0")
            rooms[1] = rooms[1]._replace(header=receiver.put(raw))
        vector, rooms = batch(receiver, *rooms)
        if bad == "header":
            at = receiver.memory.put_before_gap(receiver.memory.read(vector, MMSGHDR_SIZE))
            assert receiver.at_once("recvmmsg", receiver.open(ours), at, 2, 0, 0) == Continued()
        else:
            assert receiver.at_once("recvmmsg", receiver.open(ours), vector, 2, 0, 0) == Continued()
        assert rest_of(ours) == [b"abc", b"def", errno.EAGAIN]


async def test_a_batch_with_a_bad_name_is_the_kernels(receiver):
    """Natively 1, and EFAULT from the next call (SO_ERROR)."""
    with pair_of("udp") as (ours, theirs):
        theirs.send(b"abc")
        theirs.send(b"def")
        rooms = [room(receiver), room(receiver, name=128)]
        receiver.memory.write(rooms[1].header, struct.pack("=Q", UNMAPPED))
        vector, _ = batch(receiver, *rooms)
        assert receiver.at_once("recvmmsg", receiver.open(ours), vector, 2, 0, 0) == Continued()


async def test_a_batch_that_cannot_be_written(receiver):
    """Natively too, the first message is gone."""
    with pair_of("udp") as (ours, theirs):
        theirs.send(b"abc")
        theirs.send(b"def")
        vector, _ = batch(receiver, room(receiver), room(receiver))
        receiver.memory.protect(vector)
        answer = receiver.at_once("recvmmsg", receiver.open(ours), vector, 2, 0, 0)
        assert answer == Continued() or (answer, rest_of(ours)) == (Failed(errno.EFAULT), [b"def", errno.EAGAIN])


async def test_a_batch_ends_at_urgent_data(receiver):
    outcomes = []
    for receive in (batch_natively, lambda *arguments: batch_supervised(receiver, *arguments)):
        with pair_of("tcp") as (ours, theirs):
            theirs.send(b"abc")
            theirs.send(b"!", MSG_OOB)
            outcomes.append((receive(ours, 2, MSG_OOB), receive(ours, 2, 0)))
    assert outcomes[1] == outcomes[0]


@each_stream
async def test_a_pending_error_comes_before_data(receiver, kind):
    outcomes = []
    for receive in (batch_natively, lambda *arguments: batch_supervised(receiver, *arguments)):
        with pair_of(kind) as (ours, theirs):
            reset_after(ours, theirs, b"abc")
            outcomes.append(receive(ours, 2, 0))
    assert outcomes[1] == outcomes[0]


@pytest.mark.parametrize("kind", ["unix", "unix seqpacket"])
async def test_a_pending_error_is_not_lost(receiver, kind):
    """The error of a closed peer, with room for descriptors: a batch asks the kernel again, for which it is gone."""
    outcomes = []
    for receive in (batch_natively, lambda *arguments: batch_supervised(receiver, *arguments)):
        with pair_of(kind) as (ours, theirs):
            reset_after(ours, theirs, b"")
            outcomes.append(receive(ours, 1, 0, 64))
    assert outcomes[1] == outcomes[0]


async def test_a_path_later_in_a_batch(receiver):
    with waiting_path("unix datagram", before=1) as ours:
        vector, _ = batch(receiver, room(receiver, control=64), room(receiver, control=64))
        answer = receiver.at_once("recvmmsg", receiver.open(ours), vector, 2, 0, 0)
        assert answer == Continued() or (answer == Returned(1) and it_still_waits(ours))


def reset_after(ours, theirs, data):
    """The peer sends this and resets the connection."""
    if data:
        theirs.send(data)
    ours.send(b"unread")
    if ours.family != socket.AF_UNIX:
        theirs.setsockopt(SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
    theirs.close()


def batch_natively(sock, count, flags, control=0):
    """recvmmsg(2) of messages of 64 bytes: the result, and the lengths."""
    buffers = [ctypes.create_string_buffer(64 + control) for _ in range(count)]
    vectors = [libc.IoVec(ctypes.addressof(buffer), 64) for buffer in buffers]
    raw = bytearray(b"".join(
        MSGHDR.pack(
            0, 0, ctypes.addressof(vector), 1, ctypes.addressof(buffer) + 64 if control else 0, control, 0
        ).ljust(MMSGHDR_SIZE, FILL)
        for vector, buffer in zip(vectors, buffers, strict=True)
    ))
    result = libc.syscall6(libc.number("recvmmsg"), sock.fileno(), libc.address_of(raw), count, flags, 0, 0)
    result = result if result >= 0 else -libc.get_errno()
    return result, [
        struct.unpack_from("=I", raw, index * MMSGHDR_SIZE + MMSGHDR_LEN_OFFSET)[0] for index in range(count)
    ]


def batch_supervised(world, sock, count, flags, control=0):
    """The same. What is the kernel's is made natively."""
    answer, rooms = receive_batch(world, sock, [room(world, 64, control=control) for _ in range(count)], flags)
    if answer == Continued():
        return batch_natively(sock, count, flags, control)
    return answer.value if isinstance(answer, Returned) else -answer.errno, lengths(rooms)
