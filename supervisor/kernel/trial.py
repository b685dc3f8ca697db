"""A forked child in which something is tried that would change a process: bounded in time, and leaving nothing.

The child leads a process group of its own, in which everything that it starts remains. It is killed with its group
when it is late, and the kernel kills it when we die first.
"""

import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple, NoReturn

from supervisor.kernel import libc

State = Literal["ok", "limited", "missing"]

_PR_SET_PDEATHSIG: Final = 1
_REAP_LIMIT: Final = 2.0


class Finding(NamedTuple):
    """What a probe found. `found` says it in few words, for people."""

    state: State
    found: str


def ok(found: str) -> Finding:
    return Finding("ok", found)


def limited(found: str) -> Finding:
    return Finding("limited", found)


def missing(found: str) -> Finding:
    return Finding("missing", found)


def in_child(body: Callable[[], dict[str, Finding]], names: tuple[str, ...], limit: float) -> dict[str, Finding]:
    """Run `body` in a forked child for at most `limit` seconds. What it does not say about `names` is missing."""
    answers, child_end = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(answers)
        os.close(child_end)
        return dict.fromkeys(names, missing(f"fork: {error.strerror}"))
    if pid == 0:
        _run_child(child_end, body)
    os.close(child_end)
    try:
        text = read_all(answers, time.monotonic() + limit)
    finally:
        os.close(answers)
        _end_group(pid)
    if text is None:
        return dict.fromkeys(names, missing(f"the probe did not end within {limit:g} s"))
    said = json.loads(text or "{}")
    silent = ("missing", "the probe was killed")
    return {name: Finding(*said.get(name, said.get("", silent))) for name in names}


def _run_child(answers: int, body: Callable[[], dict[str, Finding]]) -> NoReturn:
    """Write what `body` found; under the name "" what went wrong with all of it."""
    try:
        os.setpgid(0, 0)
        _die_with_parent()
        try:
            said = body()
        except Exception as error:  # noqa: BLE001 - told to the parent
            said = {"": missing(f"the probe failed: {type(error).__name__}: {error}")}
        os.write(answers, json.dumps(said).encode())
    finally:
        os._exit(0)


def _die_with_parent() -> None:
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _end_group(pid: int) -> None:
    """Kill a child and all of its group, and reap it: its children are reaped by it or by init."""
    for kill in (os.killpg, os.kill):  # the group does not exist before the child's first step
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    deadline = time.monotonic() + _REAP_LIMIT
    while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.001)  # one that sits in the kernel for good is left to init


def read_all(number: int, deadline: float) -> bytes | None:
    """What is written until the other end closes; None when that takes too long."""
    text = b""
    while readable(number, deadline - time.monotonic()):
        more = os.read(number, 65536)
        if not more:
            return text
        text += more
    return None


def readable(number: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(max(seconds, 0) * 1000))


@contextmanager
def forked(body: Callable[[], None]) -> Iterator[int]:
    """A child of a probe's child, killed and reaped at the end."""
    pid = os.fork()
    if pid == 0:
        try:
            _die_with_parent()
            body()
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
