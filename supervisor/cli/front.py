"""The front of an embedded supervisor: starts the other two processes, then mirrors the program.

The program is in our process group, so what a terminal or `kill -PGID` sends reaches it by itself. What is sent to
this process alone is passed on (`sentinel` knows which it was).
"""

import json
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, NoReturn

from shim.launch import EXIT_OWN_FAILURE, become, inherited_doors, write_line
from supervisor.cli.sentinel import Sentinel
from supervisor.daemon import start
from supervisor.errors import StartError, TraceeGone
from supervisor.kernel import process, seccomp
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.signals import SignalFile

# A fault must still kill: blocked, it would repeat for ever.
_FAULTS: Final = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGSYS}
_MIRRORED: Final[set[int]] = {int(number) for number in signal.valid_signals() if number not in _FAULTS} - {
    signal.SIGKILL, signal.SIGSTOP,
}


def supervise(task: start.Task, program: bytes, domain: tuple[int, int], keep: set[int]) -> int:
    """Run `task` under the filter `program`, without what `domain` gives up, and return the program's exit status.

    Does not return when the program is killed by a signal: this process dies of the same.
    """
    doors = [number for number in inherited_doors() if number not in keep]
    inherited = _inherited()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _MIRRORED)
    mine, theirs = socket.socketpair()
    sys.stdout.flush()
    sys.stderr.flush()
    supervisor = os.fork()
    if supervisor == 0:
        _be_supervisor(task, program, domain, doors, before, mine, theirs, inherited)
    theirs.close()
    let_go(inherited)
    seccomp.set_undumpable()
    return _Front(mine, supervisor).mirror()


def _inherited() -> list[int]:
    """What the program will inherit beyond stdio: open in us, it would keep the program's pipes open."""
    numbers = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                numbers.append(int(name))
        except OSError:
            continue  # the directory itself, closed by now
    return numbers


def let_go(inherited: list[int]) -> None:
    """Hold neither the program's input and output nor what it inherits; stderr stays, for what we have to say."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    os.close(null)
    for number in inherited:
        os.close(number)


def _be_supervisor(
    task: start.Task, program: bytes, domain: tuple[int, int], doors: list[int], mask: Iterable[int],
    mine: socket.socket, theirs: socket.socket, inherited: list[int],
) -> NoReturn:
    """The child: fork the launcher, and supervise it."""
    status = EXIT_OWN_FAILURE
    try:
        mine.close()
        here, there = socket.socketpair()
        child = os.fork()
        if child == 0:
            # Nothing of ours is inherited: every descriptor of Python is CLOEXEC.
            here.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            become(there.fileno(), program, task.argv, doors, domain)
        there.close()
        let_go(inherited)
        status = start.run(task, child, here, theirs)
    except BaseException as error:  # nobody above would say it
        with suppress(OSError):
            write_line(theirs.fileno(), {"failed": f"{type(error).__name__}: {error}"})
    finally:
        sys.stderr.flush()
        os._exit(status)


class _Front:
    def __init__(self, channel: socket.socket, supervisor: int) -> None:
        self._channel = channel
        self._supervisor = supervisor
        self._signals = SignalFile(_MIRRORED)
        self._sentinel = Sentinel()
        self._poll = select.poll()
        self._program: HostFd | None = None
        self._group = 0
        self._failure = ""
        self._buffer = b""

    def mirror(self) -> int:
        """Until the program ends."""
        self._poll.register(self._channel, select.POLLIN)
        while True:
            for number, _ in self._poll.poll():
                if number == self._signals.fileno():
                    self._pass_on()
                elif (status := self._listen()) is not None:
                    return status

    def _listen(self) -> int | None:
        """Take messages of the supervisor; the exit status once there is one."""
        try:
            more = self._channel.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            return self._abandoned()
        self._buffer += more
        while b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            status = self._take(json.loads(line))
            if status is not None:
                return status
        return None

    def _take(self, message: dict[str, Any]) -> int | None:
        if "pid" in message:
            with suppress(TraceeGone):
                self._program = process.open_pidfd(message["pid"])
                self._group = message["pid"]
            # Until now there was nobody to pass signals on to: they have waited.
            self._poll.register(self._signals.fileno(), select.POLLIN)
        elif "stopped" in message:
            self._stop(message["stopped"])
        elif "exited" in message:
            return int(message["exited"])
        elif "failed" in message:
            self._failure = str(message["failed"])
        elif "signaled" in message:
            _die_of(message["signaled"])
        return None

    def _pass_on(self) -> None:
        received = self._signals.read()
        if received.number == signal.SIGCHLD or received.pid == self._supervisor:
            return
        if self._went_to_the_group(received.number) and not self._is_elsewhere(received.number):
            return
        self._send(received.number)

    def _went_to_the_group(self, number: int) -> bool:
        if not self._sentinel.take(number):
            return False
        if number < signal.SIGRTMIN:
            self._forget(number)
        return True

    def _forget(self, number: int) -> None:
        """Throw away what came since: see `sentinel`."""
        while True:
            while signal.sigtimedwait([number], 0):
                pass
            if not self._sentinel.take(number):
                return

    def _is_elsewhere(self, number: int) -> bool:
        """Does the program need a SIGCONT to our group that it did not get, being in a group of its own by now? A
        shell continues the job that it knows."""
        try:
            return number == signal.SIGCONT and os.getpgid(self._group) != os.getpgrp()
        except ProcessLookupError:
            return False

    def _send(self, number: int) -> None:
        if self._program is None:
            return
        try:
            signal.pidfd_send_signal(self._program.fileno(), number)
        except (ProcessLookupError, PermissionError):
            pass  # it has ended; the supervisor will say so

    def _stop(self, number: int) -> None:
        """The program was stopped: stop by the same signal, so that the shell sees what it would have seen."""
        if number != signal.SIGSTOP:
            # Our own copy of what stopped the group would stop us a second time.
            self._forget(number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
        signal.pthread_sigmask(signal.SIG_BLOCK, {number} & _MIRRORED)
        # Here we have been continued; the SIGCONT that did it is still to be read, and passed on where it must be.

    def _why(self) -> str:
        return f" ({self._failure})" if self._failure else ""

    def _abandoned(self) -> int:
        """The supervisor is gone: the program's calls fail now, and it is not ours to end it. Wait, and say so."""
        if self._program is None:
            raise StartError(f"the supervisor ended before the program was started{self._why()}")
        sys.stderr.write(f"supervise: the supervisor ended before the program{self._why()}: its socket calls fail\n")
        poll = select.poll()
        poll.register(self._program.fileno(), select.POLLIN)
        poll.register(self._signals.fileno(), select.POLLIN)
        while True:
            for number, _ in poll.poll():
                if number != self._signals.fileno():
                    return EXIT_OWN_FAILURE
                self._pass_on()


def _die_of(number: int) -> NoReturn:
    """End by the signal that ended the program, without a second core dump."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)
