"""Control messages that were received for a program: descriptors become the program's, all else is bytes."""

import errno
import os
import struct
from typing import Final

from supervisor.abi.message import CMSG_ALIGNMENT, CMSGHDR
from supervisor.abi.socket import MSG_CMSG_CLOEXEC, MSG_CTRUNC, SCM_PIDFD, SCM_RIGHTS, SOL_SOCKET
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.sockets import is_path, let_go
from supervisor.sockets.control import ControlMessage, pack_control, pack_rights, parse_control, parse_rights
from supervisor.syscalls.call import Call

_INT: Final = struct.Struct("=i")


def hand_over(call: Call, raw: bytes, flags: int, asked: int) -> tuple[bytes, int]:
    """Give the program the descriptors in `raw`, and return the control data and msg_flags in its terms.

    `flags` are msg_flags, `asked` what the program gave to recvmsg. As in `scm_detach_fds`: what no longer fits in the
    program's table is dropped, the message is shortened, and MSG_CTRUNC says so.
    """
    # We always ask for close-on-exec, and the kernel repeats the flag.
    flags = flags & ~MSG_CMSG_CLOEXEC | asked & MSG_CMSG_CLOEXEC
    if not raw:
        return raw, flags
    messages = parse_control(raw)
    ours = [(message, _descriptors(message)) for message in messages]
    if not any(fds for _, fds in ours):
        return raw, flags
    whole = True
    result = []
    try:
        for message, fds in ours:
            if message.type == SCM_PIDFD and fds:
                result.append(ControlMessage(message.level, message.type, _INT.pack(_pidfd(call, fds[0]))))
            elif fds:
                numbers = _give(call, fds, os.O_CLOEXEC if asked & MSG_CMSG_CLOEXEC else 0)
                if len(numbers) < len(fds):
                    whole = False
                    flags |= MSG_CTRUNC
                if numbers:
                    result.append(ControlMessage(message.level, message.type, pack_rights(numbers)))
            else:
                result.append(message)
    finally:
        for _, fds in ours:
            let_go(fds)
    packed = pack_control(result)
    # Where the program's buffer ended within the padding of the last message, so does what is written.
    return (packed[: len(raw)] if whole else packed), flags


def written(raw: bytes) -> list[tuple[int, int]]:
    """The parts of received control data that the kernel writes: each message without its padding, as offsets."""
    parts = []
    offset = 0
    while offset + CMSGHDR.size <= len(raw):
        length = CMSGHDR.unpack_from(raw, offset)[0]
        parts.append((offset, min(offset + length, len(raw))))
        offset += (length + CMSG_ALIGNMENT - 1) & -CMSG_ALIGNMENT
    return parts


def holds_a_path(raw: bytes) -> bool:
    """Is one of the descriptors in this control data of ours an O_PATH one? All of them are closed."""
    fds = [fd for message in parse_control(raw) for fd in _descriptors(message)]
    try:
        return any(is_path(fd) for fd in fds)
    finally:
        let_go(fds)


def _descriptors(message: ControlMessage) -> list[HostFd]:
    if message.level != SOL_SOCKET or message.type not in (SCM_RIGHTS, SCM_PIDFD):
        return []
    if len(message.data) < _INT.size:
        return []
    return [HostFd(number) for number in parse_rights(message.data) if number >= 0]


def _give(call: Call, fds: list[HostFd], flags: int) -> list[int]:
    numbers = []
    for fd in fds:
        try:
            numbers.append(call.session.listener.give(call.ident, fd, flags))
        except OSError:
            break  # the table is full, or an O_PATH descriptor came where `receive` had seen none
    return numbers


def _pidfd(call: Call, fd: HostFd) -> int:
    """The number of a pidfd, or the negative errno that the kernel puts in its place."""
    try:
        return call.session.listener.give(call.ident, fd, os.O_CLOEXEC)
    except OSError as error:
        return -(error.errno or errno.EMFILE)


HEADER_SIZE: Final = CMSGHDR.size
"""A control buffer up to this size holds nothing."""
