"""Starting the supervisor beside one program: `supervise exec` without a daemon.

Three processes. The *front* is what the user started: it waits, and mirrors. The *supervisor* is its child: it owns
the listener and is the program's parent, because Yama lets only an ancestor look into a process, and a subreaper, so
that it knows when the last thing that the program started has ended. The *program* is in the front's process group,
so that the terminal's signals reach it as they would without us. The supervisor has a session of its own: the terminal
leaves it alone, and it does not count where the kernel asks whether the program's group is orphaned (setpgid(2)). With
a parent elsewhere in its session the group would be orphaned by the program's end, and get SIGHUP if the front was
stopped just then; without job control that group is the whole script's that started us.
"""

import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from shim.launch import read_line, write_line
from supervisor.daemon.audit import Log
from supervisor.daemon.handover import take_listener
from supervisor.errors import StartError
from supervisor.kernel import process, seccomp
from supervisor.kernel.listener import Listener
from supervisor.policy.engine import Policy
from supervisor.syscalls.plan import Mediation

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
    # Trio takes 100 ms to import; the program has started by now, and its first call that is trapped waits for us.
    from supervisor.daemon.embedded import supervise

    supervise(task, child, listener, front)
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
