"""The seccomp listener: receive a notification, answer it, install a descriptor.

The answers are four methods rather than one with flags, because the kernel refuses CONTINUE together with a value or
an error and the program would then hang: that combination cannot be written here.
"""

import errno
import fcntl
import select
import signal
import struct
from functools import cache
from typing import Final

from supervisor.abi.seccomp import (
    ADDFD,
    NOTIF,
    RESPONSE,
    SECCOMP_ADDFD_FLAG_SEND,
    SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
    SECCOMP_IOCTL_NOTIF_ADDFD,
    SECCOMP_IOCTL_NOTIF_ID_VALID,
    SECCOMP_IOCTL_NOTIF_RECV,
    SECCOMP_IOCTL_NOTIF_SEND,
    SECCOMP_IOCTL_NOTIF_SET_FLAGS,
    SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP,
    SECCOMP_USER_NOTIF_FLAG_CONTINUE,
    Notification,
)
from supervisor.errors import TraceeGone
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.seccomp import has_filter_flag

_EVERY_SIGNAL: Final = signal.valid_signals()
_ID: Final = struct.Struct("=Q")
_ZEROS: Final = bytes(NOTIF.size)


@cache
def _has_wait_killable() -> bool:
    return has_filter_flag(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)


class Listener:
    """One seccomp listener and the buffer that notifications are received into."""

    def __init__(self, fd: HostFd, *, killable: bool | None = None) -> None:
        self.fd = fd
        # Was its filter loaded with WAIT_KILLABLE_RECV? `load_filter` does where the kernel has it.
        self.killable = _has_wait_killable() if killable is None else killable
        self._number = fd.fileno()
        self._buffer = bytearray(NOTIF.size)
        self._poll = select.poll()
        self._poll.register(self._number, select.POLLIN)
        self.sync_wake_up = self._set_sync_wake_up()

    def _set_sync_wake_up(self) -> bool:
        """Ask for the hand-off on one CPU (6.6): several microseconds cheaper, and otherwise the same."""
        try:
            fcntl.ioctl(self._number, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
        except OSError:
            return False
        return True

    def fileno(self) -> int:
        return self._number

    def ready(self) -> int:
        """The poll(2) events of now: POLLIN when a call waits, POLLHUP when no task is left, 0 otherwise."""
        events = self._poll.poll(0)
        return events[0][1] if events else 0

    def receive(self) -> tuple[Notification, bytes] | None:
        """Take one notification and the raw bytes of its record; None when the call went away first.

        Call it only when `ready()` has POLLIN: otherwise it blocks. A call that disappears between the two leaves its
        place in the kernel's count, so that RECV then fails with ENOENT instead of blocking.
        """
        buffer = self._buffer
        buffer[:] = _ZEROS  # the kernel refuses a record that is not zero
        try:
            fcntl.ioctl(self._number, SECCOMP_IOCTL_NOTIF_RECV, buffer, True)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return None
            raise
        return NOTIF.parse(buffer), bytes(buffer)

    def valid(self, ident: int) -> bool:
        """Does this notification still wait for an answer? False also when it has been answered."""
        try:
            fcntl.ioctl(self._number, SECCOMP_IOCTL_NOTIF_ID_VALID, _ID.pack(ident))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def answer_value(self, ident: int, value: int) -> None:
        """The call returns `value` (0 or more). TraceeGone when nobody waits any more."""
        self._send(RESPONSE.pack(ident, value, 0, 0))

    def answer_error(self, ident: int, error: int) -> None:
        """The call fails: `error` is a positive errno, or one of the kernel's restart codes (512 to 516)."""
        self._send(RESPONSE.pack(ident, 0, -error, 0))

    def answer_continue(self, ident: int) -> None:
        """The kernel performs the call itself, reading its arguments again."""
        self._send(RESPONSE.pack(ident, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE))

    def _send(self, response: bytes) -> None:
        try:
            fcntl.ioctl(self._number, SECCOMP_IOCTL_NOTIF_SEND, response)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINPROGRESS):
                raise TraceeGone from None
            raise

    def install(self, ident: int, fd: HostFd, flags: int) -> int:
        """Install a copy of `fd` in the thread's table and answer the call with its number.

        `flags` is O_CLOEXEC or 0. OSError(EMFILE) when the program's table is full: the call is not answered then.

        Fact: ADDFD waits until the thread has taken the descriptor. Interrupted there, by a signal or by a completion
        of io_uring, the kernel forgets the descriptor; with FLAG_SEND the call counts as answered all the same, with 0,
        and the restarted ioctl finds nobody.
        Consequence: accept(2) returned 0 in a few of a thousand calls, and the connection was lost.
        Decision: where only fatal signals can interrupt the call (WAIT_KILLABLE_RECV), install first, which may be
        restarted, and answer then. Elsewhere a call that goes away in between would leave a descriptor behind in the
        program, which is worse: FLAG_SEND, with every signal of ours blocked.
        Cost: one more wake-up of the thread.
        """
        if self.killable:
            number = self.give(ident, fd, flags)
            self.answer_value(ident, number)
            return number
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _EVERY_SIGNAL)
        try:
            return self._addfd(ADDFD.pack(ident, SECCOMP_ADDFD_FLAG_SEND, fd.fileno(), 0, flags))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def give(self, ident: int, fd: HostFd, flags: int) -> int:
        """Install a copy of `fd` in the thread's table, one of several perhaps, and answer nothing yet; its number.

        Not where signals can cancel a received call: what was given would stay behind. Nor before the call is answered
        with a restart: ADDFD without SEND looks to the waiting thread like a signal (state D).
        """
        return self._addfd(ADDFD.pack(ident, 0, fd.fileno(), 0, flags))

    def _addfd(self, request: bytes) -> int:
        try:
            # Only with a mutable buffer does fcntl.ioctl give the call's own return value: the installed number.
            return int(fcntl.ioctl(self._number, SECCOMP_IOCTL_NOTIF_ADDFD, bytearray(request), True))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINPROGRESS):
                raise TraceeGone from None
            raise

    def close(self) -> None:
        """Give the listener up. Calls of the program that are trapped from now on fail with ENOSYS."""
        self.fd.close()
