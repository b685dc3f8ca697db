"""What differs between protocol families when an address is judged and used. Siblings never import each other."""

from typing import Final

from supervisor.abi.socket import AF_INET, AF_INET6, AF_UNIX
from supervisor.families.inet import INET
from supervisor.families.other import OTHER
from supervisor.families.provider import Provider
from supervisor.families.unix import UNIX

_PROVIDERS: Final[dict[int, Provider]] = {AF_INET: INET, AF_INET6: INET, AF_UNIX: UNIX}


def provider_of(family: int) -> Provider:
    """The provider of a socket's family (SO_DOMAIN)."""
    return _PROVIDERS.get(family, OTHER)
