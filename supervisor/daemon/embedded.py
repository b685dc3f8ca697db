"""The supervisor beside one program: `supervise exec` without a daemon.

Three processes. The *front* is what the user started: it waits, and mirrors. The *supervisor* is its child: it owns
the listener and is the program's parent, because Yama lets only an ancestor look into a process, and a subreaper, so
that it knows when the last thing that the program started has ended. The *program* is in the front's process group,
so that the terminal's signals reach it as they would without us. The supervisor has a session of its own: the terminal
leaves it alone, and it does not count where the kernel asks whether the program's group is orphaned (setpgid(2)). With
a parent elsewhere in its session the group would be orphaned by the program's end, and get SIGHUP if the front was
stopped just then; without job control that group is the whole script's that started us.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

import trio

from shim.launch import read_line, write_line
from supervisor.daemon.account import Account
from supervisor.daemon.audit import Log
from supervisor.daemon.handover import take_listener
from supervisor.daemon.local import LocalControl
from supervisor.daemon.reader import serve
from supervisor.errors import StartError
from supervisor.kernel import process, seccomp
from supervisor.kernel.listener import Listener
from supervisor.policy.engine import Policy
from supervisor.syscalls.session import Event, Mediation, Session
from supervisor.syscalls.waiting import Waiting

_IGNORED: Final = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU,
    signal.SIGUSR1, signal.SIGPIPE,
)


class Task(NamedTuple):
    """What the embedded supervisor is to do. `open_log` is called after the fork: it starts a thread."""

    argv: list[str]
    policy: Policy
    mediation: Mediation
    guarded: bool
    landlocked: bool
    open_log: Callable[[], Log]
    summary: bool


def run(task: Task, child: int, channel: socket.socket, front: socket.socket) -> int:
    """Supervise `child`, a launcher at the other end of `channel`, and tell `front` how it fares.

    Returns when the last process under the filter is gone. The front gets one JSON line an event: {"pid"},
    {"stopped"}, {"exited"}, {"signaled"}; it closes its end when it needs no more.
    """
    os.setsid()
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    seccomp.set_undumpable()
    seccomp.set_child_subreaper()
    process.raise_descriptor_limit()
    write_line(front.fileno(), {"pid": child})
    listener = _take_over(child, channel)
    if listener is None:
        # The launcher has said why on stderr and ends by itself.
        _, status = os.waitpid(child, 0)
        write_line(front.fileno(), describe(status))
        return 1
    supervisor = _Embedded(task, child, listener, front)
    trio.run(supervisor.main)
    return 0


def _take_over(child: int, channel: socket.socket) -> Listener | None:
    try:
        message = read_line(channel.fileno())
        listener = take_listener(child, message.get("listener"))
    except StartError as error:
        with suppress(OSError):
            write_line(channel.fileno(), {"error": str(error)})
        return None
    else:
        with suppress(OSError):  # a launcher that was killed just now: its end is reported like any other
            write_line(channel.fileno(), {"go": True})
        return listener
    finally:
        channel.close()


def describe(status: int) -> dict[str, object]:
    """A wait(2) status as a message for the front."""
    if os.WIFSTOPPED(status):
        return {"stopped": os.WSTOPSIG(status)}
    if os.WIFCONTINUED(status):
        return {"continued": True}
    if os.WIFSIGNALED(status):
        return {"signaled": os.WTERMSIG(status)}
    return {"exited": os.WEXITSTATUS(status)}


class _Embedded:
    def __init__(self, task: Task, child: int, listener: Listener, front: socket.socket) -> None:
        self._task = task
        self._child = child
        self._ended = trio.Event()
        self._front = front
        self._parent = os.getppid()
        self._log = task.open_log()
        self._account = Account()
        self._waiting = Waiting()
        self._session = Session(
            f"{os.getpid():x}", listener, task.policy, task.mediation, self._waiting, self._report,
            program=task.argv[0], pid=child, guarded=task.guarded, landlocked=task.landlocked,
            wants_allowed=self._log.wants_allowed,
        )

    def _report(self, event: Event) -> None:
        self._account.add(event)
        self._log.write(event)

    async def main(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._waiting.run)
                nursery.start_soon(self._reap)
                nursery.start_soon(self._mind_the_front)
                async with LocalControl(nursery, lambda: [self._session]):
                    await serve(self._session)
                    await self._ended.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._waiting.close()
            self._session.listener.close()
            self._log.close()

    async def _reap(self) -> None:
        """Reap the program and everything that became ours; tell the front of the program."""
        with trio.open_signal_receiver(signal.SIGCHLD) as signals:
            self._reap_all()
            async for _ in signals:
                self._reap_all()

    def _reap_all(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._child:
                self._tell(describe(status))

    def _tell(self, message: dict[str, object]) -> None:
        if "stopped" not in message and os.getppid() == self._parent:
            # Somebody else may have continued the program: a front that stopped with it must go on, too.
            os.kill(self._parent, signal.SIGCONT)
        if "continued" in message:
            return
        over = "exited" in message or "signaled" in message
        if over:
            self._let_go_of_the_terminal()
        try:
            self._front.send(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # the front was killed; `_mind_the_front` has the rest
        if over:
            self._ended.set()

    def _let_go_of_the_terminal(self) -> None:
        """The command returns now: say what there is to say, and hold none of its pipes open."""
        if self._task.summary:
            with suppress(OSError):  # nobody reads any more
                self._account.print(sys.stderr)
        self._log.flush()
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.close(null)

    async def _mind_the_front(self) -> None:
        """A front that was killed takes the program with it, as killing the program itself would."""
        await trio.lowlevel.wait_readable(self._front)
        if not self._ended.is_set():
            os.kill(self._child, signal.SIGKILL)
