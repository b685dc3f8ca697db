"""The socket options, one table: who answers, and how many bytes a value has at most.

An option is answered by the daemon on its duplicate of the socket where that is the same for the program: its value is
plain bytes, and what it may do depends on nothing but credentials. Where the value is a pointer or a descriptor, where
it maps memory, or where it is not in this table, the kernel answers the program itself: no policy depends on the value
of an option, only on its level and name, which are integers.
"""

from typing import Final, NamedTuple

from supervisor.abi import option as abi
from supervisor.abi.inet import (
    IP_OPTIONS,
    IP_RETOPTS,
    IPV6_2292PKTOPTIONS,
    IPV6_2292RTHDR,
    IPV6_FLOWLABEL_MGR,
    IPV6_RTHDR,
)
from supervisor.abi.option import SO_PEERCRED, SOL_IP, SOL_IPV6, SOL_SOCKET, SOL_TCP, SOL_UDP

LARGEST: Final = 4096
"""No value in the table is longer; a program may claim that its buffer is."""


class Option(NamedTuple):
    """One row. `size` is the most that setsockopt reads; `because` says why the kernel answers, "" for the daemon."""

    level: int
    number: int
    name: str
    size: int
    because: str


_POINTER: Final = "its value points into the program"
_DESCRIPTOR: Final = "its value is a descriptor of the program"
_LENGTH: Final = "it writes a length together with an error"
_KERNEL: Final = {
    "SO_ATTACH_FILTER": _POINTER, "SO_ATTACH_REUSEPORT_CBPF": _POINTER,
    "SO_ATTACH_BPF": _DESCRIPTOR, "SO_ATTACH_REUSEPORT_EBPF": _DESCRIPTOR,
    "SO_PEERPIDFD": "its answer is a new descriptor of the program",
    "SO_PEERSEC": _LENGTH, "SO_PEERGROUPS": _LENGTH, "SO_PEERNAME": "its length is an argument, not a limit",
    "SO_CNX_ADVICE": "it is write-only advice about the caller's route",
    "TCP_ZEROCOPY_RECEIVE": "it maps pages into the program", "TCP_REPAIR": "checkpointing tools need the real thing",
    "IPV6_ADDRFORM": "it turns the socket into another family's",
}  # fmt: skip
_SIZES: Final = {
    "SO_LINGER": 8, "SO_RCVTIMEO": 16, "SO_SNDTIMEO": 16, "SO_BINDTODEVICE": 16, "SO_TIMESTAMPING": 8,
    "SO_MAX_PACING_RATE": 8, "SO_TXTIME": 8, "SO_BUF_LOCK": 4,
    "IP_MULTICAST_IF": 12, "IP_ADD_MEMBERSHIP": 12, "IP_DROP_MEMBERSHIP": 12, "IP_UNBLOCK_SOURCE": 12,
    "IP_BLOCK_SOURCE": 12, "IP_ADD_SOURCE_MEMBERSHIP": 12, "IP_DROP_SOURCE_MEMBERSHIP": 12,
    "MCAST_JOIN_GROUP": 136, "MCAST_LEAVE_GROUP": 136, "MCAST_BLOCK_SOURCE": 264, "MCAST_UNBLOCK_SOURCE": 264,
    "MCAST_JOIN_SOURCE_GROUP": 264, "MCAST_LEAVE_SOURCE_GROUP": 264,
    "IPV6_ADD_MEMBERSHIP": 20, "IPV6_DROP_MEMBERSHIP": 20, "IPV6_JOIN_ANYCAST": 20, "IPV6_LEAVE_ANYCAST": 20,
    "TCP_CONGESTION": 16, "TCP_ULP": 16,
}  # fmt: skip
_LEVELS: Final = (
    ("SO_", (SOL_SOCKET,)), ("IP_", (SOL_IP,)), ("MCAST_", (SOL_IP, SOL_IPV6)), ("IPV6_", (SOL_IPV6,)),
    ("TCP_", (SOL_TCP,)), ("UDP_", (SOL_UDP,)),
)


def _rows() -> list[Option]:
    return [
        Option(level, number, name, _SIZES.get(name, 4), _KERNEL.get(name, ""))
        for prefix, levels in _LEVELS
        for level in levels
        for name, number in vars(abi).items()
        if name.startswith(prefix)
    ]


OPTIONS: Final = tuple(_rows())
BY_NUMBER: Final = {(row.level, row.number): row for row in OPTIONS}

TELLS_OF_THE_PEER: Final = frozenset({(SOL_SOCKET, SO_PEERCRED)})
"""Pids and uids in terms of the caller's namespaces."""
CLEARED_BY_READING: Final = frozenset({(SOL_SOCKET, abi.SO_ERROR)})
DIVERTING: Final = frozenset({
    (SOL_IP, IP_OPTIONS), (SOL_IP, IP_RETOPTS), (SOL_IPV6, IPV6_RTHDR), (SOL_IPV6, IPV6_2292RTHDR),
    (SOL_IPV6, IPV6_2292PKTOPTIONS), (SOL_IPV6, IPV6_FLOWLABEL_MGR),
})
"""Options and control messages that send an allowed connection's packets somewhere else first (source routes)."""
