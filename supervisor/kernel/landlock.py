"""Landlock, as far as binding a path safely needs it (<linux/landlock.h>, ABI 1)."""

import ctypes
import struct
from typing import Final

from supervisor.kernel import libc, seccomp
from supervisor.kernel.hostfd import HostFd

LANDLOCK_ACCESS_FS_MAKE_SOCK: Final = 1 << 9
_RULE_PATH_BENEATH: Final = 1
_CREATE: Final = libc.number("landlock_create_ruleset")
_RULESET: Final = struct.Struct("=Q")
_BENEATH: Final = struct.Struct("=Qi")


def allow_sockets_only_beneath(directory: HostFd) -> None:
    """From now on this thread can make unix sockets beneath `directory` and nowhere else. For good: use it on a thread
    that ends. OSError where the kernel has no Landlock."""
    attributes = ctypes.create_string_buffer(_RULESET.pack(LANDLOCK_ACCESS_FS_MAKE_SOCK), _RULESET.size)
    rule = ctypes.create_string_buffer(
        _BENEATH.pack(LANDLOCK_ACCESS_FS_MAKE_SOCK, directory.fileno()), _BENEATH.size
    )
    with HostFd(libc.syscall(_CREATE, ctypes.addressof(attributes), _RULESET.size, 0)) as ruleset:
        libc.syscall(_CREATE + 1, ruleset.fileno(), _RULE_PATH_BENEATH, ctypes.addressof(rule), 0)
        seccomp.set_no_new_privs()
        libc.syscall(_CREATE + 2, ruleset.fileno(), 0)
