"""SCM_RIGHTS and SCM_CREDENTIALS."""

import array
import errno
import os
import socket
import struct

import pytest

from supervisor.abi.socket import SCM_CREDENTIALS, SCM_MAX_FD, SCM_RIGHTS, SOL_SOCKET
from supervisor.errors import SyscallError
from supervisor.kernel.identity import Credentials
from supervisor.sockets.control import parse_control, parse_rights
from supervisor.syscalls.credentials import translate
from tests.unit.kernel.puppet import NOBODY, needs_root
from tests.unit.syscalls.stage import Failed, Returned, cmsg, null

PERFORM = 'default = "deny"\nerrno = "EPERM"\nunix = "perform"\nsocket.allow = ["*"]'
UCRED = struct.Struct("=iII")


def rights(*numbers):
    return cmsg(SOL_SOCKET, SCM_RIGHTS, struct.pack(f"={len(numbers)}i", *numbers))


def credentials(pid, uid, gid):
    return cmsg(SOL_SOCKET, SCM_CREDENTIALS, UCRED.pack(pid, uid, gid))


def code_of(call, raw):
    with pytest.raises(SyscallError) as caught:
        translate(call, raw)
    return caught.value.errno


@pytest.fixture
def pair(world):
    world.under(PERFORM)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        yield ours, world.open(theirs)


async def test_descriptors_arrive(world, pair):
    ours, number = pair
    with null() as file:
        first, second = world.open(file), world.open(file)
    message = world.message(b"x", control=rights(first, second))
    assert await world.call("sendmsg", number, message, 0) == Returned(1)
    _, control, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(8))
    received = array.array("i", control[0][2])
    for fd in received:
        assert os.readlink(f"/proc/self/fd/{fd}") == "/dev/null"
        os.close(fd)
    assert len(received) == 2


async def test_their_numbers_become_ours(world, pair):
    with null() as file, world.stopped("sendmsg") as call:
        number = world.thread.open(file, 250)
        translated = translate(call, rights(number, number))
        (message, *_) = parse_control(translated.raw)
        ours = parse_rights(message.data)
        assert number not in ours
        assert {os.readlink(f"/proc/self/fd/{fd}") for fd in ours} == {"/dev/null"}
        translated.close()
        translated.close()


async def test_one_that_is_not_open(world, pair):
    ours, number = pair
    with null() as file:
        open_one = world.open(file)
    message = world.message(b"x", control=rights(open_one, 999))
    assert await world.call("sendmsg", number, message, 0) == Failed(errno.EBADF)
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        ours.recv(1)


async def test_too_many(world, pair):
    with null() as file, world.stopped("sendmsg") as call:
        number = world.open(file)
        assert code_of(call, rights(*[number] * (SCM_MAX_FD + 1))) == errno.EINVAL
        assert code_of(call, rights(*[number] * SCM_MAX_FD) + rights(number)) == errno.EINVAL
        translate(call, rights(*[number] * SCM_MAX_FD)).close()


async def test_none_and_a_part_of_one(world, pair):
    with world.stopped("sendmsg") as call:
        translated = translate(call, rights() + cmsg(SOL_SOCKET, SCM_RIGHTS, b"\1\2\3"))
        assert [parse_rights(message.data) for message in parse_control(translated.raw)[:2]] == [[], []]
        translated.close()


async def test_data_that_cannot_be_split(world, pair):
    with null() as file, world.stopped("sendmsg") as call:
        assert code_of(call, rights(world.open(file)) + struct.pack("@Nii", 3, 1, 1)) == errno.EINVAL


async def test_other_messages_stay_as_they_are(world, pair):
    with world.stopped("sendmsg") as call:
        raw = cmsg(1, 99, b"abc") + cmsg(41, SCM_RIGHTS, b"abcd")
        assert translate(call, raw).raw.startswith(raw)


# Who says that it is who.


def checked(world, pid, uid, gid):
    with world.stopped("sendmsg") as call:
        translated = translate(call, credentials(pid, uid, gid))
        (message,) = parse_control(translated.raw)
        return UCRED.unpack(message.data)


def refused(world, pid, uid, gid):
    with world.stopped("sendmsg") as call:
        return code_of(call, credentials(pid, uid, gid)) == errno.EPERM


async def test_what_a_program_may_say_of_itself(world):
    me = world.thread.facts.tgid
    world.thread.become(Credentials(NOBODY, NOBODY, (), 0))
    world.thread.facts = world.thread.facts._replace(uids=(1, 2, 3, 4), gids=(5, 6, 7, 8))
    for uid in (1, 2, 3):
        for gid in (5, 6, 7):
            assert checked(world, me, uid, gid) == (me, uid, gid)
    assert refused(world, me, 4, 5)  # the file-system ids are none of one's own
    assert refused(world, me, 1, 8)
    assert refused(world, me + 1, 1, 5)


@pytest.mark.parametrize(("capability", "change"), [(21, (1, 0, 0)), (7, (0, 1, 0)), (6, (0, 0, 1))])
async def test_what_a_capability_lets_it_say(world, capability, change):
    me, uid, gid = world.thread.facts.tgid, world.thread.facts.uids[0], world.thread.facts.gids[0]
    claim = (me + change[0], uid + change[1], gid + change[2])
    who = world.thread.facts.credentials
    world.thread.become(who._replace(capabilities=0))
    assert refused(world, *claim)
    world.thread.become(who._replace(capabilities=1 << capability))
    checked(world, *claim)
    world.thread.namespaces.remove("user")  # those of another user namespace are worth nothing
    assert refused(world, *claim)


async def test_credentials_of_another_size(world):
    with world.stopped("sendmsg") as call:
        assert code_of(call, cmsg(SOL_SOCKET, SCM_CREDENTIALS, bytes(8))) == errno.EINVAL
        assert code_of(call, cmsg(SOL_SOCKET, SCM_CREDENTIALS, bytes(13))) == errno.EINVAL


@needs_root
async def test_the_receiver_sees_the_program(world, pair):
    ours, number = pair
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    world.thread.facts = world.thread.facts._replace(tgid=os.getppid(), uids=(11,) * 4, gids=(12,) * 4)
    assert await world.call("sendmsg", number, world.message(b"x"), 0) == Returned(1)
    _, control, _, _ = ours.recvmsg(1, 100)
    assert UCRED.unpack(control[0][2]) == (os.getppid(), 11, 12)
