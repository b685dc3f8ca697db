#!/usr/bin/env python3
"""SECCOMP_IOCTL_NOTIF_RECV after the trapped call went away: ENOENT once for each call that went, never a wait."""

import fcntl
import os
import select
import signal
import sys

import _trap

from supervisor.abi.seccomp import NOTIF, SECCOMP_IOCTL_NOTIF_RECV


def main() -> int:
    pid, listener, _ = _trap.start(lambda _: print(_trap.call()))
    poll = select.poll()
    poll.register(listener.fileno(), select.POLLIN)
    trapped = poll.poll(2000)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    after = poll.poll(0)
    signal.alarm(3)
    try:
        fcntl.ioctl(listener.fileno(), SECCOMP_IOCTL_NOTIF_RECV, bytearray(NOTIF.size))
        said = "a notification"
    except OSError as error:
        said = error.strerror or ""
    listener.close()
    print(f"POLLIN before: {bool(trapped and trapped[0][1] & select.POLLIN)}, "
          f"after the call went: {bool(after and after[0][1] & select.POLLIN)}, RECV then says: {said}")
    return 0 if said == "No such file or directory" else 1


if __name__ == "__main__":
    sys.exit(main())
