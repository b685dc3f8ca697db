"""Calls that block: seen blocked in /proc, then woken by an action; signals, threads and children."""

import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager

from .raw import NUMBERS, gettid, syscall

_PAUSE = 0.004
_SAMPLES = 5
_HIGH = 1500
_MAIN = threading.main_thread()


class Task:
    """What /proc shows of one thread. Its files sit at high numbers, so that they take none that a call would get."""

    def __init__(self, tid: int, pid: int | str = "self", files=("syscall", "stat", "status")) -> None:
        self._files = {name: self._open(f"/proc/{pid}/task/{tid}/{name}") for name in files}

    @staticmethod
    def _open(path: str) -> int:
        fd = os.open(path, os.O_RDONLY)
        try:
            return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH)
        finally:
            os.close(fd)

    def close(self) -> None:
        for fd in self._files.values():
            os.close(fd)

    def _read(self, name: str) -> str:
        try:
            return os.pread(self._files[name], 4096, 0).decode()
        except ProcessLookupError:
            return ""

    @property
    def state(self) -> str:
        return self._read("stat").rpartition(")")[2][1:2]

    def asleep_in(self, *names: str) -> bool:
        return self.state in ("S", "D") and self._read("syscall").split(" ")[0] in {str(NUMBERS[one]) for one in names}

    def pending(self, number: int) -> dict[str, bool]:
        """Whether the signal is pending: for the thread (SigPnd), for the process (ShdPnd)."""
        lines = dict(line.split(":", 1) for line in self._read("status").splitlines())
        return {key: bool(int(lines[key], 16) >> (number - 1) & 1) for key in ("SigPnd", "ShdPnd")}

    def until_asleep_in(self, *names: str, stop: threading.Event | None = None) -> bool:
        """True once the thread has been asleep in one of the calls for several looks in a row."""
        seen = 0
        while seen < _SAMPLES:
            if stop is not None and stop.is_set():
                return False
            seen = seen + 1 if self.asleep_in(*names) else 0
            time.sleep(_PAUSE)
        return True


class Waiting:
    """What a case uses to wait. Nothing here sleeps for luck: every wait has a condition that /proc shows."""

    signals: list[str]

    @contextmanager
    def task(self, tid: int | None = None, pid: int | str = "self"):
        """A look at a thread: of this process (the calling one), or of a child."""
        task = Task(gettid() if tid is None else tid, pid)
        try:
            yield task
        finally:
            task.close()

    def until_blocked(self, tid: int, *names: str) -> None:
        with self.task(tid) as task:
            task.until_asleep_in(*names)

    def wait_child_blocked(self, pid: int, *names: str) -> None:
        with self.task(pid, pid) as task:
            task.until_asleep_in(*names)

    @staticmethod
    def until_zombie(tid: int) -> None:
        """Return once the thread of this process has ended and only its entry is left."""
        task = Task(tid, files=("stat",))  # the other files of a zombie are closed to users
        while task.state != "Z":
            time.sleep(_PAUSE)
        task.close()

    @staticmethod
    def end_thread() -> None:
        """Leave this thread by exit(2), without its process; the GIL is free meanwhile."""
        syscall("exit", 0)

    @contextmanager
    def once_blocked(self, action: Callable[[], object], *names: str):
        """Run `action` in another thread as soon as this one is blocked in one of the calls; records that it was."""
        stop = threading.Event()
        failures: list[BaseException] = []

        def watch(task):
            if not task.until_asleep_in(*names, stop=stop):
                failures.append(RuntimeError("was never blocked"))
                return
            try:
                action()
            except Exception as error:
                failures.append(error)

        with self.task() as task:
            thread = threading.Thread(target=watch, args=(task,), daemon=True)
            thread.start()
            try:
                yield
            finally:
                stop.set()
                thread.join()
        if failures:
            self.note("meanwhile", repr(failures[0]))

    def on_signal(self, number: int = signal.SIGUSR1, restart: bool = False) -> None:
        """Handle the signal by recording its name, with or without SA_RESTART."""
        signal.signal(number, lambda got, frame: self.signals.append(signal.Signals(got).name))
        signal.siginterrupt(number, not restart)

    def interrupt(self, number: int = signal.SIGUSR1) -> None:
        """Send the signal to the main thread."""
        signal.pthread_kill(_MAIN.ident, number)

    def interrupt_then(self, action: Callable[[], object], *names: str) -> None:
        """Interrupt the main thread, wait until it has taken the signal and is blocked again, then act."""
        with self.task(os.getpid()) as task:
            self.interrupt()
            while any(task.pending(signal.SIGUSR1).values()):
                time.sleep(_PAUSE)
            task.until_asleep_in(*names)
        action()

    def in_thread(self, body: Callable[[], object]):
        """Run the body in a thread and return what it returned, or its exception."""
        box: list[object] = []

        def run():
            try:
                box.append(body())
            except Exception as error:
                box.append(repr(error))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join()
        return box[0]

    def in_child(self, body: Callable[[], object]) -> str:
        """Run the body in a forked child; how it ended: the exit status, or the signal. What it notes is recorded."""
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                body()
                status = 0
            except Exception as error:
                self.note("child", repr(error))
            finally:
                os._exit(status)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            return signal.Signals(os.WTERMSIG(status)).name
        return f"exit {os.WEXITSTATUS(status)}"
