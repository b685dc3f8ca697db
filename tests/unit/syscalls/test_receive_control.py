"""recvmsg(2) and its control messages: descriptors, credentials, and what is said of a datagram."""

import errno
import os
import socket
import struct

import pytest

from supervisor.abi.message import IOVEC, MSGHDR
from supervisor.abi.option import IP_RECVTTL, IP_TTL
from supervisor.abi.socket import (
    MSG_CMSG_CLOEXEC,
    MSG_CTRUNC,
    MSG_PEEK,
    SCM_CREDENTIALS,
    SCM_MAX_FD,
    SCM_RIGHTS,
    SO_PASSCRED,
    SO_PEEK_OFF,
    SOL_SOCKET,
)
from supervisor.sockets.control import parse_rights
from supervisor.syscalls import receive as module
from tests.unit.syscalls.room import (
    it_still_waits,
    pair_of,
    receive_in_one_way,
    room,
    room_at,
    waiting_message,
    waiting_path,
)
from tests.unit.syscalls.stage import UNMAPPED, Continued, Failed, Returned, null


@pytest.mark.parametrize("way", ["recvmsg", "recvmmsg"])
@pytest.mark.parametrize("flags", [0, MSG_CMSG_CLOEXEC])
async def test_descriptors(receiver, way, flags):
    with pair_of("unix datagram") as (ours, theirs), null() as file:
        socket.send_fds(theirs, [b"abc"], [file.fileno()] * 3)
        space = room(receiver, control=64)
        assert receive_in_one_way(receiver, way, ours, space, flags) == Returned(3)
        (message,) = space.messages()
        assert (message.level, message.type) == (SOL_SOCKET, SCM_RIGHTS)
        numbers = parse_rights(message.data)
        assert receiver.listener.given == [(number, os.O_CLOEXEC if flags else 0) for number in numbers]
        assert [os.readlink(f"/proc/self/fd/{receiver.thread.table[n].fileno()}") for n in numbers] == ["/dev/null"] * 3
        assert (space.told().flags, space.told().controllen) == (flags, socket.CMSG_SPACE(12))


@pytest.mark.parametrize(("control", "count"), [(0, 0), (16, 0), (20, 1), (24, 2), (28, 3), (64, 3)])
async def test_as_many_descriptors_as_there_is_room_for(receiver, control, count):
    with pair_of("unix") as (ours, theirs), null() as file:
        socket.send_fds(theirs, [b"abc"], [file.fileno()] * 3)
        space = room(receiver, control=control)
        assert receive_in_one_way(receiver, "recvmsg", ours, space) == Returned(3)
        assert len(receiver.listener.given) == count
        assert space.told().flags == (0 if count == 3 else MSG_CTRUNC)


async def test_as_many_as_the_table_has_room_for(receiver):
    with pair_of("unix") as (ours, theirs), null() as file:
        socket.send_fds(theirs, [b"abc"], [file.fileno()] * 3)
        receiver.thread.limit = 2  # one is the socket
        space = room(receiver, control=64)
        assert receive_in_one_way(receiver, "recvmsg", ours, space) == Returned(3)
        (message,) = space.messages()
        assert parse_rights(message.data) == [number for number, _ in receiver.listener.given]
        assert (len(receiver.listener.given), space.told().flags) == (1, MSG_CTRUNC)


async def test_a_look_gives_descriptors_every_time(receiver):
    with pair_of("unix datagram") as (ours, theirs), null() as file:
        socket.send_fds(theirs, [b"abc"], [file.fileno()])
        for flags in (MSG_PEEK, MSG_PEEK, 0):
            assert receive_in_one_way(receiver, "recvmsg", ours, room(receiver, control=64), flags) == Returned(3)
    assert len(receiver.listener.given) == 3


async def test_recvfrom_has_no_room_for_them(receiver):
    with pair_of("unix") as (ours, theirs), null() as file:
        socket.send_fds(theirs, [b"abc"], [file.fileno()])
        assert receive_in_one_way(receiver, "recvfrom", ours, room(receiver)) == Returned(3)
    assert receiver.listener.given == []


async def test_credentials(receiver):
    with pair_of("unix") as (ours, theirs):
        ours.setsockopt(SOL_SOCKET, SO_PASSCRED, 1)
        theirs.send(b"abc")
        space = room(receiver, control=64)
        assert receive_in_one_way(receiver, "recvmsg", ours, space) == Returned(3)
        credentials = struct.pack("=iii", os.getpid(), os.getuid(), os.getgid())
        assert space.messages() == [(SOL_SOCKET, SCM_CREDENTIALS, credentials)]


@pytest.mark.parametrize("name", ["pid", "user"])
async def test_other_namespaces(receiver, name):
    """Pids and uids are in terms of who receives."""
    receiver.thread.namespaces.remove(name)
    with waiting_message() as ours:
        assert receive_in_one_way(receiver, "recvmsg", ours, room(receiver, control=64)) == Continued()
        assert it_still_waits(ours)
    with pair_of("unix") as (ours, theirs):
        theirs.send(b"abc")
        assert receive_in_one_way(receiver, "recvmsg", ours, room(receiver, control=16)) == Returned(3)
    with pair_of("udp") as (ours, theirs):
        theirs.send(b"abc")
        assert receive_in_one_way(receiver, "recvmsg", ours, room(receiver, control=64)) == Returned(3)


@pytest.mark.parametrize(("spare", "answer"), [(SCM_MAX_FD, Continued()), (SCM_MAX_FD + 1, Returned(3))])
async def test_descriptors_that_we_could_not_hold(receiver, monkeypatch, spare, answer):
    monkeypatch.setattr(module, "spare_descriptors", lambda: spare)
    with waiting_message() as ours:
        assert receive_in_one_way(receiver, "recvmsg", ours, room(receiver, control=64)) == answer
        if answer == Continued():
            assert it_still_waits(ours)


async def test_control_of_a_unix_socket_that_cannot_be_written(receiver):
    with waiting_message() as ours:
        space = room(receiver, 64)
        raw = MSGHDR.pack(0, 0, receiver.put(IOVEC.pack(*space.buffers[0])), 1, UNMAPPED, 64, 0)
        assert receiver.at_once("recvmsg", receiver.open(ours), receiver.put(raw), 0) == Continued()
        assert it_still_waits(ours)


@pytest.mark.parametrize("kind", ["unix datagram", "unix seqpacket"])
async def test_descriptors_of_a_message_that_cannot_be_written(receiver, kind):
    """Natively nobody gets them."""
    with waiting_message(kind) as ours:
        space = room_at(receiver, [(UNMAPPED, 9)], control=64)
        answer = receive_in_one_way(receiver, "recvmsg", ours, space)
    assert receiver.listener.given == []
    assert answer in (Failed(errno.EFAULT), Continued())


@pytest.mark.parametrize("way", ["recvmsg", "recvmmsg"])
@pytest.mark.parametrize("kind", ["unix", "unix datagram", "unix seqpacket"])
async def test_a_path_is_the_kernels(receiver, way, kind):
    with waiting_path(kind) as ours:
        assert receive_in_one_way(receiver, way, ours, room(receiver, control=64)) == Continued()
        assert it_still_waits(ours)
    assert receiver.listener.given == []


async def test_a_path_is_no_trouble_without_room_for_it(receiver):
    for control in (0, 16):
        with waiting_path() as ours:
            space = room(receiver, control=control)
            assert receive_in_one_way(receiver, "recvmsg", ours, space) == Returned(3)
            assert space.told().flags == MSG_CTRUNC


async def test_an_offset_that_a_look_would_move(receiver):
    with waiting_message() as ours:
        ours.setsockopt(SOL_SOCKET, SO_PEEK_OFF, 0)
        assert receive_in_one_way(receiver, "recvmsg", ours, room(receiver, control=64)) == Continued()
        assert it_still_waits(ours)


async def test_padding_ends_where_the_buffer_does(receiver):
    """A buffer without room for the last message's padding is not written past its end."""
    with pair_of("udp") as (ours, theirs):
        ours.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
        theirs.send(b"abc")
        at = receiver.memory.put_before_gap(bytes(20))
        space = room(receiver)
        raw = MSGHDR.pack(0, 0, receiver.put(IOVEC.pack(*space.buffers[0])), 1, at, 20, 0)
        space = space._replace(header=receiver.put(raw), control=at)
        assert receive_in_one_way(receiver, "recvmsg", ours, space) == Returned(3)
        assert [(message.level, message.type) for message in space.messages()] == [(socket.IPPROTO_IP, IP_TTL)]
        assert space.told().controllen == 20
