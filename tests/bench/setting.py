"""What is compared: the programs compiled for it, and the ways to start a program."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
SUPERVISE = os.environ.get("SUPERVISE") or str(Path(sys.executable).with_name("supervise"))
PATIENCE = 60
ABSTRACT = "supervise-bench-"

_STRACE = ("strace", "-f", "--seccomp-bpf", "-e", "trace=network", "-o", "/dev/null")
_POLICY = """\
[policy.loopback]
default = "deny"
connect.allow = ["127.0.0.0/8:*", "unix:{folder}/*", "unix:@{abstract}*"]
"""


class BrokenError(Exception):
    """A measured command failed: there is nothing to measure."""


class Way(NamedTuple):
    """A way to run a program: the words before it, and what they mean."""

    name: str
    prefix: tuple[str, ...]
    meaning: str


class Setting:
    """A folder with what has been compiled, and the policy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = _compiled(folder, HERE / "sources/calls.c")
        self.peer = _compiled(folder, HERE / "sources/peer.c")
        self.floor = _compiled(folder, HERE / "floor.c")
        self.policy = folder / "policy.toml"
        self.policy.write_text(_POLICY.format(folder=folder, abstract=ABSTRACT))

    def ways(self) -> tuple[list[Way], list[str]]:
        """The ways that work here, native first; and a line for each that does not."""
        supervise = (SUPERVISE, "exec", "--mediate")
        ways = [
            Way("native", (), "no supervisor"),
            Way("auto", (*supervise, "auto", "--"), "`supervise exec`: everything allowed and recorded"),
            Way("auto, policy", (*supervise, "auto", "--policy", f"{self.policy}:loopback", "--"),
                "`supervise exec --policy`: default deny, loopback and two unix rules allowed, enforced"),
            Way("full", (*supervise, "full", "--"),
                "`supervise exec --mediate full`: all 18 calls trapped, everything allowed"),
            Way("floor: continue", (self.floor, "continue"), "C, all 18 calls trapped, each answered CONTINUE"),
            Way("floor: emulate", (self.floor, "emulate"),
                "C, all 18 calls trapped; connect, getsockname, sendto and sendmsg performed, the others continued"),
        ]
        strace = Way("strace", _STRACE, f"`{' '.join(_STRACE)}`")
        reason = _unusable(strace)
        return (ways, [f"strace: {reason}"]) if reason else ([*ways, strace], [])


@contextmanager
def setting() -> Iterator[Setting]:
    """Compile; everything is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="supervise-bench-") as folder:
        yield Setting(Path(folder))


def _compiled(folder: Path, source: Path) -> str:
    output = str(folder / source.stem)
    subprocess.run(["gcc", "-O2", "-Wall", "-o", output, source], check=True, timeout=PATIENCE)
    return output


def _unusable(way: Way) -> str:
    """Why a way does not work here; "" when it does."""
    if shutil.which(way.prefix[0]) is None:
        return "not installed"
    tried = subprocess.run([*way.prefix, "/bin/true"], capture_output=True, text=True, timeout=PATIENCE)
    return "" if tried.returncode == 0 else (tried.stderr.strip().splitlines() or [f"status {tried.returncode}"])[0]


def run(command: Sequence[str]) -> str:
    """The standard output of a command, once everything that it started has gone. BrokenError when it fails."""
    with _settled() as inherited:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, pass_fds=(inherited,)
        )
    if ended.returncode != 0:
        raise BrokenError(f"{' '.join(command)}: status {ended.returncode}: {ended.stderr.strip()[-2000:]}")
    return ended.stdout


def duration(command: Sequence[str]) -> float:
    """Milliseconds from the start of a command to its end. BrokenError when it fails."""
    with _settled() as inherited:
        os.set_inheritable(inherited, True)
        start = time.perf_counter()
        pid = os.posix_spawn(command[0], command, os.environ)
        _, status = os.waitpid(pid, 0)
        took = time.perf_counter() - start
    if status != 0:
        raise BrokenError(f"{' '.join(command)}: wait status {status}")
    return took * 1000


@contextmanager
def _settled() -> Iterator[int]:
    """A descriptor for children to inherit; waits, at the end, until the last of them has gone.

    An embedded supervisor outlives its command by some milliseconds, which the next measurement would pay for.
    """
    reading, writing = os.pipe()
    try:
        try:
            yield writing
        finally:
            os.close(writing)
        os.read(reading, 1)
    finally:
        os.close(reading)


@contextmanager
def peer(ours: Setting, number: int) -> Iterator[list[str]]:
    """A running peer; the arguments by which calls.c finds it. A new one has ports of its own, free of TIME_WAIT."""
    path, name = str(ours.folder / f"peer-{number}.sock"), f"{ABSTRACT}{os.getpid()}-{number}"
    with subprocess.Popen(
        [ours.peer, path, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield [*process.stdout.readline().split(), path, name]
        finally:
            process.stdin.close()
            process.wait()


@contextmanager
def daemon(ours: Setting) -> Iterator[str]:
    """A running `supervise daemon` without policies; the path of its control socket."""
    config, path = ours.folder / "daemon.toml", ours.folder / "daemon.sock"
    config.write_text('[daemon]\nlog_level = "refusals"\n')
    command = [SUPERVISE, "daemon", "--config", str(config), "--socket", str(path), "--log", "/dev/null"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            _wait_for(path.exists, lambda: process.poll() is not None)
            yield str(path)
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            process.wait(PATIENCE)


def _wait_for(ready: Callable[[], bool], failed: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if failed() or time.monotonic() > deadline:
            raise BrokenError("supervise daemon does not start")
        time.sleep(0.01)
