"""The lists of one action, compiled: what the engine asks.

Rules are selected here by what they point at, and those that name the unspecified address are turned into what the
kernel makes of it, as `normalise` does for operations.
"""

from collections.abc import Iterator
from typing import Final

from supervisor.abi.socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_STREAM
from supervisor.policy.endpoint import InetEndpoint, Network, UnixEndpoint
from supervisor.policy.kind import SocketKind
from supervisor.policy.match import InetTable, InetTables, UnixTable
from supervisor.policy.normalise import LOOPBACK4, LOOPBACK6
from supervisor.policy.operation import Action
from supervisor.policy.rule import Rule
from supervisor.policy.verdict import Verdict

Ruled = list[tuple[Rule, Verdict]]
"""Rules, each with the verdict that it gives."""


class Lists:
    """The compiled lists of one action on addresses, and the verdict when none of them matches."""

    __slots__ = ("allow_inet", "allow_unix", "by_type", "deny_inet", "deny_unix", "fallback", "rest")

    def __init__(self, deny: Ruled, allow: Ruled, fallback: Verdict) -> None:
        self.deny_inet: Final = InetTables(_inet(deny))
        self.allow_inet: Final = InetTables(_inet(allow))
        self.deny_unix: Final = UnixTable(_unix(deny))
        self.allow_unix: Final = UnixTable(_unix(allow))
        self.fallback: Final = fallback
        self.by_type: Final = {
            type_: (self.deny_inet.of(type_), self.allow_inet.of(type_)) for type_ in (SOCK_STREAM, SOCK_DGRAM)
        }
        self.rest: Final = (self.deny_inet.of(-1), self.allow_inet.of(-1))

    def can_refuse_inet(self, family: int) -> bool:
        """See `Policy.can_refuse`. An IPv6 socket reaches IPv4 as well."""
        deny, allow = self.deny_inet, self.allow_inet
        if deny.has4 or (deny.has6 and family == AF_INET6):
            return True
        return not (self.fallback.allowed or (allow.covers4 and (allow.covers6 or family == AF_INET)))

    def can_refuse_unix(self) -> bool:
        return bool(self.deny_unix) or not (self.fallback.allowed or self.allow_unix.everything)


def _inet(rules: Ruled) -> Iterator[tuple[InetEndpoint, Verdict]]:
    for rule, verdict in rules:
        if isinstance(rule.target, InetEndpoint):
            yield _reached(rule), verdict


def _reached(rule: Rule) -> InetEndpoint:
    """A rule that names the unspecified address itself means what the kernel makes of it, as an operation does."""
    target = rule.target
    assert isinstance(target, InetEndpoint)
    host = target.host
    if rule.action not in ("connect", "send") or host is None or host.address or host.prefix != host.bits:
        return target
    return target._replace(host=Network(host.version, LOOPBACK4 if host.version == 4 else LOOPBACK6, host.bits))


def _unix(rules: Ruled) -> Iterator[tuple[UnixEndpoint, Verdict]]:
    return ((rule.target, verdict) for rule, verdict in rules if isinstance(rule.target, UnixEndpoint))


def socket_kinds(rules: Ruled) -> Iterator[tuple[SocketKind, Verdict]]:
    return ((rule.target, verdict) for rule, verdict in rules if isinstance(rule.target, SocketKind))


def denied_by_unspecified6(action: Action, deny: InetTable, port: int) -> Iterator[Verdict]:
    """Deny rules against `::`: of what it stands for, which for bind is everything, IPv4 too (dual stack)."""
    if action == "bind":
        yield from deny.touch6(port)
        yield from deny.touch4(port)
    elif action != "accept":
        yield from deny.match6_any_scope(LOOPBACK6, port)
        yield from deny.match4(LOOPBACK4, port)
