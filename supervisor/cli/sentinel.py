"""Telling a signal to the whole process group from one to this process alone.

Fact: siginfo does not say whether `kill -TERM -PGID` or `kill -TERM PID` was meant. The program is in our group: of the
first it has its own copy, the second must be passed on, or a script's `kill $!` would be lost.
Decision: a child in the same group blocks every signal, and says on demand whether one is pending there. A group's
members are signalled newest first, so when we have taken a signal that went to the group it has reached the child.
Signals below SIGRTMIN do not queue: what arrives a second time before it was taken is one. `take` must therefore be
repeated, and our own copy thrown away, until the child has none: else the second would look, later, like one that was
meant for us alone, and the program would get it twice.
Cost: one more process for as long as the front lives; it dies with it. A question takes two changes of process.
"""

import os
import signal
import socket
import struct
from typing import Final, NoReturn

from supervisor.kernel.process import die_with_parent

_NUMBER: Final = struct.Struct("=i")


class Sentinel:
    """A child of the calling process that only collects signals. Make it with every signal blocked."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair()
        parent = os.getpid()
        try:
            self._pid = os.fork()
        except OSError:
            self._pid = -1  # at the limit of processes: then every signal counts as meant for us
        if self._pid == 0:
            _collect(theirs.fileno(), parent)
        theirs.close()

    def take(self, number: int) -> bool:
        """Was this signal sent to the group? One of them is forgotten then."""
        if self._is_stopped():
            # The group was stopped, and we alone were continued: a SIGCONT for the group would have waked it, too.
            os.kill(self._pid, signal.SIGCONT)
            self._ask(signal.SIGCONT)
            if number == signal.SIGCONT:
                return False
        return self._ask(number)

    def _ask(self, number: int) -> bool:
        try:
            self._channel.send(_NUMBER.pack(number), socket.MSG_NOSIGNAL)
            return self._channel.recv(1) == b"1"
        except OSError:
            return False

    def _is_stopped(self) -> bool:
        try:
            with open(f"/proc/{self._pid}/stat", "rb", buffering=0) as file:
                return file.read().rpartition(b")")[2].split()[0] == b"T"
        except (OSError, IndexError):
            return False


def _collect(channel: int, parent: int) -> NoReturn:
    """The child: hold nothing of the program's open, and take signals on demand."""
    try:
        die_with_parent(parent)
        os.dup2(channel, 3)
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.closerange(4, 1 << 16)
        while request := os.read(3, _NUMBER.size):
            taken = signal.sigtimedwait([_NUMBER.unpack(request)[0]], 0)
            os.write(3, b"1" if taken else b"0")
    finally:
        os._exit(0)
