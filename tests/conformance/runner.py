"""Runs cases, one forked child each, and prints one JSON line a case: `python -m tests.conformance.runner [IDS...]`.

A case that hangs, dies or leaves something behind says so in its own line and stops nothing. The line holds
`id`, `trace` (what is compared) and `ms`, `diagnosis` (what is not). When the socket calls of the runner itself no
longer work after a case, the runner ends with status 3: whoever supervised it is gone.
"""

import argparse
import json
import os
import select
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

from .address import Names
from .case import Case, load
from .context import Context
from .raw import NUMBERS, syscall

SECONDS = float(os.environ.get("CONFORMANCE_SECONDS", "6"))
"""How long a case may take before it counts as hanging."""

_DEAD = 3
_CALLS = {str(number): name for name, number in NUMBERS.items()}


def _child(case: Case, names: Names, writer: int) -> None:
    def emit(line: str) -> None:
        os.write(writer, line.encode() + b"\n")

    os.setpgid(0, 0)
    context = Context(case, names, emit)
    context.on_signal(signal.SIGPIPE, restart=True)
    context.on_signal(signal.SIGURG, restart=True)
    try:
        case.body(context)
    except BaseException as error:
        place = error.__traceback__
        while place.tb_next:
            place = place.tb_next
        where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_frame.f_code.co_name}"
        context.note("error", f"{type(error).__name__} {error} in {where}")
    context.leftovers()
    emit('"end"')


def _threads(pid: int) -> list[str]:
    """What every thread of the case does now: its state, and the call it is in."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            words = task.joinpath("syscall").read_text().split()
            state = task.joinpath("stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        found.append(f"{state} {_CALLS.get(words[0], words[0])} {' '.join(words[1:4])}")
    return found


def _reap(pid: int, seconds: float) -> int | None:
    """The child's wait status, or None when it does not end."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.0005)
    return None


def _kill_group(pid: int) -> bool:
    """Kill what is left of the case's process group; whether anything was."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


class Running:
    """A case that was started: its process, its trace so far, and when it is late."""

    def __init__(self, case: Case, seconds: float, others: Iterable[int]) -> None:
        self.names = Names()
        self.names.directory.mkdir()
        self.names.directory.chmod(0o777)
        self.reader, writer = os.pipe()
        self.started = time.monotonic()
        self.deadline = self.started + seconds + case.slow
        self.result: dict = {"id": case.id, "trace": []}
        self._rest = b""
        self.pid = os.fork()
        if self.pid == 0:
            try:
                for fd in (self.reader, *others):
                    os.close(fd)
                _child(case, self.names, writer)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(writer)

    def read(self) -> str:
        """Take what the case has said since; `end` when it said that it ended, `eof` when it died, else empty."""
        data = os.read(self.reader, 1 << 16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for text in lines:
            if text == b'"end"':
                return "end"
            self.result["trace"].append(json.loads(text))
        return "" if data else "eof"

    def finish(self, ended: str) -> dict:
        """Reap the process, end what it left, remove its directory; the result."""
        result = self.result
        if ended == "late":
            result["hang"] = True
            result["diagnosis"] = _threads(self.pid)
            _kill_group(self.pid)
        status = _reap(self.pid, 5)
        if status is None:
            result["unkillable"] = True
        elif ended == "eof":
            result["died"] = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {status >> 8}"
        if ended != "late" and _kill_group(self.pid):
            result["left_processes"] = True
        os.close(self.reader)
        result["ms"] = round((time.monotonic() - self.started) * 1000, 1)
        shutil.rmtree(self.names.directory, ignore_errors=True)
        return result


def run_cases(cases: Iterable[Case], jobs: int, seconds: float = SECONDS) -> Iterator[dict]:
    """The results of the cases as they end, so many running at a time; those that run when it is closed are killed."""
    waiting = iter(cases)
    running: dict[int, Running] = {}
    try:
        while True:
            while len(running) < jobs and (case := next(waiting, None)):
                one = Running(case, seconds, running)
                running[one.reader] = one
            if not running:
                return
            for reader, how in _ended(running):
                yield running.pop(reader).finish(how)
    finally:
        for one in running.values():
            one.finish("late")


def _ended(running: dict[int, Running]) -> list[tuple[int, str]]:
    """Wait for news; the readers of the cases that are over, and how they ended."""
    left = min(one.deadline for one in running.values()) - time.monotonic()
    ready, _, _ = select.select(list(running), [], [], max(0, left) + 0.001)
    ended = [(reader, how) for reader in ready if (how := running[reader].read())]
    if not ready:
        ended += [(reader, "late") for reader, one in running.items() if time.monotonic() > one.deadline]
    return ended


def _alive() -> bool:
    """Whether a fresh process still gets its socket calls answered in a few seconds."""
    pid = os.fork()
    if pid == 0:
        try:
            result = syscall("socket", 1, 1, 0)
            os._exit(0 if result.ok and syscall("getsockname", result.value, None, None).errno == 14 else 1)
        finally:
            os._exit(2)
    status = _reap(pid, 4)
    if status is None:
        os.kill(pid, signal.SIGKILL)
        _reap(pid, 2)
    return status == 0


def _suspicious(result: dict) -> bool:
    return "hang" in result or "unkillable" in result or "died" in result or "ENOSYS" in json.dumps(result["trace"])


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="runner", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=argparse.FileType("a"), default=sys.stdout, help="where the lines go")
    parser.add_argument("--ids", type=Path, help="a file of case ids, one a line")
    parser.add_argument("--jobs", type=int, default=1, help="how many cases run at a time")
    parser.add_argument("--cases", help="also import this module of cases")
    parser.add_argument("words", nargs="*", help="substrings of ids; all cases without any")
    options = parser.parse_args(arguments)
    registry = load()
    if options.cases:
        __import__(options.cases, fromlist=["*"])
    if options.ids:
        wanted = options.ids.read_text().split("\n")
        cases = [registry[identity] for identity in wanted if identity]
    else:
        words = options.words
        cases = [one for one in registry.values() if not words or any(word in one.id for word in words)]
    for result in run_cases(cases, options.jobs):
        print(json.dumps(result), file=options.out, flush=True)
        if _suspicious(result) and not _alive():
            return _DEAD
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
