"""An alarm for one thread: ends a system call that was not expected to wait.

Fact: a connect(2) on a socket with O_NONBLOCK does not wait, but another thread of the program can clear the flag
between our look at it and our call, and the daemon would wait in the program's stead.
Consequence: no call may depend on the flag alone.
Decision: where the flag says that a call cannot wait, the plain call is made under an alarm of a few milliseconds: a
timer that signals this very thread (SIGEV_THREAD_ID), so the call ends with EINTR, as an interrupted native one does.
Cost: two timer_settime calls, 6 us from Python.
"""

import ctypes
import signal
import struct
import threading
from types import FrameType, TracebackType
from typing import Final

from supervisor.kernel import libc

_SIGEV_THREAD_ID: Final = 4
_CLOCK_MONOTONIC: Final = 1
_SIGEVENT_SIZE: Final = 64
_ITIMERSPEC: Final = struct.Struct("@llll")
_SIGNAL: Final = signal.SIGUSR2
_AGAIN_NS: Final = 1_000_000


def interruptible() -> None:
    """Give the signal a handler, so that it interrupts instead of killing; Python installs it without SA_RESTART."""
    signal.signal(_SIGNAL, _nothing)


class Alarm:
    """`with alarm:` around a call that should not wait. Of the thread that made it; SIGUSR2 must be `interruptible`.

    It rings again every millisecond after the first time, because a signal may come just before the call.
    """

    def __init__(self, nanoseconds: int = 5_000_000) -> None:
        event = struct.pack("@Qiii", 0, _SIGNAL, _SIGEV_THREAD_ID, threading.get_native_id())
        buffer = ctypes.create_string_buffer(event, _SIGEVENT_SIZE)
        timer = ctypes.c_int(0)
        libc.syscall(
            libc.number("timer_create"), _CLOCK_MONOTONIC, ctypes.addressof(buffer), ctypes.addressof(timer)
        )
        self._timer = timer.value
        self._settime = libc.number("timer_settime")
        self._set = ctypes.create_string_buffer(_ITIMERSPEC.pack(0, _AGAIN_NS, 0, nanoseconds), _ITIMERSPEC.size)
        self._clear = ctypes.create_string_buffer(bytes(_ITIMERSPEC.size), _ITIMERSPEC.size)
        self._set_at, self._clear_at = ctypes.addressof(self._set), ctypes.addressof(self._clear)

    def __enter__(self) -> None:
        libc.syscall(self._settime, self._timer, 0, self._set_at, 0)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        libc.syscall(self._settime, self._timer, 0, self._clear_at, 0)

    def close(self) -> None:
        libc.syscall(libc.number("timer_delete"), self._timer)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """A handler has to exist for the signal to interrupt a call."""
