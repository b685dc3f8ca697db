"""The log: one event a decision, rendered away from the reader.

Fact: rendering one event costs more (11 us) than answering the call that it is about.
Decision: the reader puts the raw event into a queue; a thread renders and writes. The queue is bounded: past it events
are counted as dropped, and the count is logged, rather than making programs wait for a disk.
"""

import errno as errno_names
import os
import queue
import sys
import threading
from typing import Any, Final, Literal, TextIO

from supervisor.abi.names import family_name, protocol_name, type_name
from supervisor.errors import StartError
from supervisor.syscalls.event import Event

Level = Literal["all", "refusals"]
_BOUND: Final = 100_000


class Log:
    """Where events go. `write` never blocks; `close` waits until everything is written."""

    def __init__(self, file: TextIO, level: Level, *, style: Literal["json", "short"] = "json") -> None:
        self._file = file
        self._level = level
        self._queue: queue.Queue[Event | threading.Event | None] = queue.Queue(_BOUND)
        self._dropped = 0
        self._style = style
        self._logger: Any = None
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def wants_allowed(self) -> bool:
        return self._level == "all"

    def write(self, event: Event) -> None:
        """Log an event if its level is wanted."""
        if self._level != "all" and event.how not in ("refused", "failed"):
            return
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self._dropped += 1

    def flush(self) -> None:
        """Wait, five seconds at most, until what is queued now has been written."""
        done = threading.Event()
        try:
            self._queue.put(done, timeout=1)
        except queue.Full:
            return
        done.wait(timeout=5)

    def close(self) -> None:
        """Write what is queued, and end."""
        try:
            self._queue.put(None, timeout=5)
        except queue.Full:
            return
        self._thread.join(timeout=5)

    def _make_logger(self) -> Any:
        """Made by the thread that uses it, when there is something to log: structlog takes 100 ms to import, which
        would be part of every program's start."""
        import structlog  # see above

        renderer: Any = structlog.processors.JSONRenderer(default=str) if self._style == "json" else _short
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="logged")
        processors = [stamp, renderer] if self._style == "json" else [renderer]
        return structlog.wrap_logger(structlog.PrintLogger(self._file), processors=processors)

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            if isinstance(event, threading.Event):
                event.set()
                continue
            try:
                self._emit(event)
                if self._queue.empty():
                    self._file.flush()
            except (OSError, ValueError):
                self._dropped += 1  # a full disk must not end the log for good

    def _emit(self, event: Event) -> None:
        if self._logger is None:
            self._logger = self._make_logger()
        dropped = self._dropped
        if dropped:
            self._logger.warning("events dropped", count=dropped)
            self._dropped -= dropped
        log = self._logger.warning if event.how in ("refused", "failed") else self._logger.info
        log(event.how, **fields(event))


def fields(event: Event) -> dict[str, object]:
    """An event as the keys of the log. Absent ones are left out."""
    kind, verdict = event.kind, event.verdict
    result: dict[str, object] = {
        "time": round(event.started, 6), "session": event.session, "policy": event.policy, "pid": event.pid,
        "tid": event.tid, "exe": event.exe, "call": event.call,
    }
    if kind is not None:
        result |= {
            "family": family_name(kind.family), "type": type_name(kind.type),
            "protocol": protocol_name(kind.family, kind.protocol),
        }
    if event.asked is not None:
        result["address"] = str(event.asked)
    if event.performed is not None:
        result["performed"] = str(event.performed)
    if verdict is not None:
        result |= {"verdict": "allow" if verdict.allowed else "deny", "rule": verdict.rule}
    if event.errno:
        result["errno"] = errno_names.errorcode.get(event.errno, event.errno)
    if event.note:
        result["note"] = event.note
    result["duration_us"] = round(event.duration * 1e6, 1)
    return result


def _short(_logger: object, _method: str, event: dict[str, Any]) -> str:
    """One line for a person's terminal."""
    if "call" not in event:
        return f"supervise: {event.get('event')}: {event.get('count', '')}"
    what = event.get("address") or f"{event.get('family', '')} {event.get('type', '')} {event.get('protocol', '')}"
    reason = event.get("note") or event.get("rule") or ""
    code = f" ({event['errno']})" if "errno" in event else ""
    return f"supervise: {event['event']} {event['call']} {printable(str(what).strip())}{code}: {reason}"


def printable(text: str) -> str:
    """What a program chose, for a terminal: control characters are escaped, so that it can write no line of its own."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOCTTY)  # an embedded supervisor leads a session: a terminal would become its own


def open_log(path: str | None, level: Level) -> Log:
    """The log of `--log`: JSON lines appended to a file, or short lines of refusals on stderr when there is none."""
    if path is None:
        return Log(sys.stderr, "refusals", style="short")
    if path == "-":
        return Log(sys.stderr, level)
    return Log(open(path, "a", encoding="utf-8", buffering=1, opener=_open), level)


def check_log(path: str | None) -> None:
    """StartError when the log cannot be written, before anything is started."""
    if path in (None, "-"):
        return
    assert path is not None
    try:
        open(path, "a", encoding="utf-8").close()
    except OSError as error:
        raise StartError(f"--log {path}: {error.strerror}") from None
