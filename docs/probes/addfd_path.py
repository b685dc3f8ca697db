#!/usr/bin/env python3
"""ADDFD and an O_PATH descriptor."""

import errno
import os
import sys

from _trap import call, start

from supervisor.kernel.hostfd import HostFd


def main() -> int:
    pid, listener, here = start(lambda there: there.send(call().encode()))
    seen = {}
    received = None
    while received is None:
        received = listener.receive()
    ident = received[0].id
    for name, flags in (("O_RDONLY", os.O_RDONLY), ("O_PATH", os.O_PATH)):
        with HostFd(os.open("/", flags | os.O_CLOEXEC)) as fd:
            try:
                listener.give(ident, fd, 0)
                seen[name] = "installed"
            except OSError as error:
                seen[name] = errno.errorcode[error.errno or 0]
        print(f"{name:9} {seen[name]}")
    listener.answer_value(ident, 0)
    here.recv(16)
    os.waitpid(pid, 0)
    return 0 if seen == {"O_RDONLY": "installed", "O_PATH": "EBADF"} else 1


if __name__ == "__main__":
    sys.exit(main())
