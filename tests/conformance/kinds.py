"""The kinds of socket a case is run for."""

import socket as s
from typing import NamedTuple


class Kind(NamedTuple):
    """`naming` says how its addresses look: inet, path, abstract; a pair has none."""

    name: str
    family: int
    type: int
    naming: str
    nonblock: bool = False

    @property
    def connects(self) -> bool:
        """Has listen and accept."""
        return self.type in (s.SOCK_STREAM, s.SOCK_SEQPACKET)

    @property
    def unix(self) -> bool:
        return self.family == s.AF_UNIX


TCP4 = Kind("tcp4", s.AF_INET, s.SOCK_STREAM, "inet")
TCP6 = Kind("tcp6", s.AF_INET6, s.SOCK_STREAM, "inet")
UDP4 = Kind("udp4", s.AF_INET, s.SOCK_DGRAM, "inet")
UDP6 = Kind("udp6", s.AF_INET6, s.SOCK_DGRAM, "inet")

_UNIX = {"stream": s.SOCK_STREAM, "dgram": s.SOCK_DGRAM, "seqpacket": s.SOCK_SEQPACKET}


def _unix(naming: str) -> tuple[Kind, ...]:
    return tuple(Kind(f"{name}-{naming}", s.AF_UNIX, number, naming) for name, number in _UNIX.items())


STREAM_PATH, DGRAM_PATH, SEQ_PATH = PATH = _unix("path")
STREAM_ABSTRACT, DGRAM_ABSTRACT, SEQ_ABSTRACT = ABSTRACT = _unix("abstract")
STREAM_PAIR, DGRAM_PAIR, SEQ_PAIR = PAIRS = _unix("pair")

TCP = (TCP4, TCP6)
UDP = (UDP4, UDP6)
INET = TCP + UDP
UNIX = PATH + ABSTRACT
NAMED = INET + UNIX
ALL = NAMED + PAIRS
LISTENING = tuple(kind for kind in NAMED if kind.connects)
STREAMS = tuple(kind for kind in ALL if kind.type == s.SOCK_STREAM)
CONNECTED = tuple(kind for kind in ALL if kind.connects)
DATAGRAM = tuple(kind for kind in ALL if kind.type == s.SOCK_DGRAM)
PLAIN = (TCP4, TCP6, UDP4, UDP6, STREAM_PATH, DGRAM_PATH, SEQ_PATH)
"""One of each protocol, where the naming makes no difference."""


def nonblocking(kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
    return tuple(kind._replace(name=f"{kind.name}-nb", nonblock=True) for kind in kinds)


def both(kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
    """Blocking and non-blocking."""
    return kinds + nonblocking(kinds)
