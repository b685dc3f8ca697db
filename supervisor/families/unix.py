"""AF_UNIX.

Two things make unix sockets the hard case. Their names are paths, which mean what the program's root, working
directory and symbolic links make of them; and their peers see who made the call (SO_PEERCRED at connect and listen).

Connect and send: the path is opened as an O_PATH descriptor, once. What it turned out to be is what the policy judges,
and the call goes to /proc/self/fd/N of that descriptor, so that no link changed in between can lead elsewhere.
Bind: the string becomes the socket's name and is what peers answer to, so the program's own string is used, from its
own directory; judged is the resolved parent directory with the last component, and kept open: only beneath it can the
socket be made (`ProgramPaths.bind`).
"""

import errno
import os
from typing import Final

from supervisor.abi.socket import SOCK_SEQPACKET
from supervisor.errors import SyscallError
from supervisor.families.provider import Target
from supervisor.kernel.paths import ProgramPaths, name_of
from supervisor.kernel.sockets import SocketKind
from supervisor.policy.operation import Action
from supervisor.sockets.address import (
    Address,
    UnixAbstract,
    UnixPath,
    UnixUnnamed,
    Unspec,
    pack_address,
    parse_address,
)


class Unix:
    """Unix domain sockets."""

    serviced = False

    def address(self, _action: Action, _kind: SocketKind, raw: bytes) -> Address:
        return parse_address(raw)

    def is_hopeless(self, action: Action, kind: SocketKind, address: Address) -> bool:
        """Anything but sockaddr_un is EINVAL (`unix_validate_addr`); a seqpacket's send ignores its address."""
        if action == "send" and kind.type == SOCK_SEQPACKET:
            return True
        if isinstance(address, Unspec):
            return action != "connect"
        return not isinstance(address, UnixPath | UnixAbstract | UnixUnnamed)

    def needs_lookup(self, address: Address) -> bool:
        return isinstance(address, UnixPath)

    def locate(self, action: Action, paths: ProgramPaths, address: Address, raw: bytes) -> Target:
        assert isinstance(address, UnixPath)
        if action == "bind":
            return _located_for_bind(paths, address.path, raw)
        fd = paths.open_writable(address.path)
        way = pack_address(UnixPath(b"/proc/self/fd/%d" % fd.fileno()))
        return Target(UnixPath(_judged_name(paths, name_of(fd))), way, fd)

    def performed(self, _action: Action, _address: Address, raw: bytes) -> bytes:
        return raw


def _located_for_bind(paths: ProgramPaths, path: bytes, raw: bytes) -> Target:
    parent, _, last = path.rpartition(b"/")
    if not last:
        # "dir/" and "/": the kernel says ENOENT or EEXIST; nothing of it can be bound.
        raise SyscallError(errno.EADDRINUSE if not parent.strip(b"/") else errno.ENOENT)
    where = parent or (b"/" if path.startswith(b"/") else b".")
    directory = paths.open(where, os.O_DIRECTORY)
    name = name_of(directory).rstrip(b"/") + b"/" + last
    return Target(UnixPath(_judged_name(paths, name)), raw, directory)


def _judged_name(paths: ProgramPaths, name: bytes) -> bytes:
    """The name for the policy: one that no rule about paths can allow where the program makes its own mounts."""
    return name if paths.is_home() else b"?" + name


UNIX: Final = Unix()
