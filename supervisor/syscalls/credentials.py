"""SCM_RIGHTS and SCM_CREDENTIALS of a message that we send for a program."""

import errno
import os
import struct
from typing import Final

from supervisor.abi.socket import SCM_CREDENTIALS, SCM_MAX_FD, SCM_RIGHTS, SOL_SOCKET
from supervisor.errors import SyscallError
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.sockets import let_go
from supervisor.sockets.control import ControlMessage, pack_control, pack_rights, parse_control, parse_rights
from supervisor.syscalls.call import Call

_UCRED: Final = struct.Struct("=iII")
_CAP_SETGID: Final = 1 << 6
_CAP_SETUID: Final = 1 << 7
_CAP_SYS_ADMIN: Final = 1 << 21


class Translated:
    """Control data in our terms. `close` lets the passed descriptors go once the message is sent or refused."""

    def __init__(self, raw: bytes, passed: list[HostFd]) -> None:
        self.raw = raw
        self._passed = passed

    def close(self) -> None:
        let_go(self._passed)
        self._passed.clear()


def translate(call: Call, raw: bytes) -> Translated:
    """Turn the control data of a unix socket's message into ours.

    Descriptors are taken from the program and sent as our numbers (EBADF for one that is not open, EINVAL past
    SCM_MAX_FD in all). Credentials are the program's: with the rights to do so they are stated in every message, since
    the receiver would otherwise see the daemon; without those rights the receiver sees the daemon's pid.
    """
    passed: list[HostFd] = []
    messages = []
    stated = False
    try:
        for message in parse_control(raw):
            if message.level == SOL_SOCKET and message.type == SCM_RIGHTS:
                messages.append(_rights(call, message, passed))
            elif message.level == SOL_SOCKET and message.type == SCM_CREDENTIALS:
                messages.append(_checked(call, message))
                stated = True
            else:
                messages.append(message)
        if not stated and _may_state(call):
            status = call.thread.status()
            messages.append(_credentials(status.tgid, status.uids[0], status.gids[0]))
    except BaseException:
        Translated(b"", passed).close()
        raise
    return Translated(pack_control(messages), passed)


def _rights(call: Call, message: ControlMessage, passed: list[HostFd]) -> ControlMessage:
    numbers = parse_rights(message.data)
    if len(passed) + len(numbers) > SCM_MAX_FD:
        raise SyscallError(errno.EINVAL)
    ours = []
    for number in numbers:
        fd = call.thread.take(number)
        passed.append(fd)
        ours.append(fd.fileno())
    return ControlMessage(SOL_SOCKET, SCM_RIGHTS, pack_rights(ours))


def _checked(call: Call, message: ControlMessage) -> ControlMessage:
    """What `scm_check_creds` asks of the sender, asked of the program."""
    if len(message.data) != _UCRED.size:
        raise SyscallError(errno.EINVAL)
    pid, uid, gid = _UCRED.unpack(message.data)
    status = call.thread.status()
    able = call.thread.credentials().capabilities
    if not (
        (pid == status.tgid or able & _CAP_SYS_ADMIN)
        and (uid in status.uids[:3] or able & _CAP_SETUID)
        and (gid in status.gids[:3] or able & _CAP_SETGID)
    ):
        raise SyscallError(errno.EPERM)
    return _credentials(pid if _may_state(call) else os.getpid(), uid, gid)


def _credentials(pid: int, uid: int, gid: int) -> ControlMessage:
    return ControlMessage(SOL_SOCKET, SCM_CREDENTIALS, _UCRED.pack(pid, uid, gid))


def _may_state(call: Call) -> bool:
    return bool(call.session.us.credentials.capabilities & _CAP_SYS_ADMIN)
