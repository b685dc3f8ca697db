# ruff: noqa: INP001 - for the scripts beside it, which are not a package
"""For probes of the listener: a child whose shutdown(2) is trapped, and its listener."""

import os
import socket
import struct
from collections.abc import Callable

from supervisor.abi.seccomp import SECCOMP_RET_ALLOW, SECCOMP_RET_USER_NOTIF
from supervisor.kernel import libc, seccomp
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.listener import Listener

TRAPPED = libc.number("shutdown")


def start(body: Callable[[socket.socket], None]) -> tuple[int, Listener, socket.socket]:
    """Fork a child that loads the filter and runs `body` with its end of a socket pair: pid, listener, our end."""
    here, there = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            seccomp.set_no_new_privs()
            with seccomp.load_filter(_program()) as listener:
                socket.send_fds(there, [b"."], [listener.fileno()])
            body(there)
        finally:
            os._exit(0)
    there.close()
    _, numbers, _, _ = socket.recv_fds(here, 1, 1)
    return pid, Listener(HostFd(numbers[0])), here


def call() -> str:
    """Make the trapped call: what it returned, in one word."""
    value = libc.syscall6(TRAPPED, -1, 0, 0, 0, 0, 0)
    return "0" if value >= 0 else os.strerror(libc.get_errno())


def state(pid: int) -> str:
    """The state letter of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(") ")[2][0]


def _program() -> bytes:
    load, jump_equal, give_back = 0x20, 0x15, 0x06
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in (
        (load, 0, 0, 0), (jump_equal, 0, 1, TRAPPED), (give_back, 0, 0, SECCOMP_RET_USER_NOTIF),
        (give_back, 0, 0, SECCOMP_RET_ALLOW),
    ))
