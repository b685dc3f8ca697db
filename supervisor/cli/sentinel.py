"""Telling a signal to the whole process group from one to this process alone.

Fact: siginfo does not say whether `kill -TERM -PGID` or `kill -TERM PID` was meant. The program is in our group: of the
first it has its own copy, the second must be passed on, or a script's `kill $!` would be lost.
Decision: a child in the same group blocks every signal. A group's members are signalled newest first, so when we see
a signal that went to the group it is pending there already.
Cost: one more process for as long as the front lives; it dies with it.
"""

import os
import signal
import struct
from typing import Final

from supervisor.kernel.process import die_with_parent

_NUMBER: Final = struct.Struct("=i")


class Sentinel:
    """A child of the calling process that only collects signals. Make it with every signal blocked."""

    def __init__(self) -> None:
        reading, self._writing = os.pipe()
        parent = os.getpid()
        try:
            self._pid = os.fork()
        except OSError:
            self._pid = -1  # at the limit of processes: then every signal counts as meant for us
        if self._pid == 0:
            os.close(self._writing)
            _collect(reading, parent)
        os.close(reading)

    def has(self, number: int) -> bool:
        """Was this signal sent to the group? It is forgotten then."""
        try:
            with open(f"/proc/{self._pid}/status", "rb", buffering=0) as file:
                _, _, rest = file.read().partition(b"ShdPnd:\t")
            pending = int(rest[:16], 16) >> (number - 1) & 1
        except (OSError, ValueError):
            return False
        if pending:
            os.write(self._writing, _NUMBER.pack(number))
        return bool(pending)


def _collect(reading: int, parent: int) -> None:
    """The child: hold nothing of the program's open, and forget signals on demand."""
    try:
        die_with_parent(parent)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(reading, 3)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.closerange(4, 1 << 16)
        while request := os.read(3, _NUMBER.size):
            signal.sigtimedwait([_NUMBER.unpack(request)[0]], 0)
    finally:
        os._exit(0)
