"""Reading a listener: everything that is ready is answered before anybody sleeps."""

import select
from typing import Final

import trio

from supervisor.syscalls.dispatch import dispatch
from supervisor.syscalls.session import Session

_BURST: Final = 64
"""Notifications answered in a row before other tasks get their turn."""


async def serve(session: Session) -> None:
    """Answer the calls of one listener until its last task is gone."""
    listener = session.listener
    async with trio.open_nursery() as nursery:
        while True:
            await trio.lowlevel.wait_readable(listener)
            if not _drain(session, nursery):
                break
        nursery.cancel_scope.cancel()


def _drain(session: Session, nursery: trio.Nursery) -> bool:
    """Answer what is ready, up to a burst. False when no task is left that could call."""
    listener = session.listener
    for _ in range(_BURST):
        events = listener.ready()
        if events & select.POLLIN:
            received = listener.receive()
            if received is not None:
                dispatch(session, *received, nursery)
        else:
            return not events & select.POLLHUP
    return True
