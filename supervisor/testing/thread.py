"""A thread of a program that is not there: see `FakeThread`."""

import ctypes
import errno
import os
import signal
from types import TracebackType
from typing import Final, Protocol, Self

from supervisor.errors import CannotServe, SyscallError, TraceeGone
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.identity import Credentials, own_credentials
from supervisor.testing.memory import Memory
from supervisor.tracee.proc import Status
from supervisor.tracee.thread import StateFile, Thread

_STDIO: Final = 3


class HasFileno(Protocol):
    """A file of this process."""

    def fileno(self) -> int: ...


class FakeThread(Thread):
    """A stopped thread whose memory and descriptor table a test has made.

    By default it is who this process is, has one thread, room for 1,024 descriptors, and sleeps; `namespaces` are those
    that it shares with us. `end` is its death; `hide` makes it one that we may not look into. Use as a context manager.
    """

    __slots__ = (
        "_ended", "_gone", "_hidden", "facts", "letter", "limit", "memory", "namespaces", "program", "signals", "table",
    )

    def __init__(self, tid: int | None = None) -> None:
        super().__init__(os.getpid() if tid is None else tid)
        us = own_credentials()
        self.memory: Final = Memory()
        self.table: Final[dict[int, HostFd]] = {}
        self.limit = 1024
        self.letter = "S"
        self.program = "/bin/fake"
        self.signals: Final[list[int]] = []
        self.facts = Status(self.tid, 0o022, 1, (us.uid,) * 4, (us.gid,) * 4, us)
        self.namespaces: Final = {"user", "mnt", "pid"}
        self._ended: Final = HostFd(os.eventfd(0, os.EFD_CLOEXEC))
        self._gone = False
        self._hidden = False

    # What a test makes of it.

    def open(self, file: HasFileno, number: int | None = None) -> int:
        """Give it a copy of a file of ours, as the lowest free number or as `number`."""
        if number is None:
            number = next(n for n in range(_STDIO, self.limit + _STDIO + 1) if n not in self.table)
        self.close_fd(number)
        self.table[number] = HostFd(os.dup(file.fileno()))
        return number

    def close_fd(self, number: int) -> None:
        """Close one of its descriptors, if it is open."""
        fd = self.table.pop(number, None)
        if fd is not None:
            fd.close()

    def become(self, credentials: Credentials) -> None:
        """Let it be somebody else."""
        uid, gid = credentials.uid, credentials.gid
        self.facts = self.facts._replace(uids=(uid,) * 4, gids=(gid,) * 4, credentials=credentials)

    def end(self) -> None:
        """Let it die."""
        self._gone = True
        os.eventfd_write(self._ended.fileno(), 1)

    def hide(self) -> None:
        """Let it be undumpable."""
        self._hidden = True

    # What a handler sees of it.

    def pidfd(self) -> HostFd:
        self._must_be_there()
        if self._pidfd is None:
            self._pidfd = HostFd(os.dup(self._ended.fileno()))
        return self._pidfd

    def take(self, number: int) -> HostFd:
        self._must_be_visible("pidfd_getfd")
        fd = self.table.get(number)
        if fd is None:
            raise SyscallError(errno.EBADF)
        return HostFd(os.dup(fd.fileno()))

    def read(self, address: int, length: int) -> bytes:
        if length == 0:
            return b""
        self._must_be_visible("memory")
        data = self.memory.read(address, length)
        if len(data) != length:
            raise SyscallError(errno.EFAULT)
        return data

    def read_vectors(self, ranges: list[tuple[int, int]]) -> bytes:
        self._must_be_visible("memory")
        parts = []
        for address, length in ranges:
            parts.append(self.memory.read(address, length))
            if len(parts[-1]) < length:
                break
        data = b"".join(parts)
        if not data and any(length for _, length in ranges):
            raise SyscallError(errno.EFAULT)
        return data

    def write(self, address: int, data: bytes) -> None:
        if not data:
            return
        self._must_be_visible("memory")
        if self.memory.write(address, data) != len(data):
            raise SyscallError(errno.EFAULT)

    def write_vectors(self, ranges: list[tuple[int, int]], source: int, length: int) -> int:
        if length == 0:
            return 0
        self._must_be_visible("memory")
        data = ctypes.string_at(source, length)
        done = 0
        for address, size in ranges:
            part = data[done : done + size]
            count = self.memory.write(address, part)
            done += count
            if count < len(part):
                break
        return done

    def can_write(self, ranges: list[tuple[int, int]]) -> bool:
        wanted = [(address, length) for address, length in ranges if length]
        visible = not self._gone and not self._hidden
        return not wanted or (visible and all(self.memory.is_writable(*each) for each in wanted))

    def status(self) -> Status:
        self._must_be_there()
        return self.facts

    def shares_namespace(self, name: str) -> bool:
        return not self._gone and name in self.namespaces

    def is_alone(self) -> bool:
        return not self._gone and self.facts.threads == 1

    def table_is_full(self) -> bool:
        return not self._gone and len(self.table) >= self.limit

    def executable(self) -> str:
        return "" if self._gone else self.program

    def send_sigpipe(self) -> None:
        self._must_be_there()
        self.signals.append(signal.SIGPIPE)

    def close(self) -> None:
        super().close()
        self._pidfd = None  # the same thread makes the next call

    def dispose(self) -> None:
        """Close what it has open."""
        self.close()
        self._ended.close()
        for number in list(self.table):
            self.close_fd(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.dispose()

    def _must_be_there(self) -> None:
        if self._gone:
            raise TraceeGone

    def _must_be_visible(self, what: str) -> None:
        self._must_be_there()
        if self._hidden:
            raise CannotServe(f"{what} of thread {self.tid}: Operation not permitted")


class FakeStateFile(StateFile):
    """The state letter of a fake thread."""

    def __init__(self, thread: FakeThread) -> None:
        thread.status()
        self._thread = thread

    def letter(self) -> str:
        self._thread.status()
        return self._thread.letter

    def close(self) -> None:
        """There is no file."""
