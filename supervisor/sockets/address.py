"""Socket addresses as values: parsed once from the captured bytes, compared by policy, packed again for the kernel.

Parsing follows what the kernel's own protocols accept (`inet_bind`, `__inet_stream_connect`, `unix_mkname`,
`unix_validate_addr`), because an address that we read differently than the kernel does is a way around the policy.
The captured bytes stay beside the value: what is performed is always packed from what was decided on.
"""

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from supervisor.abi.inet import SIN6_LEN_RFC2133, SOCKADDR_IN6_SIZE, SOCKADDR_IN_SIZE
from supervisor.abi.socket import AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC
from supervisor.abi.unix import SOCKADDR_UN_SIZE, SUN_PATH_OFFSET

_FAMILY = struct.Struct("=H")
_IN = struct.Struct("=H2s4s")
_IN6 = struct.Struct("=H2sI16sI")


class Inet4(NamedTuple):
    """sockaddr_in. `ip` is the address as an integer, host order; `port` 0 to 65535."""

    ip: int
    port: int

    def __str__(self) -> str:
        return f"{IPv4Address(self.ip)}:{self.port}"


class Inet6(NamedTuple):
    """sockaddr_in6. `scope` is the interface index, 0 for none."""

    ip: int
    port: int
    scope: int = 0
    flowinfo: int = 0

    def __str__(self) -> str:
        scope = f"%{self.scope}" if self.scope else ""
        # As people write it, and as rules do.
        ip = f"::ffff:{IPv4Address(self.ip & 0xFFFFFFFF)}" if self.ip >> 32 == 0xFFFF else str(IPv6Address(self.ip))
        return f"[{ip}{scope}]:{self.port}"


class UnixPath(NamedTuple):
    """A pathname socket: the bytes before the first NUL, never empty."""

    path: bytes

    def __str__(self) -> str:
        return "unix:" + self.path.decode("utf-8", "backslashreplace")


class UnixAbstract(NamedTuple):
    """An abstract name without its leading NUL; NULs inside and at the end are part of it."""

    name: bytes

    def __str__(self) -> str:
        return "unix:@" + self.name.decode("utf-8", "backslashreplace").replace("\0", "\\0")


class UnixUnnamed(NamedTuple):
    """sockaddr_un of the family alone: autobind in bind(2), no name in getsockname(2)."""

    def __str__(self) -> str:
        return "unix:"


class Unspec(NamedTuple):
    """AF_UNSPEC: connect(2) dissolves the association; what else it means depends on the socket (see `families`)."""

    raw: bytes

    def __str__(self) -> str:
        return "unspec"


class Opaque(NamedTuple):
    """An address of a family that has no value of its own here, or one too short or long for its family."""

    family: int
    raw: bytes

    def __str__(self) -> str:
        return f"family-{self.family}:{self.raw.hex()}"


Address = Inet4 | Inet6 | UnixPath | UnixAbstract | UnixUnnamed | Unspec | Opaque


def parse_address(raw: bytes) -> Address:
    """Parse the bytes of a sockaddr by the family that it names.

    Never fails: what its family cannot read is `Opaque`, which the kernel refuses and no allow rule matches. Bytes
    past the structure's size are ignored, as the kernel ignores them.
    """
    if len(raw) < 2:
        return Opaque(-1, raw)
    (family,) = _FAMILY.unpack_from(raw)
    if family == AF_INET and len(raw) >= SOCKADDR_IN_SIZE:
        _, port, ip = _IN.unpack_from(raw)
        return Inet4(int.from_bytes(ip), int.from_bytes(port))
    if family == AF_INET6 and len(raw) >= SIN6_LEN_RFC2133:
        _, port, flow, ip, scope = _IN6.unpack_from(raw.ljust(SOCKADDR_IN6_SIZE, b"\0"))
        return Inet6(int.from_bytes(ip), int.from_bytes(port), scope, flow)
    if family == AF_UNIX and len(raw) <= SOCKADDR_UN_SIZE:
        return _parse_unix(raw[SUN_PATH_OFFSET:])
    if family == AF_UNSPEC:
        return Unspec(raw)
    return Opaque(family, raw)


def parse_reported(raw: bytes) -> Address:
    """Parse what the kernel wrote (getsockname(2), the peer of accept(2)), the inverse of `pack_address`.

    The one difference: a pathname of 108 bytes comes with a NUL behind it, 111 bytes in all, which the kernel would not
    take back.
    """
    return parse_address(raw[:SOCKADDR_UN_SIZE] if raw[:2] == _FAMILY.pack(AF_UNIX) else raw)


def _parse_unix(name: bytes) -> Address:
    if not name:
        return UnixUnnamed()
    if name[0] == 0:
        return UnixAbstract(name[1:])
    return UnixPath(name.split(b"\0", 1)[0])


def pack_address(address: Address) -> bytes:
    """Pack an address into the bytes that the kernel takes; the inverse of `parse_address` on what it accepts."""
    match address:
        case Inet4(ip, port):
            return _IN.pack(AF_INET, port.to_bytes(2), ip.to_bytes(4)).ljust(SOCKADDR_IN_SIZE, b"\0")
        case Inet6(ip, port, scope, flow):
            return _IN6.pack(AF_INET6, port.to_bytes(2), flow, ip.to_bytes(16), scope)
        case UnixPath(path):
            # 108 bytes without a NUL are legal: the kernel puts one behind its own copy.
            return _FAMILY.pack(AF_UNIX) + path + (b"\0" if len(path) < SOCKADDR_UN_SIZE - SUN_PATH_OFFSET else b"")
        case UnixAbstract(name):
            return _FAMILY.pack(AF_UNIX) + b"\0" + name
        case UnixUnnamed():
            return _FAMILY.pack(AF_UNIX)
        case Unspec(raw) | Opaque(_, raw):
            return raw
