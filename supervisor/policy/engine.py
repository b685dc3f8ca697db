"""The judge: one operation in, one verdict out, and the reasons when asked.

Every answer is one stream of verdicts, strongest first: deny rules, allow rules, what stands in for missing lists, the
default. `decide` takes the first, `explain` reads on, so the two cannot disagree. The order of rules in the file is no
part of it.

Deny rules are read generously and allow rules by the letter. A deny matches the address as given and as normalised,
the wildcard bind that would take a denied address along, and a pathname that could not be resolved; an allow rule
matches the normalised address only.
"""

import errno as _errno
from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple

from supervisor.abi.socket import AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX
from supervisor.policy.kind import BESIDE_INET, INET_FAMILIES, SocketKind, is_judged, parse_kind, real_family
from supervisor.policy.lists import Lists, Ruled, denied_by_unspecified6, socket_kinds
from supervisor.policy.match import SocketTable
from supervisor.policy.normalise import LOOPBACK4, LOOPBACK6, MAPPED, is_resolved, is_untidy, normalise, squeeze
from supervisor.policy.operation import ACTIONS, Action, Operation
from supervisor.policy.rule import Effect, Rule
from supervisor.policy.verdict import Verdict
from supervisor.sockets.address import Address, Inet4, Inet6, UnixAbstract, UnixPath, UnixUnnamed, Unspec

Default = Literal["allow", "deny"]
UnixMode = Literal["continue", "perform"]

IMPLIED_SOCKETS: Final = ("inet", "inet6", "unix", "netlink:route")
"""What `default = "deny"` still lets a program make when it has no socket.allow: other rules judge these."""

_ADDRESS_FAMILIES: Final = frozenset({AF_INET, AF_INET6, AF_UNIX})
_DISSOLVES: Final = Verdict(True, "AF_UNSPEC dissolves", 0)


class Explanation(NamedTuple):
    """`verdict` with the rule that gave it, the `lost` rules that matched too, and the address as it was compared."""

    verdict: Verdict
    lost: tuple[str, ...]
    normalised: Address | None


class Policy:
    """An immutable policy: every question about it is pure, and asking `decide` costs two or three microseconds.

    `errno` is what refused calls return, `unix` how allowed unix connects and sends are carried out, `keep_dumpable`
    whether the program is kept readable, `landlock` whether the kernel holds a second line. `default_rule` names the
    default in verdicts.
    """

    __slots__ = (
        "_allow_sockets", "_default", "_deny_sockets", "_guard", "_implied", "_lists", "_refusable", "errno",
        "keep_dumpable", "landlock", "name", "unix",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        rules: Iterable[Rule] = (),
        *,
        default: Default = "deny",
        errno: int = _errno.EACCES,
        unix: UnixMode = "continue",
        keep_dumpable: bool = False,
        landlock: bool = True,
        default_rule: str | None = None,
    ) -> None:
        self.name: Final = name
        self.errno: Final = errno
        self.unix: Final[UnixMode] = unix
        self.keep_dumpable: Final = keep_dumpable
        self.landlock: Final = landlock
        self._default: Final = self._verdict(default == "allow", default_rule or f'policy.{name}.default "{default}"')
        rules = tuple(rules)
        self._deny_sockets: Final = SocketTable(socket_kinds(self._select(rules, ("socket",), "deny")), wide=True)
        allowed_sockets = self._select(rules, ("socket",), "allow")
        self._allow_sockets: Final = SocketTable(socket_kinds(allowed_sockets), wide=False)
        self._implied: Final = SocketTable(() if allowed_sockets else self._implied_sockets(), wide=False)
        self._lists: Final = {action: self._compile(action, rules) for action in ACTIONS if action != "socket"}
        # Under default "allow" a raw or MPTCP socket would walk around every deny rule on addresses.
        self._refusable: Final[dict[tuple[Action, int | None], bool]] = {}
        self._guard: Final = default == "allow" and any(
            bool(self._lists[action].deny_inet) for action in ("bind", "connect", "send")
        )

    def _verdict(self, allowed: bool, rule: str) -> Verdict:
        return Verdict(allowed, rule, 0 if allowed else self.errno)

    def _select(self, rules: tuple[Rule, ...], actions: tuple[Action, ...], effect: Effect) -> Ruled:
        return [
            (rule, self._verdict(effect == "allow", str(rule)))
            for rule in rules
            if rule.action in actions and rule.effect == effect
        ]

    def _implied_sockets(self) -> Iterator[tuple[SocketKind, Verdict]]:
        for text in IMPLIED_SOCKETS:
            reason = f'policy.{self.name}: no socket.allow rules, so "{text}" is left to the other rules'
            yield parse_kind(text), self._verdict(True, reason)

    def _compile(self, action: Action, rules: tuple[Rule, ...]) -> Lists:
        # A datagram that carries its address is a connection of one packet.
        actions: tuple[Action, ...] = ("send", "connect") if action == "send" else (action,)
        deny = self._select(rules, actions, "deny")
        allow = self._select(rules, actions, "allow")
        fallback = self._default
        if action == "accept" and not allow:
            # The bind has been judged; who may come in is restricted by those who say so.
            missing = "accept.allow" if deny else "accept"
            fallback = self._verdict(True, f"policy.{self.name}: no {missing} rules")
        return Lists(deny, allow, fallback)

    def decide(self, operation: Operation) -> Verdict:
        """Judge one operation. Never raises, whatever integers the program gave."""
        return next(self._answers(operation))

    def explain(self, operation: Operation) -> Explanation:
        """The verdict of `decide`, with the matching rules that lost."""
        *verdicts, fallback = self._answers(operation)
        winner = verdicts[0] if verdicts else fallback
        lost = dict.fromkeys(verdict.rule for verdict in verdicts if verdict.rule != winner.rule)
        address = operation.address
        normalised = None if address is None else normalise(operation.action, address)
        return Explanation(winner, tuple(lost), normalised)

    def _answers(self, operation: Operation) -> Iterator[Verdict]:
        """All verdicts on the operation, strongest first; the last one is what holds without rules."""
        action, family, type_, protocol, address = operation
        if action == "socket":
            return self._on_socket(family, type_, protocol)
        lists = self._lists[action]
        if isinstance(address, Inet4):
            return self._on_inet4(action, lists, type_, address)
        if isinstance(address, Inet6):
            if address.ip >> 32 == MAPPED and not lists.deny_inet.has6:
                # The usual thing for programs that only open IPv6 sockets: skip a layer.
                return self._on_inet4(action, lists, type_, Inet4(address.ip & 0xFFFFFFFF, address.port))
            return self._on_inet6(action, lists, type_, address)
        if isinstance(address, UnixPath):
            return self._on_path(lists, address.path)
        if isinstance(address, UnixAbstract):
            return self._on_abstract(lists, address.name)
        if isinstance(address, UnixUnnamed):
            return self._on_unnamed(action, lists)
        if isinstance(address, Unspec) and action == "connect":
            return iter((_DISSOLVES,))
        return self._on_other(lists, family, type_, protocol)

    def _on_inet4(self, action: Action, lists: Lists, type_: int, address: Inet4) -> Iterator[Verdict]:
        ip, port = address
        deny, allow = lists.by_type.get(type_, lists.rest)
        yield from deny.match4(ip, port)
        if not ip:
            if action == "bind":
                yield from deny.touch4(port)
            elif action != "accept":
                ip = LOOPBACK4
                yield from deny.match4(ip, port)
        yield from allow.match4(ip, port)
        yield lists.fallback

    def _on_inet6(self, action: Action, lists: Lists, type_: int, address: Inet6) -> Iterator[Verdict]:
        ip, port, scope, _ = address
        deny, allow = lists.by_type.get(type_, lists.rest)
        yield from deny.match6(ip, port, scope) if scope else deny.match6_any_scope(ip, port)
        if ip >> 32 == MAPPED:
            yield from self._on_inet4(action, lists, type_, Inet4(ip & 0xFFFFFFFF, port))
            return
        if not ip:
            yield from denied_by_unspecified6(action, deny, port)
            if action in ("connect", "send"):
                ip = LOOPBACK6
        yield from allow.match6(ip, port, scope)
        yield lists.fallback

    def _on_path(self, lists: Lists, path: bytes) -> Iterator[Verdict]:
        deny, allow = lists.deny_unix, lists.allow_unix
        if is_untidy(path):
            path = squeeze(path)
            if not is_resolved(path):
                # It may lead anywhere: to what is denied, and not for certain to what is allowed.
                yield from deny.paths
                yield from deny.everything
                yield from allow.everything
                yield lists.fallback
                return
        yield from deny.match_path(path)
        yield from allow.match_path(path)
        yield lists.fallback

    def _on_abstract(self, lists: Lists, name: bytes) -> Iterator[Verdict]:
        yield from lists.deny_unix.match_abstract(name)
        yield from lists.allow_unix.match_abstract(name)
        yield lists.fallback

    def _on_unnamed(self, action: Action, lists: Lists) -> Iterator[Verdict]:
        for table in (lists.deny_unix, lists.allow_unix):
            if action == "bind":
                # Autobind: the kernel picks an abstract name.
                yield from table.abstract_all
            yield from table.everything
        yield lists.fallback

    def _on_other(self, lists: Lists, family: int, type_: int, protocol: int) -> Iterator[Verdict]:
        """Addresses that no rule spells: of another family, unreadable, or missing.

        Sockets of other families were judged when they were made, which is enough under default "allow". Under "deny"
        such a socket may be used when a rule names it; netlink also when it may be made, since the kernel judges its
        messages by their sender.
        """
        if not lists.fallback.allowed and family == AF_NETLINK:
            yield from self._on_socket(family, type_, protocol)
            return
        if not lists.fallback.allowed and family not in _ADDRESS_FAMILIES:
            yield from self._deny_sockets.match(family, type_, protocol)
            yield from self._allow_sockets.match_named(family, type_, protocol)
        yield lists.fallback

    def _on_socket(self, family: int, type_: int, protocol: int) -> Iterator[Verdict]:
        yield from self._deny_sockets.match(family, type_, protocol)
        made = real_family(family, type_)
        if made != family:
            yield from self._deny_sockets.match(made, type_, protocol)
        yield from self._allow_sockets.match(made, type_, protocol)
        if self._guard and (made in BESIDE_INET or (made in INET_FAMILIES and not is_judged(type_, protocol))):
            yield self._unjudged()
        yield from self._implied.match(made, type_, protocol)
        yield self._default

    def _unjudged(self) -> Verdict:
        reason = "bind, connect and send rules cannot judge this kind of socket; socket.allow can name it"
        return self._verdict(False, f"policy.{self.name}: {reason}")

    def can_refuse(self, action: Action, family: int | None = None) -> bool:
        """Whether some operation of that action on a socket of that family is refused; None is any family.

        False is a promise; True may be said when only several allow rules together cover everything. Addresses that
        the kernel itself refuses on the family are not counted. Asked on every call, so worked out once.
        """
        answer = self._refusable.get((action, family))
        if answer is None:
            answer = self._refusable[action, family] = self._may_refuse(action, family)
        return answer

    def _may_refuse(self, action: Action, family: int | None) -> bool:
        if family is None:
            families = (AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, *BESIDE_INET, *self._deny_sockets.families, -1)
            return any(self.can_refuse(action, each) for each in families)
        if action == "socket":
            return self._can_refuse_socket(family)
        lists = self._lists[action]
        if family == AF_UNIX:
            return lists.can_refuse_unix()
        if family in INET_FAMILIES:
            return lists.can_refuse_inet(family)
        if family in BESIDE_INET and lists.can_refuse_inet(AF_INET6):
            return True
        if lists.fallback.allowed:
            return False
        if family == AF_NETLINK:
            return self._can_refuse_socket(family)
        return self._deny_sockets.has(family) or not self._allow_sockets.covers_named(family)

    def _can_refuse_socket(self, family: int) -> bool:
        # socket(AF_INET, SOCK_PACKET) makes a packet socket.
        for made in (AF_INET, AF_PACKET) if family == AF_INET else (family,):
            if self._deny_sockets.has(made):
                return True
            guarded = self._guard and (made in INET_FAMILIES or made in BESIDE_INET)
            if not (
                (self._default.allowed and not guarded)
                or self._allow_sockets.covers(made)
                or self._implied.covers(made)
            ):
                return True
        return False


ALLOW_ALL: Final = Policy("allow-all", default="allow", default_rule="no policy")
"""What holds when no policy was given."""
