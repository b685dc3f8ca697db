"""The 18 calls, one row each: the single source of what is trapped, how arguments are read, and who answers.

The letters are the types of the man page's synopsis:
F a descriptor of the program, i int, u unsigned int, z size_t, L socklen_t (the kernel reads it as int), P a pointer.
Ints are the low 32 bits of their register, as the kernel takes them.
"""

import struct
from collections.abc import Callable
from typing import Any, Final

from supervisor.abi.numbers import Architecture
from supervisor.abi.seccomp import NOTIF_ARGS_OFFSET
from supervisor.syscalls.accept import accept, accept4
from supervisor.syscalls.bind import bind, listen, shutdown
from supervisor.syscalls.connect import connect
from supervisor.syscalls.create import socket, socketpair
from supervisor.syscalls.name import getpeername, getsockname
from supervisor.syscalls.option import getsockopt, setsockopt
from supervisor.syscalls.receive import recvfrom, recvmmsg, recvmsg
from supervisor.syscalls.reply import Later, Reply
from supervisor.syscalls.send import sendmmsg, sendmsg, sendto

_CODES: Final = {"F": "i4x", "i": "i4x", "u": "I4x", "L": "i4x", "z": "Q", "P": "Q"}


class Row:
    """One call. `decode` reads its arguments from a raw notification: one `struct` call, 90 ns."""

    __slots__ = ("_struct", "handler", "letters", "name")

    def __init__(self, name: str, letters: str, handler: Callable[..., Reply | Later]) -> None:
        self.name: Final = name
        self.letters: Final = letters
        self.handler: Final = handler
        self._struct: Final = struct.Struct("<" + "".join(_CODES[letter] for letter in letters))

    def decode(self, notification: bytes) -> tuple[Any, ...]:
        return self._struct.unpack_from(notification, NOTIF_ARGS_OFFSET)


ROWS: Final = (
    Row("socket", "iii", socket),
    Row("socketpair", "iiiP", socketpair),
    Row("bind", "FPL", bind),
    Row("connect", "FPL", connect),
    Row("listen", "Fi", listen),
    Row("accept", "FPP", accept),
    Row("accept4", "FPPi", accept4),
    Row("shutdown", "Fi", shutdown),
    Row("getsockname", "FPP", getsockname),
    Row("getpeername", "FPP", getpeername),
    Row("getsockopt", "FiiPP", getsockopt),
    Row("setsockopt", "FiiPL", setsockopt),
    Row("sendto", "FPziPL", sendto),
    Row("sendmsg", "FPi", sendmsg),
    Row("sendmmsg", "FPui", sendmmsg),
    Row("recvfrom", "FPziPP", recvfrom),
    Row("recvmsg", "FPi", recvmsg),
    Row("recvmmsg", "FPuiP", recvmmsg),
)


def rows_by_number(architecture: Architecture) -> dict[int, Row]:
    """The rows by the system call numbers of a machine."""
    return {architecture.calls[row.name]: row for row in ROWS}
