"""`python refuse.py CALL[,CALL] PROGRAM ARGS`: runs a program whose calls of these names fail with EACCES.

What a program says and how it ends when its connection is refused is not for a test to type in: it is taken from the
program itself under this filter (ERRNO by the kernel alone, no supervisor), and has to be the same under an enforcing
policy.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

NUMBERS = {
    "x86_64": {"connect": 42, "sendto": 44},
    "aarch64": {"connect": 203, "sendto": 206},
}

BPF_LD_W_ABS, BPF_JEQ, BPF_RET = 0x20, 0x15, 0x06
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x00050000, 0x7FFF0000
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2


def install(nr: int, error: int) -> None:
    """From here on the system call `nr` of this process and its children fails with `error`."""
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (BPF_LD_W_ABS, 0, 0, 0),  # seccomp_data.nr
            (BPF_JEQ, 0, 1, nr),
            (BPF_RET, 0, 0, SECCOMP_RET_ERRNO | error),
            (BPF_RET, 0, 0, SECCOMP_RET_ALLOW),
        )
    )
    code = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_ulong]
    for option, value, pointer in ((PR_SET_NO_NEW_PRIVS, 1, None), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog)):
        if libc.prctl(option, value, pointer, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    for call in sys.argv[1].split(","):
        install(NUMBERS[platform.machine()][call], errno.EACCES)
    os.execvp(sys.argv[2], sys.argv[2:])
