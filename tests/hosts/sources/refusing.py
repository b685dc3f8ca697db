"""refusing.py NUMBER[,NUMBER] PROGRAM ARGS: a program whose system calls of these numbers fail with EPERM."""

import ctypes
import os
import struct
import sys

BPF_LD_W_ABS, BPF_JEQ, BPF_RET = 0x20, 0x15, 0x06
RET_ERRNO_EPERM, RET_ALLOW = 0x00050001, 0x7FFF0000
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38

libc = ctypes.CDLL(None, use_errno=True)
libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_ulong]


def prctl(option, value, pointer=None):
    if libc.prctl(option, value, pointer, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


prctl(PR_SET_NO_NEW_PRIVS, 1)
rows = [(BPF_LD_W_ABS, 0, 0, 0)]
for number in map(int, sys.argv[1].split(",")):
    rows += [(BPF_JEQ, 0, 1, number), (BPF_RET, 0, 0, RET_ERRNO_EPERM)]
rows.append((BPF_RET, 0, 0, RET_ALLOW))
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in rows))
prctl(PR_SET_SECCOMP, 2, struct.pack("HxxxxxxP", len(rows), ctypes.addressof(code)))
os.execvp(sys.argv[2], sys.argv[2:])
