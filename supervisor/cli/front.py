"""The front of an embedded supervisor: starts the other two processes, then mirrors the program.

The program is in our process group, so what a terminal sends reaches it by itself. What is sent to this process alone
is passed on; a signal from a member of the group, or from the kernel, is not, because the program has it already.
"""

import json
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Iterable
from typing import Final, NoReturn

from shim.launch import EXIT_OWN_FAILURE, become, inherited_doors
from supervisor.daemon import embedded
from supervisor.errors import StartError
from supervisor.kernel import process, seccomp
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.signals import SignalFile

# A fault must still kill: blocked, it would repeat for ever.
_FAULTS: Final = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGSYS}
_MIRRORED: Final[set[int]] = {int(number) for number in signal.valid_signals() if number not in _FAULTS} - {
    signal.SIGKILL, signal.SIGSTOP,
}
_SI_KERNEL: Final = 0x80


def supervise(task: embedded.Task, program: bytes, keep: set[int]) -> int:
    """Run `task` under the filter `program` and return the program's exit status.

    Does not return when the program is killed by a signal: this process dies of the same.
    """
    doors = [number for number in inherited_doors() if number not in keep]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _MIRRORED)
    mine, theirs = socket.socketpair()
    sys.stdout.flush()
    sys.stderr.flush()
    supervisor = os.fork()
    if supervisor == 0:
        _be_supervisor(task, program, doors, before, mine, theirs)
    theirs.close()
    seccomp.set_undumpable()
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _Front(mine, supervisor).mirror()


def _be_supervisor(
    task: embedded.Task, program: bytes, doors: list[int], mask: Iterable[int], mine: socket.socket,
    theirs: socket.socket,
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
            become(there.fileno(), program, task.argv, doors)
        there.close()
        status = embedded.run(task, child, here, theirs)
    except BaseException as error:  # nobody above would say it
        sys.stderr.write(f"supervise: the supervisor failed: {type(error).__name__}: {error}\n")
    finally:
        sys.stderr.flush()
        os._exit(status)


class _Front:
    def __init__(self, channel: socket.socket, supervisor: int) -> None:
        self._channel = channel
        self._supervisor = supervisor
        self._signals = SignalFile(_MIRRORED)
        self._program: HostFd | None = None
        self._buffer = b""

    def mirror(self) -> int:
        """Until the program ends."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._signals.fileno(), select.POLLIN)
        while True:
            for number, _ in poll.poll():
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

    def _take(self, message: dict[str, int]) -> int | None:
        if "pid" in message:
            self._program = process.open_pidfd(message["pid"])
        elif "stopped" in message:
            self._stop(message["stopped"])
        elif "exited" in message:
            return message["exited"]
        elif "signaled" in message:
            _die_of(message["signaled"])
        return None

    def _pass_on(self) -> None:
        received = self._signals.read()
        if received.number == signal.SIGCHLD or self._program is None:
            return
        if received.code == _SI_KERNEL or self._from_the_group(received.pid):
            return
        self._send(received.number)

    def _from_the_group(self, pid: int) -> bool:
        """Was it sent by a member of our process group, to all of it? Then the program has it already."""
        try:
            return pid not in (0, os.getpid(), os.getppid()) and os.getpgid(pid) == os.getpgrp()
        except ProcessLookupError:
            return False

    def _send(self, number: int) -> None:
        assert self._program is not None
        try:
            signal.pidfd_send_signal(self._program.fileno(), number)
        except (ProcessLookupError, PermissionError):
            pass  # it has ended; the supervisor will say so

    def _stop(self, number: int) -> None:
        """The program was stopped: stop by the same signal, so that the shell sees what it would have seen."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
        signal.pthread_sigmask(signal.SIG_BLOCK, {number} & _MIRRORED)
        # Here the shell has continued us. It continues the whole group; a program in a group of its own needs ours.
        self._send(signal.SIGCONT)

    def _abandoned(self) -> int:
        """The supervisor is gone: the program's calls fail now, and it is not ours to end it. Wait, and say so."""
        sys.stderr.write("supervise: the supervisor ended before the program: its socket calls fail from now on\n")
        if self._program is None:
            raise StartError("the supervisor ended before the program was started")
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
