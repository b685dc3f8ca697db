"""AF_INET and AF_INET6."""

from typing import Final

from supervisor.abi.inet import IPPROTO_TCP, IPPROTO_UDP, SOCKADDR_IN_SIZE
from supervisor.abi.socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM
from supervisor.families.provider import Target
from supervisor.kernel.paths import ProgramPaths
from supervisor.kernel.sockets import SocketKind
from supervisor.policy.operation import Action
from supervisor.sockets.address import Address, Inet4, Inet6, Unspec, pack_address, parse_address

_ORDINARY: Final = frozenset({(SOCK_STREAM, IPPROTO_TCP), (SOCK_DGRAM, IPPROTO_UDP)})
_LOOPBACK4: Final = 0x7F000001
_MAPPED: Final = 0xFFFF << 32


class Inet:
    """Internet sockets: the kernel looks at nothing but the bytes, and peers cannot see who made the call."""

    serviced = True

    def address(self, action: Action, kind: SocketKind, raw: bytes) -> Address:
        """AF_UNSPEC dissolves only in connect(2).

        An IPv4 socket reads it as AF_INET when sending (`udp_sendmsg`) and binding (`__inet_bind`): a real
        destination. An IPv6 socket sends to its connected peer then (`udpv6_sendmsg`), and refuses to bind.
        """
        address = parse_address(raw)
        if isinstance(address, Unspec) and action in ("bind", "send") and kind.family == AF_INET:
            if len(raw) < SOCKADDR_IN_SIZE or (action == "bind" and raw[4:8] != bytes(4)):
                return address
            return parse_address(AF_INET.to_bytes(2, "little") + raw[2:])
        if isinstance(address, Unspec) and action == "send" and (kind.family, kind.type) == (AF_INET6, SOCK_RAW):
            return parse_address(AF_INET6.to_bytes(2, "little") + raw[2:])  # `rawv6_sendmsg` means it
        return address

    def is_hopeless(self, action: Action, kind: SocketKind, address: Address) -> bool:
        """EAFNOSUPPORT for another family's address, EINVAL for one that is too short, on ordinary TCP and UDP."""
        if (kind.type, kind.protocol) not in _ORDINARY:
            return False
        match address:
            case Inet4():
                return False
            case Inet6():
                return kind.family == AF_INET
            case Unspec():
                return action == "bind"  # the one that may be bound has become 0.0.0.0 above
        return True

    def needs_lookup(self, _address: Address) -> bool:
        return False

    def locate(self, _action: Action, _paths: ProgramPaths, address: Address, raw: bytes) -> Target:
        return Target(address, raw)

    def performed(self, action: Action, address: Address, raw: bytes) -> bytes:
        """What is given to the kernel for a judged address.

        Fact: an IPv4 socket bound to X that connects or sends to 0.0.0.0 reaches X, not loopback; `::` always means
        loopback, of whichever version the socket is bound to.
        Consequence: a policy that takes the unspecified address for loopback would be led to X.
        Decision: what is performed for 0.0.0.0 is the loopback address that was judged.
        """
        if action not in ("connect", "send"):
            return raw
        match address:
            case Inet4(0, port):
                return pack_address(Inet4(_LOOPBACK4, port))
            case Inet6(ip, port, scope, flow) if ip == _MAPPED:
                return pack_address(Inet6(_MAPPED | _LOOPBACK4, port, scope, flow))
        return raw


INET: Final = Inet()
FAMILIES: Final = (AF_INET, AF_INET6)
