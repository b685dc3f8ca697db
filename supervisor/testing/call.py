"""Calls of fake threads: made by hand for one handler, or as notifications for the dispatcher."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from supervisor.abi.seccomp import NOTIF, Notification
from supervisor.syscalls import call as call_module
from supervisor.syscalls import dispatch as dispatch_module
from supervisor.syscalls.call import Call
from supervisor.syscalls.dispatch import AUDIT_ARCH, ROWS_BY_NUMBER
from supervisor.syscalls.session import Session
from supervisor.testing.listener import FakeListener
from supervisor.testing.thread import FakeStateFile, FakeThread

_NUMBERS = {row.name: number for number, row in ROWS_BY_NUMBER.items()}


def make_notification(
    name: str, session: Session, thread: FakeThread, *arguments: int, nr: int | None = None, arch: int = AUDIT_ARCH,
    pid: int | None = None,
) -> tuple[Notification, bytes]:
    """What the kernel would tell of this call, which waits from now on. Negative arguments fill their register."""
    listener = session.listener
    assert isinstance(listener, FakeListener)
    registers = [argument & 0xFFFFFFFFFFFFFFFF for argument in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    raw = NOTIF.pack(
        listener.begin(thread), thread.tid if pid is None else pid, 0, _NUMBERS[name] if nr is None else nr, arch,
        0x400000, *registers,
    )
    return NOTIF.parse(raw), raw


def make_call(name: str, session: Session, thread: FakeThread) -> Call:
    """A call by its name, to give to a handler with its arguments. Close it."""
    notification, _ = make_notification(name, session, thread)
    with seen_as_threads(thread):
        return Call(session, notification, name)


@contextmanager
def seen_as_threads(*threads: FakeThread) -> Iterator[None]:
    """While the body runs, the ids of these threads lead to them, and to their state."""
    by_tid = {thread.tid: thread for thread in threads}

    def find(tid: int) -> FakeThread:
        return by_tid.get(tid) or FakeThreadless(tid)

    with (
        patch.object(call_module, "Thread", find),
        patch.object(dispatch_module, "StateFile", lambda tid: FakeStateFile(find(tid))),
    ):
        yield


class FakeThreadless(FakeThread):
    """What an id leads to that belongs to nobody."""

    __slots__ = ()

    def __init__(self, tid: int) -> None:
        super().__init__(tid)
        self.end()
        self._ended.close()
