"""Acting as somebody else for the length of one call, in this thread alone.

Fact: the kernel checks a call that we perform for a program against *our* credentials: ports below 1024, write
permission on a unix socket, the right to send to netlink.
Consequence: a daemon with more rights than the program would lend them.
Decision: the effective ids, the supplementary groups and the effective capabilities of the calling thread are set to
the program's and set back. Raw system calls, because libc's wrappers change every thread. The real and saved ids
stay ours, so the program may not signal the daemon in between.
Cost: about 50 us from Python, paid only where the credentials differ and the call can tell.
"""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from supervisor.kernel import libc

_SETRESUID: Final = libc.number("setresuid")
_SETRESGID: Final = libc.number("setresgid")
_SETGROUPS: Final = libc.number("setgroups")
_CAPGET: Final = libc.number("capget")
_CAPSET: Final = libc.number("capset")
_CAPABILITY_VERSION_3: Final = 0x20080522
_CAP_DATA: Final = struct.Struct("=IIIIII")
_KEEP: Final = -1


class Credentials(NamedTuple):
    """Who a thread is, in this process's user namespace. `capabilities` is the effective set as a mask."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    capabilities: int


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def effective_capabilities() -> int:
    """The effective capabilities of this thread as a mask."""
    effective, _, _ = _capabilities()
    return effective


def own_credentials() -> Credentials:
    """Who this thread is."""
    return Credentials(os.geteuid(), os.getegid(), tuple(sorted(os.getgroups())), effective_capabilities())


def _capabilities() -> tuple[int, int, int]:
    header = _Header(_CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(_CAP_DATA.size)
    libc.syscall(_CAPGET, ctypes.addressof(header), ctypes.addressof(data))
    low_e, low_p, low_i, high_e, high_p, high_i = _CAP_DATA.unpack(data.raw)
    return low_e | high_e << 32, low_p | high_p << 32, low_i | high_i << 32


def _set_effective(mask: int) -> None:
    _, permitted, inheritable = _capabilities()
    mask &= permitted
    header = _Header(_CAPABILITY_VERSION_3, 0)
    low = 0xFFFFFFFF
    data = ctypes.create_string_buffer(_CAP_DATA.pack(
        mask & low, permitted & low, inheritable & low, mask >> 32, permitted >> 32, inheritable >> 32
    ), _CAP_DATA.size)
    libc.syscall(_CAPSET, ctypes.addressof(header), ctypes.addressof(data))


def _set_groups(groups: tuple[int, ...]) -> None:
    buffer = (ctypes.c_uint32 * max(len(groups), 1))(*groups)
    libc.syscall(_SETGROUPS, len(groups), ctypes.addressof(buffer))


@contextmanager
def acting_as(them: Credentials, us: Credentials) -> Iterator[None]:
    """Run the body with the effective identity of `them`; `us` is what this thread is now and becomes again.

    OSError when this process may not take that identity: nothing is performed then. Must not be left by anything that
    waits: the whole thread has the identity.
    """
    # Only what differs: a daemon with a few capabilities may not be able to set ids that it need not set.
    try:
        if them.groups != us.groups:
            _set_groups(them.groups)
        if them.gid != us.gid:
            libc.syscall(_SETRESGID, _KEEP, them.gid, _KEEP)
        if them.uid != us.uid:
            libc.syscall(_SETRESUID, _KEEP, them.uid, _KEEP)
        _set_effective(them.capabilities)
        yield
    finally:
        # Raising the uid again gives back CAP_SETGID, which the rest needs.
        if them.uid != us.uid:
            libc.syscall(_SETRESUID, _KEEP, us.uid, _KEEP)
        _set_effective(us.capabilities)
        if them.gid != us.gid:
            libc.syscall(_SETRESGID, _KEEP, us.gid, _KEEP)
        if them.groups != us.groups:
            _set_groups(us.groups)
