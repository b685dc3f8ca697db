"""signalfd(2): signals with who sent them."""

import ctypes
import os
import signal
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from supervisor.kernel import libc
from supervisor.kernel.hostfd import HostFd

_SIGINFO_SIZE: Final = 128
_FIELDS: Final = struct.Struct("=IiiI")  # ssi_signo, ssi_errno, ssi_code, ssi_pid
_SFD_CLOEXEC: Final = os.O_CLOEXEC
_MASK_SIZE: Final = 128


class Received(NamedTuple):
    """One signal: its number, si_code and the sender's pid (0 for the kernel)."""

    number: int
    code: int
    pid: int


class SignalFile:
    """A descriptor that is readable when one of these (blocked) signals is pending."""

    def __init__(self, signals: Iterable[signal.Signals | int]) -> None:
        mask = 0
        for number in signals:
            mask |= 1 << (number - 1)
        raw = ctypes.create_string_buffer(mask.to_bytes(_MASK_SIZE, "little"), _MASK_SIZE)
        number = libc.signalfd(-1, ctypes.addressof(raw), _SFD_CLOEXEC)
        if number < 0:
            raise libc.fail()
        self._fd = HostFd(number)

    def fileno(self) -> int:
        return self._fd.fileno()

    def read(self) -> Received:
        """Take one signal; blocks while none is pending."""
        number, _, code, pid = _FIELDS.unpack_from(os.read(self._fd.fileno(), _SIGINFO_SIZE))
        return Received(number, code, pid)
