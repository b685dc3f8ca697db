"""What a program asks for, in the terms in which policy speaks."""

from typing import Final, Literal, NamedTuple

from supervisor.sockets.address import Address

Action = Literal["socket", "bind", "connect", "accept", "send"]
ACTIONS: Final[tuple[Action, ...]] = ("socket", "bind", "connect", "accept", "send")


class Operation(NamedTuple):
    """One operation to be judged.

    `family`, `type` and `protocol` are the socket's (SO_DOMAIN, SO_TYPE, SO_PROTOCOL; for action "socket" the
    arguments of socket(2) with the SOCK_NONBLOCK and SOCK_CLOEXEC bits removed). `address` is the peer's for
    connect, send and accept, the socket's own for bind, None for socket. A pathname is absolute and resolved where
    that was possible.
    """

    action: Action
    family: int
    type: int
    protocol: int
    address: Address | None = None
