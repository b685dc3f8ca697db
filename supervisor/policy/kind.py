"""Kinds of sockets: what a rule of `socket` names, from its text and back.

A kind is `FAMILY` or `FAMILY:KIND`, or `*`. The point of the table below is what the plain names leave out: `inet` is
only what the other rules can judge. A raw or packet socket writes its own headers; MPTCP and SCTP move an allowed
connection to addresses that nobody asked about; those have to be named.
"""

from typing import Final, NamedTuple

from supervisor.abi.inet import (
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_MPTCP,
    IPPROTO_SCTP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPPROTO_UDPLITE,
)
from supervisor.abi.names import FAMILIES, FAMILY_NAMES
from supervisor.abi.netlink import NETLINK_PROTOCOLS
from supervisor.abi.socket import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_PACKET,
    SOCK_DCCP,
    SOCK_DGRAM,
    SOCK_PACKET,
    SOCK_RAW,
    SOCK_RDM,
    SOCK_SEQPACKET,
    SOCK_STREAM,
)

_NETLINK_NAMES: Final = {number: name for name, number in NETLINK_PROTOCOLS.items()}

INET_FAMILIES: Final = frozenset({AF_INET, AF_INET6})
BESIDE_INET: Final = frozenset(FAMILIES[name] for name in ("packet", "smc", "rds", "pppox", "rxrpc", "tipc", "xdp"))
"""Families whose packets leave by the same wires as inet's, and which address rules do not see."""

_IPPROTO_SMC: Final = 256

Row = tuple[frozenset[int] | None, frozenset[int] | None]
"""Types and protocols that go together; None is every one."""


def _row(types: set[int] | None, protocols: set[int] | None) -> Row:
    return None if types is None else frozenset(types), None if protocols is None else frozenset(protocols)


EVERYTHING: Final[tuple[Row, ...]] = (_row(None, None),)
_PLAIN_INET: Final = (
    _row({SOCK_STREAM}, {0, IPPROTO_TCP}),
    _row({SOCK_DGRAM}, {0, IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_ICMP, IPPROTO_ICMPV6}),
)
_INET: Final = {
    "": _PLAIN_INET,
    "stream": (_row({SOCK_STREAM}, {0, IPPROTO_TCP}),),
    "dgram": (_row({SOCK_DGRAM}, {0, IPPROTO_UDP}),),
    "udplite": (_row({SOCK_DGRAM}, {IPPROTO_UDPLITE}),),
    "icmp": (_row({SOCK_DGRAM}, {IPPROTO_ICMP, IPPROTO_ICMPV6}),),
    "mptcp": (_row({SOCK_STREAM}, {IPPROTO_MPTCP}),),
    # Without a protocol the kernel takes the first of that type, and the only one of SEQPACKET is SCTP.
    "sctp": (_row({SOCK_STREAM, SOCK_SEQPACKET}, {IPPROTO_SCTP}), _row({SOCK_SEQPACKET}, {0})),
    "dccp": (_row({SOCK_DCCP}, None),),
    "smc": (_row({SOCK_STREAM}, {_IPPROTO_SMC}),),
    "raw": (_row({SOCK_RAW}, None),),
}
_TYPES: Final = {
    "stream": SOCK_STREAM, "dgram": SOCK_DGRAM, "raw": SOCK_RAW, "rdm": SOCK_RDM, "seqpacket": SOCK_SEQPACKET,
}  # fmt: skip


class KindError(ValueError):
    """The text names no kind of socket; str() says what was expected."""


class SocketKind(NamedTuple):
    """`family` None is every family; `kind` is "" for the plain name, "*", a name, or a protocol's number."""

    family: int | None
    kind: str = ""

    def __str__(self) -> str:
        if self.family is None:
            return "*"
        name = FAMILY_NAMES.get(self.family, str(self.family))
        return f"{name}:{self.kind}" if self.kind else name

    def rows(self) -> tuple[Row, ...]:
        """What an allow rule covers: no more than its words say."""
        if self.kind.isdigit():
            return (_row(None, {int(self.kind)}),)
        if self.family == AF_NETLINK and self.kind in NETLINK_PROTOCOLS:
            return (_row(None, {NETLINK_PROTOCOLS[self.kind]}),)
        if self.family in INET_FAMILIES and self.kind in _INET:
            return _INET[self.kind]
        return (_row({_TYPES[self.kind]}, None),) if self.kind in _TYPES else EVERYTHING

    def wide_rows(self) -> tuple[Row, ...]:
        """What a deny rule covers: who refuses `inet` means raw and MPTCP as well, and by `inet:stream` MPTCP."""
        if self.kind in _TYPES:
            return (_row({_TYPES[self.kind]}, None),)
        return self.rows() if self.kind else EVERYTHING

    def example(self) -> tuple[int, int, int]:
        """Arguments of socket(2) of this kind, the most usual ones, for `explain`."""
        types, protocols = self.rows()[0]
        usual = SOCK_STREAM if self.family is None or self.family != AF_NETLINK else SOCK_RAW
        type_ = usual if types is None or usual in types else min(types)
        if types is None and self.family == AF_PACKET:
            type_ = SOCK_RAW
        protocol = 0 if protocols is None or 0 in protocols else min(protocols)
        if self.kind == "icmp" and self.family == AF_INET6:
            protocol = IPPROTO_ICMPV6
        return AF_INET if self.family is None else self.family, type_, protocol


def parse_kind(text: str) -> SocketKind:
    """Parse the text of one socket rule. Raises `KindError`."""
    if text == "*":
        return SocketKind(None)
    name, colon, kind = text.partition(":")
    family = int(name) if _is_number(name) else FAMILIES.get(name)
    if family is None:
        raise KindError("must be a family (inet, inet6, unix, netlink, packet, vsock, ...), FAMILY:KIND, or *")
    if not colon:
        return SocketKind(family)
    return SocketKind(family, _canonical(family, kind))


def _canonical(family: int, kind: str) -> str:
    known = _known(family)
    if kind in known:
        return kind
    if _is_number(kind) and (family == AF_NETLINK or family in INET_FAMILIES):
        number = int(kind)
        return _NETLINK_NAMES.get(number, str(number)) if family == AF_NETLINK else str(number)
    number_too = " or a protocol number" if family == AF_NETLINK or family in INET_FAMILIES else ""
    name = FAMILY_NAMES.get(family, str(family))
    raise KindError(f'after "{name}:" comes one of {", ".join(known)}{number_too}')


def _known(family: int) -> tuple[str, ...]:
    if family == AF_NETLINK:
        return ("*", *NETLINK_PROTOCOLS)
    return ("*", *(name for name in (_INET if family in INET_FAMILIES else _TYPES) if name))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def is_judged(type_: int, protocol: int) -> bool:
    """Whether rules on addresses can judge what this inet socket sends."""
    return any(
        (types is None or type_ in types) and (protocols is None or protocol in protocols)
        for types, protocols in _PLAIN_INET
    )


def real_family(family: int, type_: int) -> int:
    """The family that the kernel makes: `__sock_create` turns (AF_INET, SOCK_PACKET) into a packet socket."""
    return AF_PACKET if family == AF_INET and type_ == SOCK_PACKET else family
