"""Endpoints: where a rule of connect, bind, accept or send points, from its text and back.

An endpoint is `[tcp:|udp:]HOST:PORTS` or `unix:NAME`. This module only reads; what a host or a name *matches* is in
`match`. Every text gives a value or an `EndpointError` that says what was expected: nothing else escapes.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, Literal, NamedTuple, cast

from supervisor.policy.glob import Glob, GlobError, parse_glob

Protocol = Literal["tcp", "udp"]
Span = tuple[int, int]
"""Ports from the first to the last, both included."""

EVERY_PORT: Final[tuple[Span, ...]] = ((0, 65535),)
_MAPPED: Final = 0xFFFF << 32
_HOST_NAME: Final = re.compile(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
_MISSING_PORT: Final = "a port is missing: write ADDRESS:PORT, or ADDRESS:* for every port"


class EndpointError(ValueError):
    """The text is not an endpoint; str() says what was expected."""


class Network(NamedTuple):
    """The addresses of one version that share their first `prefix` bits; `scope` is an interface's index or any."""

    version: Literal[4, 6]
    address: int
    prefix: int
    scope: int | None = None

    @property
    def bits(self) -> int:
        return 32 if self.version == 4 else 128

    @property
    def mask(self) -> int:
        return (1 << self.bits) - (1 << (self.bits - self.prefix))

    def __str__(self) -> str:
        suffix = "" if self.prefix == self.bits else f"/{self.prefix}"
        if self.version == 4:
            return f"{IPv4Address(self.address)}{suffix}"
        scope = "" if self.scope is None else f"%{self.scope}"
        return f"[{IPv6Address(self.address)}{scope}{suffix}]"


class InetEndpoint(NamedTuple):
    """`host` None is every inet address, `protocol` None every protocol; `ports` ascend and do not touch."""

    protocol: Protocol | None
    host: Network | None
    ports: tuple[Span, ...]

    def __str__(self) -> str:
        prefix = f"{self.protocol}:" if self.protocol else ""
        ports = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in self.ports)
        return f"{prefix}{self.host or '*'}:{'*' if self.ports == EVERY_PORT else ports}"


class UnixEndpoint(NamedTuple):
    """`kind` "any" is every unix address and has no pattern."""

    kind: Literal["any", "path", "abstract"]
    pattern: Glob

    def __str__(self) -> str:
        return {"any": "unix:*", "path": f"unix:{self.pattern}", "abstract": f"unix:@{self.pattern}"}[self.kind]


Endpoint = InetEndpoint | UnixEndpoint


def parse_endpoint(text: str) -> Endpoint:
    """Parse the text of one rule. Raises `EndpointError`."""
    if text.startswith("unix:"):
        return _parse_unix(text.removeprefix("unix:"))
    if text.startswith(("/", "@")):
        raise EndpointError(f'a unix socket is written "unix:{text}"')
    protocol, colon, rest = text.partition(":")
    if not colon or protocol not in ("tcp", "udp"):
        return _parse_inet(None, text)
    return _parse_inet(cast("Protocol", protocol), rest)


def _parse_unix(name: str) -> UnixEndpoint:
    try:
        if name == "*":
            return UnixEndpoint("any", Glob(()))
        if name.startswith("@"):
            return UnixEndpoint("abstract", parse_glob(name[1:], components=False))
        if name.startswith("/"):
            return UnixEndpoint("path", _parse_path(name))
    except GlobError as error:
        raise EndpointError(str(error)) from None
    raise EndpointError('must be an absolute path ("unix:/path"), an abstract name ("unix:@name") or "unix:*"')


def _parse_path(path: str) -> Glob:
    pattern = parse_glob(path, components=True)
    if any(b"\0" in token for token in pattern.tokens if isinstance(token, bytes)):
        raise EndpointError("a path holds no NUL")
    # Paths are compared after such components are gone: the rule would never match.
    if any(component in ("", ".", "..") for component in path[1:].split("/")):
        raise EndpointError('a path has no empty, "." or ".." component and does not end in "/"')
    return pattern


def _parse_inet(protocol: Protocol | None, text: str) -> InetEndpoint:
    host_text, ports_text = _split(text)
    host = _parse_host(host_text)
    if ports_text is None:
        raise EndpointError(_MISSING_PORT)
    return InetEndpoint(protocol, host, _parse_ports(ports_text))


def _split(text: str) -> tuple[str, str | None]:
    """The host with its prefix length, and the ports: None when there is no colon for them."""
    if not text.startswith("["):
        if text.count(":") > 1:
            raise EndpointError('an IPv6 address goes in brackets ("[::1]:80"); prefixes are tcp:, udp: and unix:')
        host, colon, ports = text.partition(":")
        return host, ports if colon else None
    inside, bracket, rest = text[1:].partition("]")
    if not bracket:
        raise EndpointError("[ has no closing ]")
    length, colon, ports = rest.partition(":")
    if length and not length.startswith("/"):
        raise EndpointError('] is followed by ":PORT" or by "/PREFIX:PORT"')
    if length and "/" in inside:
        raise EndpointError("the prefix length is given twice")
    return f"[{inside}{length}]", ports if colon else None


def _parse_host(text: str) -> Network | None:
    if text == "*":
        return None
    if text.startswith("["):
        return _parse_ipv6(text[1:-1])
    address, slash, length = text.partition("/")
    try:
        value = int(IPv4Address(address))
    except AddressValueError:
        if re.search("[A-Za-z]", address) and _HOST_NAME.fullmatch(address):
            raise EndpointError("host names are not supported yet: use an address") from None
        raise EndpointError("must be an IPv4 address, an IPv6 address in brackets, or *") from None
    prefix = _parse_prefix(length, 32) if slash else 32
    return _checked(Network(4, value, prefix))


def _parse_ipv6(text: str) -> Network:
    rest, slash, length = text.partition("/")
    address, percent, scope_text = rest.partition("%")
    try:
        value = int(IPv6Address(address))
    except AddressValueError:
        raise EndpointError("there is no IPv6 address between the brackets") from None
    prefix = _parse_prefix(length, 128) if slash else 128
    scope = _parse_scope(scope_text, value) if percent else None
    if value & ~0xFFFFFFFF == _MAPPED and prefix >= 96:
        # The kernel sends these as IPv4, and operations are normalised the same way before they are compared.
        return _checked(Network(4, value & 0xFFFFFFFF, prefix - 96))
    return _checked(Network(6, value, prefix, scope))


def _parse_prefix(text: str, bits: int) -> int:
    if not _is_number(text, 3) or int(text) > bits:
        raise EndpointError(f"prefix must be 0 to {bits}")
    return int(text)


def _parse_scope(text: str, address: int) -> int:
    if not _is_number(text, 10) or not 0 < int(text) < 1 << 32:
        raise EndpointError("a scope must be an interface's index: names are not looked up (`ip link` shows both)")
    if not needs_scope(address):
        raise EndpointError("only link-local addresses have a scope: the kernel ignores it on this one")
    return int(text)


def needs_scope(address: int) -> bool:
    """Whether the kernel looks at sin6_scope_id: `__ipv6_addr_needs_scope_id`."""
    top = address >> 112
    return top & 0xFFC0 == 0xFE80 or top & 0xFF0F in (0xFF01, 0xFF02)


def _checked(network: Network) -> Network:
    base = network._replace(address=network.address & network.mask)
    if base.address == network.address:
        return network
    alone = network._replace(prefix=network.bits)
    raise EndpointError(f"has bits set past the prefix: the network is {base}, the one address {alone}")


def _parse_ports(text: str) -> tuple[Span, ...]:
    if text == "*":
        return EVERY_PORT
    if not text:
        raise EndpointError(_MISSING_PORT)
    merged: list[Span] = []
    for low, high in sorted(map(_parse_span, text.split(","))):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _parse_span(text: str) -> Span:
    low, dash, high = text.partition("-")
    first = _parse_port(low)
    last = _parse_port(high) if dash else first
    if last < first:
        raise EndpointError(f"port range {text} runs backwards")
    return first, last


def _parse_port(text: str) -> int:
    if not _is_number(text, 5) or int(text) > 65535:
        raise EndpointError(f'port "{text}" must be 0 to 65535, a range ("8000-8999"), a list ("80,443") or *')
    return int(text)


def _is_number(text: str, digits: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= digits
