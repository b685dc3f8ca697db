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
from collections.abc import Callable
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


def _read_lines(reader: int, deadline: float, line: Callable[[str], None]) -> str:
    """Feed lines until the case ends; `end`, `eof` (it died) or `late`."""
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    rest = b""
    while (left := deadline - time.monotonic()) > 0:
        if not poller.poll(left * 1000):
            continue
        data = os.read(reader, 1 << 16)
        if not data:
            return "eof"
        *lines, rest = (rest + data).split(b"\n")
        for text in lines:
            if text == b'"end"':
                return "end"
            line(text.decode())
    return "late"


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


def run_case(case: Case, seconds: float = SECONDS) -> dict:
    """One case in a child of its own."""
    names = Names()
    names.directory.mkdir()
    names.directory.chmod(0o777)
    reader, writer = os.pipe()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            _child(case, names, writer)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writer)
    trace: list = []
    ended = _read_lines(reader, started + seconds + case.slow, lambda text: trace.append(json.loads(text)))
    result: dict = {"id": case.id, "trace": trace}
    if ended == "late":
        result["hang"] = True
        result["diagnosis"] = _threads(pid)
        _kill_group(pid)
    status = _reap(pid, 5)
    if status is None:
        result["unkillable"] = True
    elif ended == "eof":
        result["died"] = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {status >> 8}"
    if ended != "late" and _kill_group(pid):
        result["left_processes"] = True
    os.close(reader)
    result["ms"] = round((time.monotonic() - started) * 1000, 1)
    shutil.rmtree(names.directory, ignore_errors=True)
    return result


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
    # A blocked call of the runner must not outlive it, and what a case prints belongs to nobody.
    for case in cases:
        result = run_case(case)
        print(json.dumps(result), file=options.out, flush=True)
        if _suspicious(result) and not _alive():
            return _DEAD
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
