"""The interface between the call layer and a protocol family."""

from typing import NamedTuple, Protocol

from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.paths import ProgramPaths
from supervisor.kernel.sockets import SocketKind
from supervisor.policy.operation import Action
from supervisor.sockets.address import Address


class Target(NamedTuple):
    """Where a call goes: what the policy judges, and the bytes that are given to the kernel for it.

    `keep` must stay open until the call has been performed.
    """

    judged: Address
    raw: bytes
    keep: HostFd | None = None


class Provider(Protocol):
    """One protocol family, or several that behave alike."""

    serviced: bool
    """Under full mediation, are calls on these sockets performed by the daemon even where the policy would let the
    kernel do it? Not where peers or the kernel see who performs them."""

    def address(self, action: Action, kind: SocketKind, raw: bytes) -> Address:
        """The captured bytes as this family's sockets read them for this action. Pure."""
        ...

    def is_hopeless(self, action: Action, kind: SocketKind, address: Address) -> bool:
        """Does the kernel refuse this address for certain on this socket? Then its own errno is the answer, and the
        policy is not asked: nothing can come of it. Pure."""
        ...

    def needs_lookup(self, address: Address) -> bool:
        """Must the address be looked up in a file system before it can be judged?"""
        ...

    def performed(self, action: Action, address: Address, raw: bytes) -> bytes:
        """The bytes for the kernel that mean what was judged, where no look-up is needed. Pure."""
        ...

    def locate(self, action: Action, paths: ProgramPaths, address: Address, raw: bytes) -> Target:
        """Look the address up as the program would. May block: for worker threads. SyscallError as the kernel's."""
        ...
