"""Descriptors of this process: owned, and closed exactly once.

A `HostFd` is never an int, so that the program's number cannot be closed in our table or ours sent as the program's.
Closing can block for seconds (SO_LINGER) or for ever (a FUSE file that a program handed us), so descriptors that came
from a program are given to `Closer`, one thread that does nothing else.
"""

import os
import queue
import threading
from typing import Final, Self


class HostFd:
    """One descriptor number of this process. Use as a context manager, `close()` it, or `detach()` it."""

    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        """The number; ValueError once closed."""
        if self._number < 0:
            raise ValueError("descriptor is closed")
        return self._number

    @property
    def closed(self) -> bool:
        return self._number < 0

    def detach(self) -> int:
        """Give the number away: the caller closes it."""
        number, self._number = self.fileno(), -1
        return number

    def close(self) -> None:
        if self._number >= 0:
            number, self._number = self._number, -1
            os.close(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # A path that forgot its descriptor must not keep a program's socket alive; tests make this an error.
        if getattr(self, "_number", -1) >= 0:
            leaked.append(self._number)
            self.close()

    def __repr__(self) -> str:
        return f"HostFd({self._number})"


leaked: Final[list[int]] = []
"""Numbers of descriptors that were freed without being closed: empty unless there is a bug. Read by tests."""


class Closer:
    """Closes descriptors on threads of its own: one while all goes well, more while closes hang, up to a bound."""

    _MOST: Final = 64

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._idle = 0

    @property
    def threads(self) -> int:
        return len(self._threads)

    def close(self, fd: HostFd) -> None:
        """Close soon. Never blocks."""
        if fd.closed:
            return
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            elif len(self._threads) < self._MOST:
                thread = threading.Thread(target=self._run, name="closer", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._queue.put(fd.detach())

    def _run(self) -> None:
        while (number := self._queue.get()) is not None:
            try:
                os.close(number)
            except OSError:
                pass  # close(2) reports what happened to data; the number is free in every case
            with self._lock:
                self._idle += 1

    def stop(self) -> None:
        """Wait until everything is closed, and end the threads."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._idle = 0


closer: Final = Closer()
