"""Runs a program with one call refused by a seccomp filter: `python -m tests.conformance.sabotage CALL ERRNO -- ...`.

A wrong supervisor for the harness's own tests: what it changes has to be found, and nothing else.
"""

import ctypes
import errno
import os
import struct
import sys

from .memory import Memory
from .raw import NUMBERS, libc

_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


def install(call: str, number: int) -> None:
    """Answer the call with the errno from here on, in this process and its children."""
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (_LOAD, 0, 0, 0),
            (_EQUAL, 0, 1, NUMBERS[call]),
            (_RETURN, 0, 0, _ERRNO | number),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    code = Memory(program)
    header = Memory(struct.pack("=H6xQ", len(program) // 8, code.address))
    libc.prctl(38, 1, 0, 0, 0)
    if libc.prctl(22, 2, ctypes.c_void_p(header.address)) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")


def main() -> None:
    call, name, _, *command = sys.argv[1:]
    install(call, getattr(errno, name))
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
