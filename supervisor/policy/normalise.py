"""One address for each place: what the kernel will really do with the address that a program gives.

A v4-mapped IPv6 address is sent as IPv4 (`tcp_v6_connect`, `udpv6_sendmsg`). To connect or send to the unspecified
address means the loopback (`ip_route_output_key_hash_rcu`, `tcp_v6_connect`). For bind it means every address of the
machine and is left alone.

Two corners where the kernel knows more than the address says; both lead to an address of this machine. When the socket
is bound, 0.0.0.0 means the address that it is bound to; and `::` means 127.0.0.1 on a socket bound to a v4-mapped
address. A performer that packs the normalised address instead of the program's has neither, and for the second `deny`
rules on 127.0.0.1 match `::` too.
"""

import re
from typing import Final

from supervisor.policy.operation import Action
from supervisor.sockets.address import Address, Inet4, Inet6, UnixPath

LOOPBACK4: Final = 0x7F000001
LOOPBACK6: Final = 1
MAPPED: Final = 0xFFFF
"""The top 96 bits of a v4-mapped address."""

_UNTIDY: Final = re.compile(rb"/\.{0,2}(?:/|\Z)|\A(?!/)")


def normalise(action: Action, address: Address) -> Address:
    """The address that rules are compared with and, for connect and send, that should be performed."""
    if isinstance(address, Inet6) and address.ip >> 32 == MAPPED:
        address = Inet4(address.ip & 0xFFFFFFFF, address.port)
    if action in ("connect", "send") and isinstance(address, Inet4 | Inet6) and address.ip == 0:
        return address._replace(ip=LOOPBACK4 if isinstance(address, Inet4) else LOOPBACK6)
    if isinstance(address, UnixPath):
        return UnixPath(squeeze(address.path))
    return address


def squeeze(path: bytes) -> bytes:
    """Take out empty and "." components, which name nothing; ".." stays, because it may follow a symbolic link."""
    kept = [part for part in path.split(b"/") if part not in (b"", b".")]
    return (b"/" if path.startswith(b"/") else b"") + b"/".join(kept)


def is_untidy(path: bytes) -> bool:
    """Whether `squeeze` or `is_resolved` have anything to say about the path."""
    return _UNTIDY.search(path) is not None


def is_resolved(path: bytes) -> bool:
    """Whether a pathname can be compared: absolute and free of ".."; symbolic links are the caller's business."""
    return path.startswith(b"/") and b"/../" not in path and not path.endswith(b"/..")
