#!/usr/bin/env python3
"""A received call under WAIT_KILLABLE_RECV: S while it waits, D from a signal on; -512 is EINTR or a restart."""

import os
import signal
import sys
import time
from collections.abc import Callable
from socket import socket

import _trap

from supervisor.abi.seccomp import SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
from supervisor.kernel import seccomp
from supervisor.kernel.listener import Listener

ERESTARTSYS = 512


def caller(*, restart: bool) -> Callable[[socket], None]:
    """A child that makes the call once, with a handler for SIGUSR1, and says what it returned."""
    def body(there: socket) -> None:
        signal.signal(signal.SIGUSR1, lambda *_: None)
        signal.siginterrupt(signal.SIGUSR1, not restart)
        there.send(_trap.call().encode())
    return body


def receive(listener: Listener) -> int:
    deadline = time.monotonic() + 2
    while not listener.ready() and time.monotonic() < deadline:
        time.sleep(0.001)
    received = listener.receive()
    assert received is not None
    return received[0].id


def letter_after_signal(pid: int) -> str:
    """Send SIGUSR1 and give the letter two seconds to become D; it may be R on the way."""
    os.kill(pid, signal.SIGUSR1)
    deadline = time.monotonic() + 2
    while (letter := _trap.state(pid)) != "D" and time.monotonic() < deadline:
        time.sleep(0.001)
    return letter


def main() -> int:
    if not seccomp.has_filter_flag(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV):
        print("no WAIT_KILLABLE_RECV here")
        return 77
    holds = True
    for restart in (False, True):
        pid, listener, here = _trap.start(caller(restart=restart))
        ident = receive(listener)
        time.sleep(0.02)
        before, after = _trap.state(pid), letter_after_signal(pid)
        time.sleep(0.05)
        stays, valid = _trap.state(pid), listener.valid(ident)
        listener.answer_error(ident, ERESTARTSYS)
        came_again = False
        if restart:
            second = receive(listener)
            came_again = second != ident
            listener.answer_value(second, 0)
        result = here.recv(100).decode()
        os.waitpid(pid, 0)
        listener.close()
        print(f"SA_RESTART {restart}: before the signal {before}, after it {after}, 50 ms later {stays}, still valid: "
              f"{valid}; answered -512: the call came again: {came_again}, the program saw: {result}")
        holds &= (before, after, stays, valid, came_again) == ("S", "D", "D", True, restart)
        holds &= result == ("0" if restart else "Interrupted system call")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
