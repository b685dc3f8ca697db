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
    AF_PACKET,
    AF_SMC,
    AF_UNIX,
    AF_UNSPEC,
    AF_VSOCK,
    SOCK_DCCP,
    SOCK_DGRAM,
    SOCK_PACKET,
    SOCK_RAW,
    SOCK_RDM,
    SOCK_SEQPACKET,
    SOCK_STREAM,
)

_FAMILIES: Final = {
    AF_UNSPEC: "unspec", AF_UNIX: "unix", AF_INET: "inet", AF_INET6: "inet6", AF_NETLINK: "netlink",
    AF_PACKET: "packet", AF_VSOCK: "vsock", AF_SMC: "smc",
}
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
    return _FAMILIES.get(number, str(number))


def type_name(number: int) -> str:
    """"stream", or the number as text."""
    return _TYPES.get(number, str(number))


def protocol_name(family: int, number: int) -> str:
    """"tcp" or "route", as the family means the number; the number as text otherwise."""
    if family == AF_NETLINK:
        return _NETLINK.get(number, str(number))
    return _PROTOCOLS.get(number, str(number)) if family in (AF_INET, AF_INET6) else str(number)
