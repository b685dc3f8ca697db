"""One stopped call: what its handler works with."""

import errno
import time
from typing import Final

from supervisor.abi.seccomp import Notification
from supervisor.abi.socket import SOCK_STREAM, SOCKADDR_STORAGE_SIZE
from supervisor.errors import SyscallError, TraceeGone
from supervisor.kernel import sockets
from supervisor.kernel.hostfd import HostFd, closer
from supervisor.kernel.sockets import SocketKind
from supervisor.policy.operation import Action, Operation
from supervisor.policy.verdict import Verdict
from supervisor.sockets.address import Address
from supervisor.syscalls.event import Event, How
from supervisor.syscalls.session import Session
from supervisor.tracee.thread import Thread


class Denied(Exception):  # noqa: N818 - a verdict, not a mistake
    """The policy refuses."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.rule)
        self.verdict: Final = verdict


class Call:
    """A notification, the thread behind it, and what has been learned for the record."""

    __slots__ = (
        "address", "ident", "kind", "name", "note", "owned", "performed", "session", "started", "thread", "tick",
        "verdict", "wants_event",
    )

    def __init__(self, session: Session, notification: Notification, name: str) -> None:
        self.session: Final = session
        self.ident: Final = notification.id
        self.thread: Final = Thread(notification.pid)
        self.name: Final = name
        self.started: Final = time.time()
        self.tick: Final = time.perf_counter()
        self.owned: Final[list[HostFd]] = []
        self.kind: SocketKind | None = None
        self.address: Address | None = None
        self.performed: Address | None = None
        self.verdict: Verdict | None = None
        self.note = ""
        self.wants_event = False

    # What the program gave.

    def take_file(self, number: int) -> tuple[HostFd, SocketKind | None]:
        """Duplicate the program's descriptor for the length of this call; None for what is no socket.

        SyscallError(EBADF), also for an O_PATH descriptor. What is no socket may be any file, whose close can hang
        (FUSE): it is closed elsewhere.
        """
        fd = self.thread.take(number)
        try:
            self.kind = sockets.kind_of(fd)
        except SyscallError as error:
            closer.close(fd)
            if error.errno != errno.ENOTSOCK:
                raise
            return fd, None
        except BaseException:
            closer.close(fd)
            raise
        self.owned.append(fd)
        return fd, self.kind

    def take_socket(self, number: int) -> tuple[HostFd, SocketKind]:
        """Duplicate a descriptor that must be a socket. SyscallError(EBADF or ENOTSOCK)."""
        fd, kind = self.take_file(number)
        if kind is None:
            raise SyscallError(errno.ENOTSOCK)
        return fd, kind

    def capture_address(self, pointer: int, length: int) -> bytes:
        """Read a sockaddr once (`move_addr_to_kernel`). SyscallError(EINVAL) for a length below 0 or past 128."""
        if not 0 <= length <= SOCKADDR_STORAGE_SIZE:
            raise SyscallError(errno.EINVAL)
        return self.thread.read(pointer, length)

    def write_address(self, address: bytes, pointer: int, length_pointer: int) -> None:
        """Write a sockaddr and its true length (`move_addr_to_user`): cut to the program's buffer.

        SyscallError(EFAULT), or EINVAL for a negative length, which is then left as it is.
        """
        room = int.from_bytes(self.thread.read(length_pointer, 4), "little", signed=True)
        if room < 0:
            raise SyscallError(errno.EINVAL)
        self.thread.write(length_pointer, len(address).to_bytes(4, "little"))
        self.thread.write(pointer, address[:room])

    # What may be done.

    def judge(self, action: Action, kind: SocketKind, address: Address | None) -> None:
        """Ask the policy. Denied when it refuses. What is decided is what is recorded."""
        self.kind = kind
        if self.address is None:
            self.address = address
        self.wants_event = True
        self.verdict = self.session.policy.decide(Operation(action, kind.family, kind.type, kind.protocol, address))
        if not self.verdict.allowed:
            raise Denied(self.verdict)

    def must_still_wait(self) -> None:
        """To be asked once, after the last look at the thread and before anything is done. TraceeGone otherwise."""
        if not self.session.listener.valid(self.ident):
            raise TraceeGone

    def has_its_table_alone(self) -> bool:
        """Can nobody but this stopped thread change what its descriptor numbers mean? True only where the filter keeps
        processes from sharing a table and this process has one thread, which is in the call."""
        return self.session.guarded and self.thread.is_alone()

    # What became of it.

    def event(self, how: How, code: int) -> Event:
        """The record of this call."""
        session = self.session
        return Event(
            self.started, time.perf_counter() - self.tick, session.ident, session.policy.name, self._tgid(),
            self.thread.tid, self.thread.executable() if session.wants_allowed or how == "refused" else "", self.name,
            self.kind, self.address, self.performed, self.verdict, how, code, self.note,
        )

    def _tgid(self) -> int:
        tgids = self.session.tgids
        tgid = tgids.get(self.thread.tid)
        if tgid is None:
            if len(tgids) > 1024:
                tgids.clear()
            try:
                tgid = self.thread.status().tgid
            except (TraceeGone, ValueError):
                tgid = 0
            tgids[self.thread.tid] = tgid
        return tgid

    def let_go(self) -> None:
        """Close our copies of the program's sockets. Before the answer: the program may close its own right after it,
        and must see what that does (EOF at the peer, a port that is free again)."""
        for fd in self.owned:
            if fd.closed:
                continue  # a listening socket that was dropped while its thread was dying
            if self.kind is not None and self.kind.type == SOCK_STREAM and _lingers(fd):
                closer.close(fd)
            else:
                fd.close()
        self.owned.clear()

    def close(self) -> None:
        """Let go of everything of the program's."""
        self.let_go()
        self.thread.close()


def _lingers(fd: HostFd) -> bool:
    try:
        return sockets.lingers(fd)
    except SyscallError:
        return False  # an O_PATH descriptor of a look-up
