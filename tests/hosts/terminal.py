"""A terminal of our own: a session on a pseudo terminal, what it shows, and keys."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from programs import processes

from .harness import PATIENCE

CTRL_C, CTRL_D, CTRL_Z, CTRL_BACKSLASH = "\x03", "\x04", "\x1a", "\x1c"
PROMPT = "ready>"


class Terminal:
    """The master side."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._master = master
        self._seen = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def foreground(self) -> int:
        """The process group in the foreground."""
        return os.tcgetpgrp(self._master)

    def expect(self, pattern: str, patience: float = PATIENCE) -> re.Match[str]:
        """Wait until the terminal shows `pattern`, after what was expected before."""
        deadline = time.monotonic() + patience
        while not (match := re.search(pattern, self._seen)):
            if time.monotonic() > deadline:
                raise AssertionError(f"the terminal does not show {pattern!r}: {self._seen!r}")
            self._read()
        self._seen = self._seen[match.end() :]
        return match

    def _read(self) -> None:
        try:
            more = os.read(self._master, 65536)
        except BlockingIOError:
            time.sleep(0.005)
        except OSError as error:
            raise AssertionError(f"the terminal was hung up: {self._seen!r}") from error
        else:
            self._seen += more.decode(errors="replace")

    def rest(self) -> str:
        """Everything until its programs are gone."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                self._read()
            except AssertionError:
                break
        return self._seen

    def hang_up(self) -> None:
        if self._master >= 0:
            os.close(self._master)
        self._master = -1


@contextmanager
def terminal(*argv: str, **options) -> Iterator[Terminal]:
    """Run `argv` as the leader of a session with a terminal. What is left of the session at the end is killed."""
    master, slave = pty.openpty()
    os.set_blocking(master, False)

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    before = processes.descendants(os.getpid())
    # This process has one thread here.
    process = subprocess.Popen(
        argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        preexec_fn=take_terminal,  # noqa: PLW1509
        **options,
    )
    os.close(slave)
    session = Terminal(master, process)
    try:
        yield session
    finally:
        session.hang_up()
        if process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(3)
        left = [pid for pid in processes.descendants(os.getpid()) if pid not in before]
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


@contextmanager
def shell(**options) -> Iterator[Terminal]:
    """An interactive bash with job control, at its prompt."""
    environment = os.environ | {"PS1": PROMPT, "TERM": "dumb", "HISTFILE": "/dev/null"}
    with terminal("bash", "--norc", "--noprofile", "--noediting", "-i", env=environment, **options) as session:
        session.expect(PROMPT)
        yield session
