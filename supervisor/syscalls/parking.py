"""Waiting for a connection without holding the listening socket.

Fact: a listening socket lives as long as any copy of it. While a call waits for a connection, its program may be killed
and reaped, and the next one binds the same port before we have seen the end of the first: EADDRINUSE. But an epoll
entry is no copy: it lasts as long as the open file itself, also after the descriptor that it was made with is closed
(epoll(7), questions 6).
Decision: register our copy, close it, and wait for the entry; then take the descriptor again, and see by its SO_COOKIE
that it is the same socket.
Cost: two system calls a wait, and an entry that stays with the socket. A program that closes or replaces the
descriptor meanwhile waits for ever, or until a signal, as it does natively when nobody can connect any more.
"""

import select
from typing import Final

import trio

from supervisor.kernel.hostfd import HostFd


class Parking:
    """Everyone who waits for a connection. `run` it in the daemon's nursery."""

    def __init__(self) -> None:
        self._epoll: Final = select.epoll()
        # Entries are known by the number that they were made with, which may have been reused: those wake together.
        self._waiting: Final[dict[int, set[trio.Event]]] = {}

    async def run(self) -> None:
        """Wake those whose sockets have something, for ever."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            for number, _ in self._epoll.poll(0):
                for event in self._waiting.pop(number, ()):
                    event.set()

    def park(self, fd: HostFd) -> "Parked":
        """Close `fd`, and watch its socket."""
        number = fd.fileno()
        self._arm(number)
        fd.close()
        event = trio.Event()
        self._waiting.setdefault(number, set()).add(event)
        return Parked(self._waiting, number, event)

    def _arm(self, number: int) -> None:
        events = select.EPOLLIN | select.EPOLLONESHOT
        try:
            self._epoll.register(number, events)
        except FileExistsError:
            self._epoll.modify(number, events)

    def close(self) -> None:
        trio.lowlevel.notify_closing(self._epoll.fileno())
        self._epoll.close()


class Parked:
    """A watched socket."""

    def __init__(self, waiting: dict[int, set[trio.Event]], number: int, event: trio.Event) -> None:
        self._waiting = waiting
        self._number = number
        self._event = event

    async def wait(self) -> None:
        """Until the socket has a connection or an error; may end for nothing. Once."""
        try:
            await self._event.wait()
        finally:
            left = self._waiting.get(self._number)
            if left is not None:
                left.discard(self._event)
                if not left:
                    del self._waiting[self._number]
