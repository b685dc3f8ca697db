"""Becoming the program: filter, handover, exec.

The order is what keeps every promise. The filter is loaded first, so that nothing of the program ever runs without
it; the listener's number is written (not sent: sendmsg would be trapped) to the daemon, which takes it with
pidfd_getfd; exec waits for the daemon's word. Whatever fails in between ends this process with 125.
"""

import json
import os
import select
import signal
import stat
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from supervisor.errors import StartError
from supervisor.kernel import landlock, seccomp

EXIT_OWN_FAILURE: Final = 125
EXIT_NOT_EXECUTABLE: Final = 126
EXIT_NOT_FOUND: Final = 127
_PATIENCE_MS: Final = 5000
_LONGEST_LINE: Final = 4096


def inherited_doors() -> list[int]:
    """The numbers, beyond stdio, of inherited sockets and io_uring instances: ways out that no filter would see."""
    doors = []
    try:
        names = os.listdir("/proc/self/fd")
    except OSError as error:
        raise StartError(f"/proc is needed: {error.strerror}") from None
    for name in names:
        number = int(name)
        if number <= 2:
            continue
        try:
            is_socket = stat.S_ISSOCK(os.fstat(number).st_mode)
            is_ring = os.readlink(f"/proc/self/fd/{number}") == "anon_inode:[io_uring]"
        except OSError:
            continue  # the directory itself, closed by now
        if (is_socket or is_ring) and os.get_inheritable(number):
            doors.append(number)
    return doors


def become(
    channel: int, program: bytes, argv: Sequence[str], doors: Sequence[int], domain: tuple[int, int]
) -> NoReturn:
    """Load `program`, hand the listener over through `channel`, and exec `argv`.

    `channel` is one end of a stream to the daemon; `doors` are closed; `domain` is what to give up by Landlock. Never
    returns: ends the process with 125 for our own failures, 126 for a program that cannot be executed, 127 for one that
    is not found.
    """
    try:
        for number in doors:
            os.close(number)
        _give_up(*domain)
        _hand_over(channel, program)
    except (StartError, OSError) as error:
        _end(EXIT_OWN_FAILURE, str(error))
    _restore_signals()
    try:
        os.execvpe(argv[0], list(argv), _environment())
    except FileNotFoundError:
        _end(EXIT_NOT_FOUND, f"{argv[0]}: not found")
    except OSError as error:
        _end(EXIT_NOT_EXECUTABLE, f"{argv[0]}: {error.strerror}")


def _give_up(net: int, scopes: int) -> None:
    try:
        landlock.give_up(net, scopes)
    except OSError as error:
        raise StartError(f"Landlock: {error.strerror} (`landlock = false` in the policy does without)") from None


def _hand_over(channel: int, program: bytes) -> None:
    seccomp.set_no_new_privs()
    try:
        listener = seccomp.load_filter(program)
    except OSError as error:
        if error.errno == 16:
            raise StartError(f"already inside a seccomp listener{_holder()}: the kernel allows one") from None
        raise StartError(f"loading the filter: {error.strerror}") from None
    with listener:
        write_line(channel, {"listener": listener.fileno()})
        answer = read_line(channel)
    if not answer.get("go"):
        raise StartError(str(answer.get("error", "the supervisor gave no word to start")))


def write_line(channel: int, message: dict[str, object]) -> None:
    """Write one JSON line with write(2), which no filter of ours traps."""
    os.write(channel, json.dumps(message).encode() + b"\n")


def read_line(channel: int) -> dict[str, object]:
    """Read one JSON line with read(2). StartError when the other end closes first or sends something else."""
    line = b""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    while not line.endswith(b"\n"):
        if not poll.poll(_PATIENCE_MS):
            raise StartError("the other end of the handover does not answer")
        if len(line) > _LONGEST_LINE:
            raise StartError("the supervisor's answer is too long")
        more = os.read(channel, 1024)
        if not more:
            raise StartError("the supervisor went away before the program was started")
        line += more
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise StartError("the supervisor's answer is not a message")
    return message


def _environment() -> dict[bytes, bytes]:
    """The environment as we got it: Python adds LC_CTYPE to its own where no locale is set (PEP 538)."""
    environment = dict(os.environb)
    with open("/proc/self/environ", "rb") as file:
        ours = file.read()
    if not ours.startswith(b"LC_CTYPE=") and b"\0LC_CTYPE=" not in ours:
        environment.pop(b"LC_CTYPE", None)
    return environment


def _restore_signals() -> None:
    """Python ignores these two at its start, and exec would keep that. Blocked ones are the caller's to restore."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


def _holder() -> str:
    """Which process holds a seccomp listener, where that can be known."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            for number in os.listdir(f"/proc/{entry}/fd"):
                if os.readlink(f"/proc/{entry}/fd/{number}") == "anon_inode:seccomp notify":
                    with open(f"/proc/{entry}/comm", encoding="utf-8") as file:
                        return f" (held by {file.read().strip()}, pid {entry})"
        except OSError:
            continue
    return ""


def _end(status: int, reason: str) -> NoReturn:
    sys.stderr.write(f"supervise: {reason}\n")
    sys.stderr.flush()
    os._exit(status)
