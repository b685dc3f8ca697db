"""Landlock: rights that a thread gives up for good."""

import ctypes
import struct
from typing import Final

from supervisor.abi.landlock import (
    LANDLOCK_ACCESS_FS_MAKE_SOCK,
    LANDLOCK_CREATE_RULESET_VERSION,
    LANDLOCK_RULE_PATH_BENEATH,
)
from supervisor.kernel import libc, seccomp
from supervisor.kernel.hostfd import HostFd

NET_ABI: Final = 4
SCOPES_ABI: Final = 6
_CREATE: Final = libc.number("landlock_create_ruleset")
_ADD_RULE: Final = _CREATE + 1
_RESTRICT: Final = _CREATE + 2
_RULESET: Final = struct.Struct("=QQQ")  # handled_access_fs, handled_access_net, scoped
_BENEATH: Final = struct.Struct("=Qi")


def version() -> int:
    """The ABI; 0 where the kernel has none, or it is not among the kernel's lsm=."""
    try:
        return libc.syscall(_CREATE, 0, 0, LANDLOCK_CREATE_RULESET_VERSION)
    except OSError:
        return 0


def allow_sockets_only_beneath(directory: HostFd) -> None:
    """From now on this thread can make unix sockets beneath `directory` and nowhere else. For good: use it on a thread
    that ends. OSError where the kernel has no Landlock."""
    with _ruleset(LANDLOCK_ACCESS_FS_MAKE_SOCK, 0, 0, size=8) as ruleset:
        rule = ctypes.create_string_buffer(
            _BENEATH.pack(LANDLOCK_ACCESS_FS_MAKE_SOCK, directory.fileno()), _BENEATH.size
        )
        libc.syscall(_ADD_RULE, ruleset.fileno(), LANDLOCK_RULE_PATH_BENEATH, ctypes.addressof(rule), 0)
        _restrict(ruleset)


def holds(net: int, scopes: int) -> bool:
    """Would `give_up` change anything on this kernel?"""
    abi = version()
    return abi >= NET_ABI and bool(net | (scopes if abi >= SCOPES_ABI else 0))


def give_up(net: int, scopes: int) -> bool:
    """Give up the TCP rights in the mask `net`, and what `scopes` shuts off, in this thread and its children: as much
    of it as this kernel has. A domain of any kind also keeps from tracing processes outside of it.

    False where the kernel has nothing of it, so that this thread is as it was.
    """
    if not holds(net, scopes):
        return False
    scoped = version() >= SCOPES_ABI
    with _ruleset(0, net, scopes if scoped else 0, size=24 if scoped else 16) as ruleset:
        _restrict(ruleset)
    return True


def _ruleset(filesystem: int, net: int, scopes: int, *, size: int) -> HostFd:
    attributes = ctypes.create_string_buffer(_RULESET.pack(filesystem, net, scopes), _RULESET.size)
    return HostFd(libc.syscall(_CREATE, ctypes.addressof(attributes), size, 0))


def _restrict(ruleset: HostFd) -> None:
    seccomp.set_no_new_privs()
    libc.syscall(_RESTRICT, ruleset.fileno(), 0)
