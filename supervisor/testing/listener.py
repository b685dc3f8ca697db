"""A listener without a filter: see `FakeListener`."""

import errno
import itertools
import os
from dataclasses import dataclass
from typing import Final

from supervisor.errors import TraceeGone
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.listener import Listener
from supervisor.kernel.sockets import is_path
from supervisor.syscalls.reply import Continue, Fail, Reply, Value
from supervisor.testing.thread import FakeThread

# Not named tuples: those of different types are equal when their values are, and Returned(1) is not Failed(EPERM).


@dataclass(frozen=True)
class Returned:
    """The call returned this."""

    value: int


@dataclass(frozen=True)
class Failed:
    """The call failed with this errno."""

    errno: int


@dataclass(frozen=True)
class Continued:
    """The kernel went on with the call."""


@dataclass(frozen=True)
class Installed:
    """The call returned this new descriptor of the program."""

    number: int
    flags: int


Answer = Returned | Failed | Continued | Installed


class FakeListener(Listener):
    """Knows which calls wait, and what each was answered, in order.

    As with the real one, a call can be answered once; then, and once it was `forget`-ted, it is TraceeGone. `given` are
    the program's new descriptors, with their flags.
    """

    def __init__(self) -> None:
        self.killable = True
        self.given: Final[list[tuple[int, int]]] = []
        self.answers: Final[list[tuple[int, Answer]]] = []
        self.closed = False
        self._waiting: Final[dict[int, FakeThread]] = {}
        self._idents: Final = itertools.count(1)

    def begin(self, thread: FakeThread) -> int:
        """A call of this thread waits from now on; its id."""
        ident = next(self._idents)
        self._waiting[ident] = thread
        return ident

    def forget(self, ident: int) -> None:
        """The call went away: a signal took it, or its thread died."""
        self._waiting.pop(ident, None)

    def forget_all(self) -> None:
        """Every call went away."""
        self._waiting.clear()

    def answer_to(self, ident: int) -> list[Answer]:
        """What one call was answered: one answer, or none."""
        return [answer for answered, answer in self.answers if answered == ident]

    def valid(self, ident: int) -> bool:
        return ident in self._waiting

    def answer_value(self, ident: int, value: int) -> None:
        self._answer(ident, Returned(value))

    def answer_error(self, ident: int, error: int) -> None:
        self._answer(ident, Failed(error))

    def answer_continue(self, ident: int) -> None:
        self._answer(ident, Continued())

    def install(self, ident: int, fd: HostFd, flags: int) -> int:
        number = self.give(ident, fd, flags)
        self._answer(ident, Installed(number, flags))
        return number

    def give(self, ident: int, fd: HostFd, flags: int) -> int:
        thread = self._waiting.get(ident)
        if thread is None:
            raise TraceeGone
        if is_path(fd):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if thread.table_is_full():
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        number = thread.open(fd)
        self.given.append((number, flags))
        return number

    def close(self) -> None:
        self.closed = True
        self._waiting.clear()

    def _answer(self, ident: int, answer: Answer) -> None:
        if self._waiting.pop(ident, None) is None:
            raise TraceeGone
        self.answers.append((ident, answer))


def said(reply: Reply) -> Answer:
    """What a handler's reply, other than a descriptor, is to the program."""
    match reply:
        case Value(value):
            return Returned(value)
        case Fail(code):
            return Failed(code)
        case Continue():
            return Continued()
    raise TypeError(reply)
