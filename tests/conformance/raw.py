"""The 18 calls as the kernel sees them: syscall(2) with six 64-bit words, no retry, no check, no conversion.

Python's socket module restarts after EINTR, turns timeouts into polls and never passes a wrong pointer. Here an
argument is an int (cut to 64 bits, nothing else), bytes (input only, copied), anything with `.address`, or None (NULL).
"""

import ctypes
import errno
import platform
from typing import NamedTuple

_X86 = {
    "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47,
    "shutdown": 48, "bind": 49, "listen": 50, "getsockname": 51, "getpeername": 52, "socketpair": 53,
    "setsockopt": 54, "getsockopt": 55, "accept4": 288, "recvmmsg": 299, "sendmmsg": 307,
    "gettid": 186, "tgkill": 234, "unshare": 272, "getpid": 39, "write": 1, "writev": 20, "read": 0, "exit": 60,
}  # fmt: skip
_ARM = {
    "socket": 198, "socketpair": 199, "bind": 200, "listen": 201, "accept": 202, "connect": 203, "getsockname": 204,
    "getpeername": 205, "sendto": 206, "recvfrom": 207, "setsockopt": 208, "getsockopt": 209, "shutdown": 210,
    "sendmsg": 211, "recvmsg": 212, "accept4": 242, "recvmmsg": 243, "sendmmsg": 269,
    "gettid": 178, "tgkill": 131, "unshare": 97, "getpid": 172, "write": 64, "writev": 66, "read": 63, "exit": 93,
}  # fmt: skip
NUMBERS = {"x86_64": _X86, "aarch64": _ARM}[platform.machine()]

CALLS = (
    "socket", "socketpair", "bind", "connect", "listen", "accept", "accept4", "getsockname", "getpeername",
    "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "getsockopt", "setsockopt", "shutdown",
)  # fmt: skip

WORD = (1 << 64) - 1
GARBAGE = 0xDEAD_BEEF << 32
"""Goes into the upper half of a register that holds an int: the kernel must not look at it, nor may anybody else."""

libc = ctypes.CDLL(None, use_errno=True)
_syscall = libc.syscall
_syscall.restype = ctypes.c_long


class Result(NamedTuple):
    """What came back: a value, or -1 and the errno."""

    value: int
    errno: int = 0

    @property
    def ok(self) -> bool:
        return self.errno == 0

    def __str__(self) -> str:
        return str(self.value) if self.ok else f"-{error_name(self.errno)}"


class SetupError(Exception):
    """A call that only prepares the case failed."""


def error_name(number: int) -> str:
    return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode.get(number, f"E{number}")


def _word(argument):
    if argument is None:
        return ctypes.c_void_p(0)
    if isinstance(argument, int):
        return ctypes.c_ulong(argument & WORD)
    if isinstance(argument, bytes):
        return ctypes.c_char_p(argument)
    return ctypes.c_ulong(argument.address)


def syscall(name: str, *arguments) -> Result:
    """One system call; missing arguments are 0."""
    words = [_word(argument) for argument in arguments]
    words += [ctypes.c_ulong(0)] * (6 - len(words))
    ctypes.set_errno(0)
    value = _syscall(ctypes.c_long(NUMBERS[name]), *words)
    return Result(value, ctypes.get_errno()) if value == -1 else Result(value)


def must(name: str, *arguments) -> int:
    """The same for preparations: the value, or SetupError."""
    result = syscall(name, *arguments)
    if not result.ok:
        raise SetupError(f"{name}: {result}")
    return result.value


def gettid() -> int:
    return syscall("gettid").value
