"""The supervisor beside one program, at work: see `start` for who is who."""

import json
import os
import signal
import socket
import sys
from contextlib import suppress

import trio

from supervisor.daemon.account import Account
from supervisor.daemon.local import LocalControl
from supervisor.daemon.reader import serve
from supervisor.daemon.start import Task, describe
from supervisor.kernel.listener import Listener
from supervisor.syscalls.event import Event
from supervisor.syscalls.session import Session
from supervisor.syscalls.waiting import Waiting


def supervise(task: Task, child: int, listener: Listener, front: socket.socket) -> None:
    """Serve `listener` until the last process under its filter is gone, and tell `front` how `child` fares."""
    trio.run(_Embedded(task, child, listener, front).main)


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
