"""Names of numbers, for people: logs, tables, errors."""

from typing import Final

from supervisor.abi.inet import (
    IPPROTO_DCCP,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_MPTCP,
    IPPROTO_RAW,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPPROTO_UDPLITE,
)
from supervisor.abi.netlink import NETLINK_PROTOCOLS
from supervisor.abi.socket import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_UNSPEC,
    SOCK_DCCP,
    SOCK_DGRAM,
    SOCK_PACKET,
    SOCK_RAW,
    SOCK_RDM,
    SOCK_SEQPACKET,
    SOCK_STREAM,
)

FAMILIES: Final = {
    "unix": 1, "inet": 2, "ax25": 3, "ipx": 4, "appletalk": 5, "netrom": 6, "bridge": 7, "atmpvc": 8, "x25": 9,
    "inet6": 10, "rose": 11, "decnet": 12, "netbeui": 13, "security": 14, "key": 15, "netlink": 16, "packet": 17,
    "ash": 18, "econet": 19, "atmsvc": 20, "rds": 21, "sna": 22, "irda": 23, "pppox": 24, "wanpipe": 25, "llc": 26,
    "ib": 27, "mpls": 28, "can": 29, "tipc": 30, "bluetooth": 31, "iucv": 32, "rxrpc": 33, "isdn": 34, "phonet": 35,
    "ieee802154": 36, "caif": 37, "alg": 38, "nfc": 39, "vsock": 40, "kcm": 41, "qipcrtr": 42, "smc": 43, "xdp": 44,
    "mctp": 45,
}  # fmt: skip
FAMILY_NAMES: Final = {number: name for name, number in FAMILIES.items()}
_TYPES: Final = {
    SOCK_STREAM: "stream", SOCK_DGRAM: "dgram", SOCK_RAW: "raw", SOCK_RDM: "rdm", SOCK_SEQPACKET: "seqpacket",
    SOCK_DCCP: "dccp", SOCK_PACKET: "packet",
}
_PROTOCOLS: Final = {
    IPPROTO_ICMP: "icmp", IPPROTO_TCP: "tcp", IPPROTO_UDP: "udp", IPPROTO_DCCP: "dccp", IPPROTO_ICMPV6: "icmpv6",
    IPPROTO_SCTP: "sctp", IPPROTO_UDPLITE: "udplite", IPPROTO_RAW: "raw", IPPROTO_MPTCP: "mptcp",
}
_NETLINK: Final = {number: name for name, number in NETLINK_PROTOCOLS.items()}


def family_name(number: int) -> str:
    """"inet", or the number as text."""
    return "unspec" if number == AF_UNSPEC else FAMILY_NAMES.get(number, str(number))


def type_name(number: int) -> str:
    """"stream", or the number as text."""
    return _TYPES.get(number, str(number))


def protocol_name(family: int, number: int) -> str:
    """"tcp" or "route", as the family means the number; the number as text otherwise."""
    if family == AF_NETLINK:
        return _NETLINK.get(number, str(number))
    return _PROTOCOLS.get(number, str(number)) if family in (AF_INET, AF_INET6) else str(number)
