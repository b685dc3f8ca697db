"""Starting `supervise`, looking at processes, and waiting for conditions instead of sleeping."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

SUPERVISE = os.environ.get("SUPERVISE") or str(Path(sys.executable).with_name("supervise"))
PATIENCE = float(os.environ.get("SUPERVISE_PATIENCE", "20"))
MODES = tuple(filter(None, os.environ.get("SUPERVISE_MODES", "auto,full").split(",")))
SOURCES = Path(__file__).with_name("sources")

each_mode = pytest.mark.parametrize("mode", MODES)


def command(
    *program: object, mode: str = "auto", policy: str | None = None, options: tuple[str, ...] = ()
) -> list[str]:
    """`supervise exec ... -- PROGRAM`."""
    chosen = [] if policy is None else ["--policy", policy]
    return [SUPERVISE, "exec", "--mediate", mode, *chosen, *options, "--", *map(str, program)]


def python(name: str, *arguments: object) -> list[str]:
    """One of `sources` under this interpreter, without what takes time at its start."""
    return [sys.executable, "-I", "-S", str(SOURCES / name), *map(str, arguments)]


def run(argv: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run to the end, output captured."""
    options = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": PATIENCE} | options
    return subprocess.run(argv, **options)


@contextmanager
def started(argv: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A running process, which is killed at the end if it still runs."""
    process = subprocess.Popen(argv, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def until(condition: Callable[[], Any], what: str = "", patience: float = PATIENCE, pause: float = 0.005) -> Any:
    """Ask, every `pause` seconds, until the answer is true; it fails after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience} s: {what or condition}")
        time.sleep(pause)
    return answer


def lines(path: Path) -> list[str]:
    """The complete lines of a file that somebody writes; none while it is not there."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    return text[: text.rfind("\n") + 1].splitlines()


def children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def supervisor_of(front: int) -> int:
    """The supervisor of a front: its first child. (At the start a library asks ldconfig, a child that goes again.)"""

    def found() -> list[int]:
        return [child for child in children(front) if not gone(child)] if _is_about_to_fork(front) else []

    return until(found, "the front has a supervisor", pause=0)[0]


def _is_about_to_fork(front: int) -> bool:
    """Are its signals blocked? But not faults: those are blocked, with all others, for a moment in fork and vfork."""
    with suppress(OSError):
        blocked = int(Path(f"/proc/{front}/status").read_text().partition("SigBlk:")[2].split()[0], 16)
        return blocked >> signal.SIGTERM - 1 & 1 > blocked >> signal.SIGSEGV - 1 & 1
    return False


def state(pid: int) -> str:
    """The state letter of a process; "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def gone(pid: int) -> bool:
    return state(pid) in ("", "Z", "X")


def send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@contextmanager
def listening(backlog: int = 16) -> Iterator[socket.socket]:
    """A TCP listener on a free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
        yield listener


def was_reached(listener: socket.socket) -> bool:
    """Has anybody connected?"""
    listener.setblocking(False)
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def policy_file(folder: Path, text: str, name: str = "policy.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def only(folder: Path, *ports: int) -> str:
    """A policy argument: connections to these ports of 127.0.0.1 and nothing else."""
    rules = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    name = f"only-{'-'.join(map(str, ports))}.toml"
    return f"{policy_file(folder, f'[policy.only]{chr(10)}connect.allow = [{rules}]{chr(10)}', name)}:only"


def complaint(stderr: bytes) -> list[str]:
    """What `supervise` said, without the usage that comes before an argument's error."""
    return [line for line in stderr.decode().splitlines() if not line.startswith("usage:")]


def error_name(text: str) -> str:
    return errno.errorcode.get(int(text), text)


FATAL = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT, signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE,
    signal.SIGALRM, signal.SIGTERM, signal.SIGUSR1, signal.SIGSYS, signal.SIGRTMIN + 1,
)
