"""What is recorded of a call."""

from typing import Literal, NamedTuple

from supervisor.kernel.sockets import SocketKind
from supervisor.policy.verdict import Verdict
from supervisor.sockets.address import Address

How = Literal["continued", "performed", "refused", "failed"]


class Event(NamedTuple):
    """One decision, as it is logged and counted. `started` is time.time(), `duration` seconds."""

    started: float
    duration: float
    session: str
    policy: str
    pid: int
    tid: int
    exe: str
    call: str
    kind: SocketKind | None
    asked: Address | None
    performed: Address | None
    verdict: Verdict | None
    how: How
    errno: int
    note: str
