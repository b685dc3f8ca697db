"""Waiting for sockets, without a flag of theirs being touched and, with io_uring, without a thread being held."""

import errno
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import trio

from supervisor.abi.socket import SOCKADDR_STORAGE_SIZE
from supervisor.errors import SyscallError
from supervisor.kernel import libc
from supervisor.kernel.alarm import Alarm, interruptible
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.uring import Pending, Ring
from supervisor.syscalls.parking import Parking

Acting = Callable[[], AbstractContextManager[None]]

_WAKE: Final = signal.SIGUSR2
_WAKE_AGAIN: Final = 0.005


class Waiting:
    """The ways in which a daemon waits: one for all sessions. `run` it in the daemon's nursery."""

    def __init__(self, *, use_uring: bool = True) -> None:
        self.ring = _open_ring() if use_uring else None
        interruptible()
        self._alarm = Alarm()
        self.parking = Parking()

    async def run(self) -> None:
        """Hand out completions and wake those who wait, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.parking.run)
            if self.ring is not None:
                nursery.start_soon(self._reap, self.ring)

    async def _reap(self, ring: Ring) -> None:
        while True:
            await trio.lowlevel.wait_readable(ring.eventfd.fileno())
            ring.clear_event()
            ring.reap()

    def close(self) -> None:
        self._alarm.close()
        self.parking.close()
        if self.ring is not None:
            trio.lowlevel.notify_closing(self.ring.eventfd.fileno())
            self.ring.close()

    def connect_now(self, fd: HostFd, address: bytes, acting: Acting = nullcontext) -> int:
        """connect(2) on a socket that should not block: 0 or a negative errno, EINTR when it would have blocked."""
        with acting(), self._alarm:
            return -libc.get_errno() if libc.connect(fd.fileno(), address, len(address)) else 0

    def connect(self, fd: HostFd, address: bytes, acting: Acting = nullcontext) -> "Connecting":
        """Start connect(2), blocking or not as the file's own flags say, with the identity that `acting` enters."""
        if self.ring is None:
            return _InThread(fd, address, acting)
        with acting():
            return _InRing(self.ring, fd, address)

    async def accept(self, fd: HostFd, flags: int) -> tuple[HostFd, bytes]:
        """accept4(2) of a connection that is there, and the peer's address. SyscallError(EAGAIN) when there is none.

        Without IORING_ACCEPT_DONTWAIT a helper thread may wait for a connection that another process took; it is
        interrupted when this is cancelled.
        """
        now = self.accept_now(fd, flags)
        if now is not None:
            return now
        name = bytearray(SOCKADDR_STORAGE_SIZE)
        length = bytearray(SOCKADDR_STORAGE_SIZE.to_bytes(4, "little"))
        at, length_at = libc.address_of(name), libc.address_of(length)
        accepted: list[HostFd] = []

        def call() -> int:
            number = libc.accept4(fd.fileno(), at, length_at, flags | os.O_CLOEXEC)
            if number >= 0:
                accepted.append(HostFd(number))
            return number

        try:
            number = await _in_thread(call)
        except BaseException:
            for late in accepted:  # it came with the cancellation
                late.close()
            raise
        if number < 0:
            raise SyscallError(-number)
        return accepted[0], bytes(name[: int.from_bytes(length, "little")])

    def accept_now(self, fd: HostFd, flags: int) -> tuple[HostFd, bytes] | None:
        """The same without ever waiting; None where this kernel cannot promise that."""
        if self.ring is None or not self.ring.accepts_without_waiting:
            return None
        pending, name = self.ring.accept(fd, flags | os.O_CLOEXEC)
        assert pending.result is not None
        if pending.result < 0:
            raise SyscallError(-pending.result)
        return HostFd(pending.result), name


class Connecting(ABC):
    """A connect(2) under way. `result` is 0 or a negative errno once it is known, None until then."""

    result: int | None

    @abstractmethod
    async def wait(self) -> int:
        """Wait for the result.

        Cancelled, it takes the call back: TCP stays in SYN_SENT, as after an interrupted native call. If the result
        came first it is in `result` all the same.
        """


class _InRing(Connecting):
    def __init__(self, ring: Ring, fd: HostFd, address: bytes) -> None:
        self._ring = ring
        self._pending: Pending = ring.connect(fd, address)

    @property
    def result(self) -> int | None:  # type: ignore[override]
        result = self._pending.result
        # ECANCELED: taken back while polled. EINTR: taken back while a kernel worker was inside the call.
        return None if result in (-errno.ECANCELED, -errno.EINTR) else result

    async def wait(self) -> int:
        done = trio.Event()
        self._pending.on_done = done.set
        if self._pending.result is not None:
            done.set()
        try:
            await done.wait()
        except trio.Cancelled:
            self._ring.cancel(self._pending)
            with trio.CancelScope(shield=True):
                await done.wait()
            raise
        assert self._pending.result is not None
        return self._pending.result


class _InThread(Connecting):
    def __init__(self, fd: HostFd, address: bytes, acting: Acting) -> None:
        self.result = None
        self._fd = fd
        self._acting = acting
        self._address = address

    async def wait(self) -> int:
        def call() -> int:
            with self._acting():
                failed = libc.connect(self._fd.fileno(), self._address, len(self._address))
                self.result = -libc.get_errno() if failed else 0
            if self.result == -errno.EINTR:
                self.result = None
            return 0

        await _in_thread(call)
        return -errno.EINTR if self.result is None else self.result


async def _in_thread(call: Callable[[], int]) -> int:
    """Run a blocking call on a thread: its value, or a negative errno. Cancelling interrupts it with a signal, again
    and again until it ends, because a signal may come before the thread is inside the call."""
    ident: list[int] = []

    def body() -> int:
        ident.append(threading.get_ident())
        value = call()
        return value if value >= 0 else -libc.get_errno()

    finished = trio.Event()
    outcome: list[int] = []

    async def work() -> None:
        with trio.CancelScope(shield=True):
            outcome.append(await trio.to_thread.run_sync(body))
        finished.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        try:
            await finished.wait()
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                while not finished.is_set():
                    if ident:
                        signal.pthread_kill(ident[0], _WAKE)
                    with trio.move_on_after(_WAKE_AGAIN):
                        await finished.wait()
            raise
    return outcome[0]


def _open_ring() -> Ring | None:
    try:
        return Ring()
    except OSError:
        return None  # missing or disabled; `supervise doctor` says so
