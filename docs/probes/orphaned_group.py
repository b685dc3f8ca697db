#!/usr/bin/env python3
"""Whom the kernel hangs up when a process ends: a group that gets orphaned by it, with a stopped member."""

import os
import signal
import sys
import time


def state(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(") ")[2][0]


def script(writing: int, *, own_session: bool) -> None:
    """Lead a session without a terminal, in which a member of our group is stopped while the child of somebody else's
    group ends that is in ours."""
    os.setsid()
    signal.signal(signal.SIGHUP, lambda *_: os.write(writing, b"hung up"))
    stopped = os.fork()
    if stopped == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    while state(stopped) != "T":
        time.sleep(0.001)
    middle = os.fork()
    if middle == 0:
        child = os.fork()
        if child == 0:
            time.sleep(0.1)
            os._exit(0)
        if own_session:
            os.setsid()
        else:
            os.setpgid(0, 0)
        os.waitpid(child, 0)
        os._exit(0)
    os.waitpid(middle, 0)
    os.kill(stopped, signal.SIGKILL)
    os.waitpid(stopped, 0)
    os._exit(0)


def ask(*, own_session: bool) -> str:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        script(writing, own_session=own_session)
    os.close(writing)
    os.waitpid(pid, 0)
    with os.fdopen(reading, "rb") as file:
        return "hung up" if file.read() else "nothing"


def main() -> int:
    group, session = ask(own_session=False), ask(own_session=True)
    print(f"the child's parent in a group of its own    {group}")
    print(f"the child's parent in a session of its own  {session}")
    return 0 if (group, session) == ("hung up", "nothing") else 1


if __name__ == "__main__":
    sys.exit(main())
