"""Every family without a provider of its own: netlink, packet, vsock and the rest.

Which of these sockets a program may have is decided at socket(2). Their addresses are judged as the policy says of the
family; messages are sent with the program's credentials, because netlink judges its senders.
"""

from typing import Final

from supervisor.families.provider import Target
from supervisor.kernel.paths import ProgramPaths
from supervisor.kernel.sockets import SocketKind
from supervisor.policy.operation import Action
from supervisor.sockets.address import Address, parse_address


class Other:
    """Families whose addresses are bytes to us."""

    serviced = False

    def address(self, _action: Action, _kind: SocketKind, raw: bytes) -> Address:
        return parse_address(raw)

    def is_hopeless(self, _action: Action, _kind: SocketKind, _address: Address) -> bool:
        return False

    def needs_lookup(self, _address: Address) -> bool:
        return False

    def locate(self, _action: Action, _paths: ProgramPaths, address: Address, raw: bytes) -> Target:
        return Target(address, raw)

    def performed(self, _action: Action, _address: Address, raw: bytes) -> bytes:
        return raw


OTHER: Final = Other()
