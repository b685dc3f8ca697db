"""Rules compiled for matching: one table for a list of rules, asked with plain integers and bytes.

An inet table groups its rules by mask, so that a look-up is one `dict.get` for each different prefix length, whatever
the number of rules. `tcp:` and `udp:` rules are filed into a table each, rules without a prefix into all three: the
protocol then costs one index. Everything a look-up yields is a ready `Verdict`.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from supervisor.abi.socket import SOCK_DGRAM, SOCK_STREAM
from supervisor.policy.endpoint import EVERY_PORT, InetEndpoint, Network, UnixEndpoint
from supervisor.policy.kind import Row, SocketKind
from supervisor.policy.verdict import Verdict

Entry4 = tuple[int, int, Verdict]
Entry6 = tuple[int, int, int | None, Verdict]
Group4 = tuple[int, dict[int, tuple[Entry4, ...]]]
Group6 = tuple[int, dict[int, tuple[Entry6, ...]]]
_Match = Callable[[bytes], object]

_EVERY_HOST: Final = (Network(4, 0, 0), Network(6, 0, 0))
_PROTOCOLS: Final = ("tcp", "udp", None)


class InetTable:
    """The inet rules of one list that hold for one of tcp, udp and the rest."""

    __slots__ = ("groups4", "groups6", "ports4", "ports6")

    def __init__(self, rules: Iterable[tuple[InetEndpoint, Verdict]]) -> None:
        by_mask4: dict[int, dict[int, list[Entry4]]] = {}
        by_mask6: dict[int, dict[int, list[Entry6]]] = {}
        for endpoint, verdict in rules:
            for network in (endpoint.host,) if endpoint.host else _EVERY_HOST:
                for low, high in endpoint.ports:
                    if network.version == 4:
                        nets4 = by_mask4.setdefault(network.mask, {})
                        nets4.setdefault(network.address, []).append((low, high, verdict))
                    else:
                        nets6 = by_mask6.setdefault(network.mask, {})
                        nets6.setdefault(network.address, []).append((low, high, network.scope, verdict))
        # Longest prefix first: of several rules that agree, the most specific one is named.
        self.groups4: Final[tuple[Group4, ...]] = tuple(
            (mask, {net: tuple(entries) for net, entries in nets.items()})
            for mask, nets in sorted(by_mask4.items(), reverse=True)
        )
        self.groups6: Final[tuple[Group6, ...]] = tuple(
            (mask, {net: tuple(entries) for net, entries in nets.items()})
            for mask, nets in sorted(by_mask6.items(), reverse=True)
        )
        self.ports4: Final = tuple(entry for _, nets in self.groups4 for entries in nets.values() for entry in entries)
        self.ports6: Final = tuple(
            (low, high, verdict)
            for _, nets in self.groups6
            for entries in nets.values()
            for low, high, _, verdict in entries
        )

    def match4(self, ip: int, port: int) -> Iterator[Verdict]:
        for mask, networks in self.groups4:
            for low, high, verdict in networks.get(ip & mask, ()):
                if low <= port <= high:
                    yield verdict

    def match6(self, ip: int, port: int, scope: int) -> Iterator[Verdict]:
        for mask, networks in self.groups6:
            for low, high, wanted, verdict in networks.get(ip & mask, ()):
                if low <= port <= high and (wanted is None or wanted == scope):
                    yield verdict

    def match6_any_scope(self, ip: int, port: int) -> Iterator[Verdict]:
        """For deny rules against an address without a scope: SO_BINDTODEVICE may supply any."""
        for mask, networks in self.groups6:
            for low, high, _, verdict in networks.get(ip & mask, ()):
                if low <= port <= high:
                    yield verdict

    def touch4(self, port: int) -> Iterator[Verdict]:
        """Rules for that port on any IPv4 address: what a bind to the wildcard would take as well."""
        return (verdict for low, high, verdict in self.ports4 if low <= port <= high)

    def touch6(self, port: int) -> Iterator[Verdict]:
        return (verdict for low, high, verdict in self.ports6 if low <= port <= high)


class InetTables:
    """The inet rules of one list."""

    __slots__ = ("_by_type", "_rest", "covers4", "covers6", "has4", "has6")

    def __init__(self, rules: Iterable[tuple[InetEndpoint, Verdict]]) -> None:
        rules = tuple(rules)
        tcp, udp, rest = (
            InetTable(rule for rule in rules if rule[0].protocol in (None, protocol)) for protocol in _PROTOCOLS
        )
        self._by_type: Final = {SOCK_STREAM: tcp, SOCK_DGRAM: udp}
        self._rest: Final = rest
        self.has4: Final = bool(tcp.ports4 or udp.ports4)
        self.has6: Final = bool(tcp.ports6 or udp.ports6)
        self.covers4: Final = any(_covers(endpoint, 4) for endpoint, _ in rules)
        self.covers6: Final = any(_covers(endpoint, 6) for endpoint, _ in rules)

    def __bool__(self) -> bool:
        return self.has4 or self.has6

    def of(self, type_: int) -> InetTable:
        """The rules for a socket of that SO_TYPE."""
        return self._by_type.get(type_, self._rest)


def _covers(endpoint: InetEndpoint, version: int) -> bool:
    """Whether the one rule holds for every address of the version, every port and every protocol."""
    host = endpoint.host
    every_host = host is None or (host.version == version and host.prefix == 0)
    return endpoint.protocol is None and every_host and endpoint.ports == EVERY_PORT


class UnixTable:
    """The unix rules of one list."""

    __slots__ = ("_abstract", "_abstract_globs", "_path_globs", "_paths", "abstract_all", "everything", "paths")

    def __init__(self, rules: Iterable[tuple[UnixEndpoint, Verdict]]) -> None:
        rules = tuple(rules)
        self.everything: Final = tuple(verdict for rule, verdict in rules if rule.kind == "any")
        self.abstract_all: Final = tuple(
            verdict for rule, verdict in rules if rule.kind == "abstract" and rule.pattern.is_everything
        )
        self.paths: Final = tuple(verdict for rule, verdict in rules if rule.kind == "path")
        self._paths: Final = _literals(rules, "path")
        self._abstract: Final = _literals(rules, "abstract")
        self._path_globs: Final = _globs(rules, "path")
        self._abstract_globs: Final = _globs(rules, "abstract")

    def __bool__(self) -> bool:
        return bool(self.everything or self.paths or self._abstract or self._abstract_globs)

    def match_path(self, path: bytes) -> Iterator[Verdict]:
        yield from self._paths.get(path, ())
        for fullmatch, verdict in self._path_globs:
            if fullmatch(path):
                yield verdict
        yield from self.everything

    def match_abstract(self, name: bytes) -> Iterator[Verdict]:
        yield from self._abstract.get(name, ())
        for fullmatch, verdict in self._abstract_globs:
            if fullmatch(name):
                yield verdict
        yield from self.everything


def _literals(rules: tuple[tuple[UnixEndpoint, Verdict], ...], kind: str) -> dict[bytes, tuple[Verdict, ...]]:
    found: dict[bytes, tuple[Verdict, ...]] = {}
    for rule, verdict in rules:
        name = rule.pattern.literal
        if rule.kind == kind and name is not None:
            found[name] = (*found.get(name, ()), verdict)
    return found


def _globs(rules: tuple[tuple[UnixEndpoint, Verdict], ...], kind: str) -> tuple[tuple[_Match, Verdict], ...]:
    return tuple(
        (rule.pattern.compile(components=kind == "path").fullmatch, verdict)
        for rule, verdict in rules
        if rule.kind == kind and rule.pattern.literal is None
    )


class SocketTable:
    """The socket rules of one list. `wide` reads their names as a deny list does (see `SocketKind.wide_rows`)."""

    __slots__ = ("_any", "_by_family", "_covered", "covers_all")

    def __init__(self, rules: Iterable[tuple[SocketKind, Verdict]], *, wide: bool) -> None:
        self._by_family: Final[dict[int, list[tuple[Row, Verdict]]]] = {}
        self._any: Final[list[Verdict]] = []
        self._covered: Final[set[int]] = set()
        for kind, verdict in rules:
            if kind.family is None:
                self._any.append(verdict)
                continue
            for row in kind.wide_rows() if wide else kind.rows():
                self._by_family.setdefault(kind.family, []).append((row, verdict))
                if row == (None, None):
                    self._covered.add(kind.family)
        self.covers_all: Final = bool(self._any)

    def match_named(self, family: int, type_: int, protocol: int) -> Iterator[Verdict]:
        """The rules that name the family."""
        for (types, protocols), verdict in self._by_family.get(family, ()):
            if (types is None or type_ in types) and (protocols is None or protocol in protocols):
                yield verdict

    def match(self, family: int, type_: int, protocol: int) -> Iterator[Verdict]:
        yield from self.match_named(family, type_, protocol)
        yield from self._any

    @property
    def families(self) -> frozenset[int]:
        """The families that rules name."""
        return frozenset(self._by_family)

    def has(self, family: int) -> bool:
        """Whether some socket of the family matches."""
        return bool(self._any) or family in self._by_family

    def covers_named(self, family: int) -> bool:
        """Whether a rule that names the family matches every socket of it."""
        return family in self._covered

    def covers(self, family: int) -> bool:
        """Whether every socket of the family matches."""
        return bool(self._any) or family in self._covered

    def __bool__(self) -> bool:
        return bool(self._any or self._by_family)
