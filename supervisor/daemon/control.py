"""The control protocol: JSON lines over a unix stream socket.

A client sends one line with "op" and reads one line. `{"op": "ps"}` gets `{"sessions": [...]}`. `{"op": "exec", ...}`
begins a handover (see `server`). A line is at most 2 MiB, and must come within five seconds.
"""

import json
import os
import struct
from collections.abc import Callable
from typing import Any, Final

import trio

from supervisor.syscalls.session import Session

LONGEST_LINE: Final = 2 * 1024 * 1024
PATIENCE: Final = 5.0
_UCRED: Final = struct.Struct("=iII")


class ProtocolError(Exception):
    """The peer does not speak the protocol: what was wrong, for it and for the log."""


class Lines:
    """JSON lines on one connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None at the end of the stream. ProtocolError for anything else, and when it takes long."""
        with trio.move_on_after(PATIENCE):
            while b"\n" not in self._buffer:
                if len(self._buffer) > LONGEST_LINE:
                    raise ProtocolError("message is too long")
                more = await self._stream.receive_some(65536)
                if not more:
                    if self._buffer:
                        raise ProtocolError("message is incomplete")
                    return None
                self._buffer += more
            line, _, rest = bytes(self._buffer).partition(b"\n")
            self._buffer[:] = rest
            return _decode(line)
        raise ProtocolError("no message within five seconds")

    async def send(self, message: dict[str, Any]) -> None:
        with trio.move_on_after(PATIENCE) as scope:
            await self._stream.send_all(json.dumps(message).encode() + b"\n")
        if scope.cancelled_caught:
            raise ProtocolError("the peer does not read")

    def peer(self) -> tuple[int, int, int]:
        """SO_PEERCRED: pid, uid, gid."""
        raw = self._stream.socket.getsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_PEERCRED, _UCRED.size)
        pid, uid, gid = _UCRED.unpack(raw)
        return pid, uid, gid


def _decode(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError("message is not JSON") from None
    if not isinstance(message, dict):
        raise ProtocolError("message is not an object")
    return message


async def answer_questions(stream: trio.SocketStream, sessions: Callable[[], list[Session]]) -> None:
    """Answer one question about sessions, to this user and root alone."""
    lines = Lines(stream)
    try:
        async with stream:
            if lines.peer()[1] not in (0, os.geteuid()):
                await lines.send({"error": "not your supervisor"})
                return
            message = await lines.receive()
            if message is not None:
                await lines.send(answer(message, sessions()))
    except (ProtocolError, trio.BrokenResourceError, OSError):
        pass


def answer(message: dict[str, Any], sessions: list[Session]) -> dict[str, Any]:
    """The answer to a question that changes nothing."""
    if message.get("op") == "ps":
        return {"sessions": [describe(session) for session in sessions]}
    return {"error": f"unknown op {message.get('op')!r}: expected ps"}


def describe(session: Session) -> dict[str, Any]:
    """One session as `supervise ps` shows it."""
    return {
        "session": session.ident, "program": session.program, "pid": session.pid, "policy": session.policy.name,
        "mediation": session.mediation, "calls": sum(session.calls.values()), "by_call": dict(session.calls),
        "refusals": session.refusals, "waiting": session.waiting_calls, "landlock": session.landlocked,
        "since": session.since,
    }
