"""A thread of the program, stopped in a call."""

import errno
import os
import resource
import signal
from functools import cache
from typing import Final

from supervisor.errors import CannotServe, SyscallError, TraceeGone
from supervisor.kernel import process
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.identity import Credentials
from supervisor.kernel.mapping import are_writable
from supervisor.tracee.proc import Status, parse_state, parse_status

# Since 6.9 a thread that has left the shared descriptor table can be reached; before that the leader's table must be
# the thread's own.
_thread_pidfds = True


class Thread:
    """One thread by its id, for the length of one call.

    Everything read through it may come from a later owner of the same id: whoever acts on what was read must ask the
    listener once, after the last reading, whether the call still waits.
    """

    __slots__ = ("_pidfd", "_status", "tid")

    def __init__(self, tid: int) -> None:
        self.tid: Final = tid
        self._pidfd: HostFd | None = None
        self._status: Status | None = None

    def pidfd(self) -> HostFd:
        """A pidfd that reaches this thread's own descriptor table."""
        if self._pidfd is None:
            self._pidfd = _open(self.tid)
        return self._pidfd

    def take(self, number: int) -> HostFd:
        """Duplicate one of the program's descriptors. SyscallError(EBADF) when it is not open."""
        try:
            return process.take_fd(self.pidfd(), number)
        except OSError as error:
            raise CannotServe(f"pidfd_getfd of thread {self.tid}: {error.strerror}") from error

    def read(self, address: int, length: int) -> bytes:
        """Copy `length` bytes in. SyscallError(EFAULT) when not all of them are readable."""
        if length == 0:
            return b""
        try:
            data = process.read_memory(self.tid, address, length)
        except OSError as error:
            raise _memory(error, self.tid) from None
        if len(data) != length:
            raise SyscallError(errno.EFAULT)
        return data

    def read_vectors(self, ranges: list[tuple[int, int]]) -> bytes:
        """Copy several (address, length) ranges in, as one. Short where memory ends; EFAULT when nothing is there."""
        try:
            return process.read_vectors(self.tid, ranges)
        except OSError as error:
            raise _memory(error, self.tid) from None

    def write(self, address: int, data: bytes) -> None:
        """Copy out. SyscallError(EFAULT) when not all of it is writable; what came before the bad page is written."""
        if not data:
            return
        try:
            count = process.write_memory(self.tid, address, data)
        except OSError as error:
            raise _memory(error, self.tid) from None
        if count != len(data):
            raise SyscallError(errno.EFAULT)

    def write_vectors(self, ranges: list[tuple[int, int]], source: int, length: int) -> int:
        """Copy our memory out to several ranges, as one; the count, short where writable memory ends."""
        if length == 0:
            return 0
        try:
            return process.write_vectors(self.tid, ranges, source, length)
        except OSError as error:
            failure = _memory(error, self.tid)
            if isinstance(failure, SyscallError):
                return 0
            raise failure from None

    def can_write(self, ranges: list[tuple[int, int]]) -> bool:
        """Are all of these (address, length) ranges writable for the program? See `mapping`."""
        return are_writable(self.tid, ranges)

    def status(self) -> Status:
        """Its /proc status, read once: 15 us. TraceeGone when it is no more."""
        if self._status is None:
            try:
                with open(f"/proc/{self.tid}/status", "rb", buffering=0) as file:
                    self._status = parse_status(file.read())
            except (FileNotFoundError, ProcessLookupError):
                raise TraceeGone from None
        return self._status

    def credentials(self) -> Credentials:
        """Who it is now, in terms of our user namespace.

        Capabilities in /proc are those of its own user namespace; in another one than ours they are worth nothing here.
        """
        credentials = self.status().credentials
        return credentials if self.shares_namespace("user") else credentials._replace(capabilities=0)

    def shares_namespace(self, name: str) -> bool:
        """Is it in our namespace of this name ("user", "mnt")? Where that cannot be seen, it is taken for another."""
        try:
            theirs = os.stat(f"/proc/{self.tid}/ns/{name}")
        except OSError:
            return False
        return (theirs.st_dev, theirs.st_ino) == _own_namespace(name)

    def is_alone(self) -> bool:
        """Is it the only thread of its process? A directory's link count is its entries and two: cheaper than text."""
        try:
            return os.stat(f"/proc/{self.tid}/task").st_nlink == 3
        except OSError:
            return False

    def table_is_full(self) -> bool:
        """Would the next descriptor be EMFILE? The directory's size is the count of open ones (6.2; 0 before, and then
        nothing is known)."""
        try:
            limit = resource.prlimit(self.tid, resource.RLIMIT_NOFILE)[0]
            if os.stat(f"/proc/{self.tid}/fd").st_size < limit:
                return False
            return sum(int(number) < limit for number in os.listdir(f"/proc/{self.tid}/fd")) >= limit
        except (OSError, ValueError):
            return False

    def executable(self) -> str:
        """The file it runs, for display; "" where we may not know."""
        try:
            return os.readlink(f"/proc/{self.tid}/exe")
        except OSError:
            return ""

    def send_sigpipe(self) -> None:
        """Deliver SIGPIPE to this very thread, as a native write to a broken pipe does (`handleIOError` in gVisor)."""
        _tgkill(self.status().tgid, self.tid, signal.SIGPIPE)

    def close(self) -> None:
        if self._pidfd is not None:
            self._pidfd.close()


class StateFile:
    """The state letter of a thread, from a file that stays open: 2.5 us a look."""

    def __init__(self, tid: int) -> None:
        try:
            self._fd = HostFd(os.open(f"/proc/{tid}/stat", os.O_RDONLY | os.O_CLOEXEC))
        except (FileNotFoundError, ProcessLookupError):
            raise TraceeGone from None
        except OSError as error:
            raise CannotServe(f"state of thread {tid}: {error.strerror}") from error

    def letter(self) -> str:
        """The letter now. TraceeGone when the thread is no more."""
        try:
            return parse_state(os.pread(self._fd.fileno(), 512, 0))
        except (ProcessLookupError, ValueError):
            raise TraceeGone from None

    def close(self) -> None:
        self._fd.close()


@cache
def _own_namespace(name: str) -> tuple[int, int]:
    ours = os.stat(f"/proc/self/ns/{name}")
    return ours.st_dev, ours.st_ino


def _open(tid: int) -> HostFd:
    global _thread_pidfds  # noqa: PLW0603 - learned once from the kernel
    if _thread_pidfds:
        try:
            return process.open_pidfd(tid, process.PIDFD_THREAD)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            _thread_pidfds = False
    return _open_leader(tid)


def _open_leader(tid: int) -> HostFd:
    try:
        with open(f"/proc/{tid}/status", "rb", buffering=0) as file:
            leader = parse_status(file.read()).tgid
    except (FileNotFoundError, ProcessLookupError):
        raise TraceeGone from None
    if leader != tid and not process.shares_files(leader, tid):
        raise CannotServe(f"thread {tid} has a descriptor table of its own, which this kernel gives no way into (6.9)")
    return process.open_pidfd(leader)


def _tgkill(tgid: int, tid: int, number: int) -> None:
    try:
        process.signal_thread(tgid, tid, number)
    except ProcessLookupError:
        raise TraceeGone from None


def _memory(error: OSError, tid: int) -> Exception:
    if error.errno == errno.EFAULT:
        return SyscallError(errno.EFAULT)
    return CannotServe(f"memory of thread {tid}: {error.strerror}")
