"""What all calls of one listener share."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import trio

from supervisor.kernel.identity import Credentials, effective_capabilities, own_credentials
from supervisor.kernel.listener import Listener
from supervisor.kernel.sockets import option_memory
from supervisor.policy.engine import Policy
from supervisor.syscalls.event import Event
from supervisor.syscalls.plan import Mediation
from supervisor.syscalls.waiting import Waiting

MAX_CONTROL: Final = 10 * 1024 * 1024

class Identity:
    """Who this daemon is, and whether acting for somebody can need another identity."""

    def __init__(self) -> None:
        self.credentials: Final[Credentials] = own_credentials()
        self.privileged: Final[bool] = self.credentials.uid == 0 or effective_capabilities() != 0


class Session:
    """One listener: a process tree, the policy it is under, and what became of its calls."""

    def __init__(
        self, ident: str, listener: Listener, policy: Policy, mediation: Mediation, waiting: Waiting,
        report: Callable[[Event], None], *, program: str = "", pid: int = 0, guarded: bool = False,
        landlocked: bool = False, wants_allowed: bool = True,
    ) -> None:
        self.ident: Final = ident
        self.listener: Final = listener
        self.policy: Final = policy
        self.full: Final = mediation == "full"
        self.mediation: Final = mediation
        self.waiting: Final = waiting
        self.report: Final = report
        self.program: Final = program
        self.pid: Final = pid
        # The filter refuses clone(CLONE_FILES) without CLONE_THREAD: a process with one thread has its table alone.
        self.guarded: Final = guarded
        # Did the launcher give up by Landlock what the daemon does for the program?
        self.landlocked: Final = landlocked
        # Are events of allowed calls asked for? They cost several look-ups in /proc.
        self.wants_allowed: Final = wants_allowed
        self.us: Final = Identity()
        self.since: Final = time.time()
        self.calls: Final[Counter[str]] = Counter()
        self.refusals = 0
        self.waiting_calls = 0
        self.unrecorded = 0
        self.tgids: Final[dict[int, int]] = {}
        # A guard against allocations, as in the seed: larger control data is ENOBUFS.
        self.control_limit: Final = min(MAX_CONTROL, option_memory())
        # Look-ups that hang are this session's own trouble.
        self.lookups: Final = trio.CapacityLimiter(8)
