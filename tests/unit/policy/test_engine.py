import errno
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from supervisor.abi.socket import AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_SMC, AF_UNIX, AF_VSOCK
from supervisor.policy.endpoint import EVERY_PORT, InetEndpoint, Network, UnixEndpoint
from supervisor.policy.engine import ALLOW_ALL, Policy
from supervisor.policy.kind import SocketKind
from supervisor.policy.normalise import normalise
from supervisor.policy.operation import ACTIONS, Operation
from supervisor.policy.rule import Rule, parse_rule
from supervisor.sockets.address import Inet4, Inet6, Opaque, UnixAbstract, UnixPath, UnixUnnamed, Unspec, parse_address

STREAM, DGRAM, RAW, SEQPACKET, PACKET = 1, 2, 3, 5, 10


def policy(default="deny", **lists):
    """`policy(connect_allow=["10.0.0.1:80"])`, as [policy.t] would say it."""
    rules = []
    for key, texts in lists.items():
        action, effect = key.split("_")
        for index, text in enumerate(texts):
            rules.append(parse_rule(action, effect, f"policy.t.{action}.{effect}[{index}]", text))
    return Policy("t", rules, default=default)


def inet(action, text, type_=STREAM, family=None, scope=0):
    host, _, port = text.rpartition(":")
    ip = ip_address(host.strip("[]"))
    if ip.version == 4:
        return Operation(action, family or AF_INET, type_, 0, Inet4(int(ip), int(port)))
    return Operation(action, AF_INET6, type_, 0, Inet6(int(ip), int(port), scope))


def unix(action, address, type_=STREAM):
    return Operation(action, AF_UNIX, type_, 0, address)


def allowed(judge, operation):
    return judge.decide(operation).allowed


class TestPrecedence:
    def test_deny_wins_then_allow_then_default(self):
        judge = policy(connect_allow=["10.0.0.0/8:*"], connect_deny=["10.0.0.1:*"])
        assert judge.decide(inet("connect", "10.0.0.2:1")) == (True, 'policy.t.connect.allow[0] "10.0.0.0/8:*"', 0)
        assert judge.decide(inet("connect", "10.0.0.1:1")).rule == 'policy.t.connect.deny[0] "10.0.0.1:*"'
        assert judge.decide(inet("connect", "11.0.0.1:1")) == (False, 'policy.t.default "deny"', errno.EACCES)

    def test_a_more_specific_allow_does_not_win_over_deny(self):
        judge = policy("allow", connect_allow=["10.0.0.1:80"], connect_deny=["10.0.0.0/8:*"])
        assert not allowed(judge, inet("connect", "10.0.0.1:80"))

    def test_of_rules_that_agree_the_most_specific_is_named(self):
        judge = policy(connect_allow=["*:*", "10.0.0.0/8:*", "10.0.0.1:*"])
        explanation = judge.explain(inet("connect", "10.0.0.1:1"))
        assert explanation.verdict.rule == 'policy.t.connect.allow[2] "10.0.0.1:*"'
        assert explanation.lost == (
            'policy.t.connect.allow[1] "10.0.0.0/8:*"',
            'policy.t.connect.allow[0] "*:*"',
        )

    def test_explain_shows_who_lost(self):
        judge = policy(connect_allow=["*:80"], connect_deny=["127.0.0.0/8:*"])
        explanation = judge.explain(inet("connect", "0.0.0.0:80"))
        assert explanation.verdict.rule == 'policy.t.connect.deny[0] "127.0.0.0/8:*"'
        assert explanation.lost == ('policy.t.connect.allow[0] "*:80"',)
        assert explanation.normalised == inet("connect", "127.0.0.1:80").address

    def test_the_policys_own_errno(self):
        judge = Policy("t", errno=errno.ENETUNREACH)
        assert judge.decide(inet("connect", "1.1.1.1:1")).errno == errno.ENETUNREACH


class TestInet:
    @pytest.mark.parametrize(
        ("rule", "address", "expected"),
        [
            ("10.0.0.0/8:5432", "10.255.0.1:5432", True),
            ("10.0.0.0/8:5432", "10.255.0.1:5433", False),
            ("10.0.0.0/8:5432", "11.0.0.0:5432", False),
            ("1.1.1.1:80,443,8000-8999", "1.1.1.1:8999", True),
            ("1.1.1.1:80,443,8000-8999", "1.1.1.1:444", False),
            ("*:443", "[2001:db8::1]:443", True),
            ("*:443", "9.9.9.9:443", True),
            ("[::/0]:443", "9.9.9.9:443", False),
            ("[::/0]:443", "[::ffff:9.9.9.9]:443", False),
            ("0.0.0.0/0:443", "[::ffff:9.9.9.9]:443", True),
            ("10.0.0.1:80", "[::ffff:10.0.0.1]:80", True),
            ("[::ffff:10.0.0.1]:80", "10.0.0.1:80", True),
            ("127.0.0.1:80", "0.0.0.0:80", True),
            ("127.0.0.1:80", "[::ffff:0.0.0.0]:80", True),
            ("[::1]:80", "[::]:80", True),
            ("127.0.0.1:80", "[::]:80", False),
            ("0.0.0.0:80", "0.0.0.0:80", True),
            ("0.0.0.0:80", "127.0.0.1:80", True),
            ("0.0.0.0:80", "10.0.0.1:80", False),
            ("[::]:80", "[::1]:80", True),
            ("0.0.0.0/8:80", "0.0.0.0:80", False),
            ("unix:*", "10.0.0.1:80", False),
        ],
    )
    @pytest.mark.parametrize("action", ["connect", "send"])
    def test_allow_goes_by_the_normalised_address(self, action, rule, address, expected):
        assert allowed(policy(**{f"{action}_allow": [rule]}), inet(action, address)) is expected

    @pytest.mark.parametrize(
        ("rule", "address"),
        [
            ("127.0.0.0/8:*", "0.0.0.0:80"),
            ("127.0.0.1:80", "[::]:80"),
            ("127.0.0.1:80", "[::ffff:0.0.0.0]:80"),
            ("[::1]:80", "[::]:80"),
            ("0.0.0.0/8:80", "0.0.0.0:80"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("10.0.0.0/8:*", "[::ffff:10.0.0.1]:80"),
            ("[::/0]:*", "[::ffff:10.0.0.1]:80"),
            ("[::/64]:*", "[::ffff:10.0.0.1]:80"),
        ],
    )
    def test_deny_goes_by_every_reading(self, rule, address):
        assert not allowed(policy("allow", connect_deny=[rule]), inet("connect", address))

    def test_protocols(self):
        judge = policy(connect_allow=["tcp:1.1.1.1:1", "udp:2.2.2.2:2", "3.3.3.3:3"])
        table = {
            (host, type_): allowed(judge, inet("connect", f"{host}.{host}.{host}.{host}:{host}", type_))
            for host in (1, 2, 3)
            for type_ in (STREAM, DGRAM, RAW, SEQPACKET, 77)
        }
        assert {key for key, value in table.items() if value} == {
            (1, STREAM), (2, DGRAM), (3, STREAM), (3, DGRAM), (3, RAW), (3, SEQPACKET), (3, 77),
        }  # fmt: skip

    def test_scopes(self):
        judge = policy(connect_allow=["[fe80::1%2]:22", "[fe80::2]:22"])
        assert allowed(judge, inet("connect", "[fe80::1]:22", scope=2))
        assert not allowed(judge, inet("connect", "[fe80::1]:22", scope=3))
        assert not allowed(judge, inet("connect", "[fe80::1]:22", scope=0))
        assert allowed(judge, inet("connect", "[fe80::2]:22", scope=3))
        judge = policy("allow", connect_deny=["[fe80::1%2]:22"])
        assert not allowed(judge, inet("connect", "[fe80::1]:22", scope=2))
        assert allowed(judge, inet("connect", "[fe80::1]:22", scope=3))
        # The socket may be bound to that interface.
        assert not allowed(judge, inet("connect", "[fe80::1]:22", scope=0))

    def test_the_flow_label_is_no_part_of_it(self):
        judge = policy(connect_allow=["[::1]:22"])
        assert allowed(judge, Operation("connect", AF_INET6, STREAM, 0, Inet6(1, 22, 0, 0xFFFF)))


class TestBind:
    @pytest.mark.parametrize("rule", ["0.0.0.0:80", "*:80", "0.0.0.0/0:80", "*:*"])
    def test_the_wildcard_is_allowed_by_what_covers_it(self, rule):
        assert allowed(policy(bind_allow=[rule]), inet("bind", "0.0.0.0:80"))

    @pytest.mark.parametrize("rule", ["127.0.0.1:80", "10.0.0.0/8:80", "[::]:80", "[::/0]:80"])
    def test_and_by_nothing_else(self, rule):
        assert not allowed(policy(bind_allow=[rule]), inet("bind", "0.0.0.0:80"))

    @pytest.mark.parametrize(
        ("deny", "address", "expected"),
        [
            ("10.0.0.1:80", "0.0.0.0:80", False),
            ("10.0.0.1:80", "[::]:80", False),
            ("10.0.0.1:80", "[::ffff:0.0.0.0]:80", False),
            ("[2001:db8::1]:80", "[::]:80", False),
            ("[fe80::1%2]:80", "[::]:80", False),
            ("[2001:db8::1]:80", "0.0.0.0:80", True),
            ("10.0.0.1:80", "0.0.0.0:81", True),
            ("10.0.0.1:80", "10.0.0.2:80", True),
            ("udp:10.0.0.1:80", "0.0.0.0:80", True),
            ("tcp:10.0.0.1:80", "0.0.0.0:80", False),
        ],
    )
    def test_a_denied_address_denies_the_wildcard_that_takes_it_along(self, deny, address, expected):
        assert allowed(policy("allow", bind_deny=[deny]), inet("bind", address)) is expected

    def test_a_free_port_is_port_0(self):
        assert allowed(policy(bind_allow=["127.0.0.1:*"]), inet("bind", "127.0.0.1:0"))
        assert allowed(policy(bind_allow=["127.0.0.1:0,80"]), inet("bind", "127.0.0.1:0"))
        assert not allowed(policy(bind_allow=["127.0.0.1:1-65535"]), inet("bind", "127.0.0.1:0"))
        assert allowed(policy("allow", bind_deny=["127.0.0.1:1-65535"]), inet("bind", "0.0.0.0:0"))
        assert not allowed(policy("allow", bind_deny=["127.0.0.1:*"]), inet("bind", "0.0.0.0:0"))


class TestUnix:
    def test_paths(self):
        judge = policy(connect_allow=["unix:/run/postgresql/*", "unix:/run/a"], connect_deny=["unix:/run/**/secret"])
        assert allowed(judge, unix("connect", UnixPath(b"/run/postgresql/.s.PGSQL.5432")))
        assert allowed(judge, unix("connect", UnixPath(b"/run/a")))
        assert allowed(judge, unix("connect", UnixPath(b"/run/.//a")))
        assert not allowed(judge, unix("connect", UnixPath(b"/run/postgresql/secret")))
        assert not allowed(judge, unix("connect", UnixPath(b"/run/b")))
        assert not allowed(judge, unix("connect", UnixAbstract(b"/run/a")))

    def test_a_path_that_was_not_resolved_matches_deny_and_not_allow(self):
        for path in (b"a", b"../run/a", b"/run/x/../a"):
            assert not allowed(policy(connect_allow=["unix:/**"]), unix("connect", UnixPath(path)))
            assert allowed(policy(connect_allow=["unix:*"]), unix("connect", UnixPath(path)))
            assert not allowed(policy("allow", connect_deny=["unix:/other"]), unix("connect", UnixPath(path)))
            assert not allowed(policy("allow", connect_deny=["unix:*"]), unix("connect", UnixPath(path)))
            assert allowed(policy("allow", connect_deny=["unix:@x"]), unix("connect", UnixPath(path)))

    def test_abstract_names(self):
        judge = policy(connect_allow=["unix:@agent", r"unix:@x\0*"])
        assert allowed(judge, unix("connect", UnixAbstract(b"agent")))
        assert not allowed(judge, unix("connect", UnixAbstract(b"agent\0")))
        assert allowed(judge, unix("connect", UnixAbstract(b"x\0\0")))
        assert not allowed(judge, unix("connect", UnixPath(b"/agent")))

    @pytest.mark.parametrize(
        ("rule", "action", "expected"),
        [
            ("unix:*", "bind", True),
            ("unix:@*", "bind", True),
            ("unix:@**", "bind", True),
            ("unix:@a*", "bind", False),
            ("unix:/**", "bind", False),
            ("unix:*", "accept", True),
            ("unix:@*", "accept", False),
            ("*:*", "accept", False),
        ],
    )
    def test_no_name(self, rule, action, expected):
        assert allowed(policy(**{f"{action}_allow": [rule]}), unix(action, UnixUnnamed())) is expected
        assert allowed(policy("allow", **{f"{action}_deny": [rule]}), unix(action, UnixUnnamed())) is not expected

    def test_every_address(self):
        judge = policy(connect_allow=["unix:*"])
        assert allowed(judge, unix("connect", UnixPath(b"/x")))
        assert allowed(judge, unix("connect", UnixAbstract(b"")))
        assert not allowed(judge, inet("connect", "127.0.0.1:1"))


class TestSend:
    def test_connect_rules_count(self):
        judge = policy(connect_allow=["1.1.1.1:1"], send_allow=["2.2.2.2:2"], connect_deny=["3.3.3.3:3"])
        assert allowed(judge, inet("send", "1.1.1.1:1", DGRAM))
        assert allowed(judge, inet("send", "2.2.2.2:2", DGRAM))
        assert not allowed(judge, inet("connect", "2.2.2.2:2", DGRAM))
        judge = policy("allow", connect_deny=["3.3.3.3:3"], send_deny=["4.4.4.4:4"])
        assert not allowed(judge, inet("send", "3.3.3.3:3", DGRAM))
        assert not allowed(judge, inet("send", "4.4.4.4:4", DGRAM))
        assert allowed(judge, inet("connect", "4.4.4.4:4", DGRAM))


class TestAccept:
    def test_without_rules_everybody_may_come(self):
        verdict = policy(connect_allow=["1.1.1.1:1"]).decide(inet("accept", "9.9.9.9:9"))
        assert verdict == (True, "policy.t: no accept rules", 0)

    def test_deny_alone_takes_away_only_what_it_names(self):
        judge = policy(accept_deny=["10.0.0.0/8:*"])
        assert judge.decide(inet("accept", "9.9.9.9:9")) == (True, "policy.t: no accept.allow rules", 0)
        assert not allowed(judge, inet("accept", "[::ffff:10.0.0.1]:9"))

    def test_an_allow_list_is_the_list(self):
        judge = policy(accept_allow=["10.0.0.0/8:*"])
        assert allowed(judge, inet("accept", "10.0.0.1:9"))
        assert not allowed(judge, inet("accept", "9.9.9.9:9"))
        assert not allowed(judge, inet("accept", "0.0.0.0:9"))
        assert not allowed(judge, inet("accept", "[::]:9"))


class TestSockets:
    def test_default_deny_leaves_to_other_rules_what_they_judge(self):
        judge = policy()
        for family, type_, protocol in (
            (AF_INET, STREAM, 0), (AF_INET6, DGRAM, 17), (AF_UNIX, SEQPACKET, 0), (AF_NETLINK, RAW, 0),
        ):  # fmt: skip
            verdict = judge.decide(Operation("socket", family, type_, protocol))
            assert verdict.allowed
            assert "no socket.allow rules" in verdict.rule
        for family, type_, protocol in (
            (AF_INET, RAW, 1), (AF_INET, STREAM, 262), (AF_INET, PACKET, 3), (AF_PACKET, RAW, 3), (AF_NETLINK, RAW, 9),
            (AF_VSOCK, STREAM, 0), (38, SEQPACKET, 0), (-5, 12345, -1),
        ):  # fmt: skip
            assert not allowed(judge, Operation("socket", family, type_, protocol))

    def test_a_deny_rule_takes_away_from_that(self):
        judge = policy(socket_deny=["inet6"])
        assert allowed(judge, Operation("socket", AF_INET, STREAM, 0))
        assert not allowed(judge, Operation("socket", AF_INET6, STREAM, 0))

    def test_an_allow_list_is_the_list(self):
        judge = policy(socket_allow=["inet", "inet:raw"])
        assert allowed(judge, Operation("socket", AF_INET, STREAM, 6))
        assert allowed(judge, Operation("socket", AF_INET, RAW, 1))
        assert not allowed(judge, Operation("socket", AF_INET, STREAM, 262))
        assert not allowed(judge, Operation("socket", AF_INET, PACKET, 3))
        assert not allowed(judge, Operation("socket", AF_UNIX, STREAM, 0))
        assert allowed(policy(socket_allow=["*"]), Operation("socket", AF_VSOCK, STREAM, 0))

    def test_denying_inet_denies_all_of_it(self):
        judge = policy("allow", socket_deny=["inet"])
        for type_, protocol in ((STREAM, 0), (STREAM, 262), (RAW, 1), (PACKET, 3)):
            assert not allowed(judge, Operation("socket", AF_INET, type_, protocol))
        assert not allowed(policy("allow", socket_deny=["packet"]), Operation("socket", AF_INET, PACKET, 3))

    @pytest.mark.parametrize("key", ["connect_deny", "bind_deny", "send_deny"])
    def test_sockets_that_would_walk_around_a_deny_rule_are_refused(self, key):
        judge = policy("allow", **{key: ["10.0.0.0/8:*"]}, socket_allow=["inet6:mptcp", "smc"])
        for family, type_, protocol in (
            (AF_INET, RAW, 1), (AF_INET, STREAM, 262), (AF_INET, STREAM, 132), (AF_INET, 6, 33), (AF_INET, PACKET, 3),
            (AF_INET, STREAM, 256), (AF_INET6, RAW, 58), (AF_PACKET, RAW, 3), (44, RAW, 0), (21, SEQPACKET, 0),
        ):  # fmt: skip
            verdict = judge.decide(Operation("socket", family, type_, protocol))
            assert not verdict.allowed
            assert "cannot judge" in verdict.rule
        for family, type_, protocol in (
            (AF_INET, STREAM, 0), (AF_INET6, STREAM, 262), (AF_SMC, STREAM, 0), (AF_VSOCK, STREAM, 0), (AF_UNIX, 1, 0),
        ):  # fmt: skip
            assert allowed(judge, Operation("socket", family, type_, protocol))

    @pytest.mark.parametrize("lists", [{}, {"connect_deny": ["unix:*"]}, {"accept_deny": ["*:*"]}])
    def test_and_otherwise_not(self, lists):
        assert allowed(policy("allow", **lists), Operation("socket", AF_INET, RAW, 1))


class TestOtherAddresses:
    NETLINK = Opaque(AF_NETLINK, b"\x10\0" + bytes(10))
    VSOCK = Opaque(AF_VSOCK, b"\x28\0" + bytes(14))

    @pytest.mark.parametrize("action", ["bind", "connect", "send"])
    def test_netlink_goes_by_its_socket(self, action):
        assert allowed(policy(), Operation(action, AF_NETLINK, RAW, 0, self.NETLINK))
        assert not allowed(policy(), Operation(action, AF_NETLINK, RAW, 9, self.NETLINK))
        assert not allowed(policy(socket_allow=["inet"]), Operation(action, AF_NETLINK, RAW, 0, self.NETLINK))
        assert not allowed(policy(socket_deny=["netlink"]), Operation(action, AF_NETLINK, RAW, 0, self.NETLINK))

    @pytest.mark.parametrize("action", ["bind", "connect", "send"])
    def test_others_go_by_their_socket_when_it_is_named(self, action):
        operation = Operation(action, AF_VSOCK, STREAM, 0, self.VSOCK)
        assert allowed(policy(socket_allow=["vsock"]), operation)
        assert not allowed(policy(socket_allow=["vsock:dgram"]), operation)
        assert not allowed(policy(socket_allow=["*"]), operation)
        assert not allowed(policy(), operation)
        assert allowed(policy("allow"), operation)
        assert not allowed(policy(socket_allow=["vsock"], socket_deny=["vsock:stream"]), operation)

    @pytest.mark.parametrize("family", [AF_NETLINK, AF_VSOCK, AF_PACKET])
    def test_under_default_allow_their_making_was_judged(self, family):
        judge = policy("allow", socket_deny=["netlink", "vsock", "packet"], connect_deny=["*:*"])
        assert not allowed(judge, Operation("socket", family, RAW, 0))
        assert allowed(judge, Operation("bind", family, RAW, 0, Opaque(family, b"??")))
        assert not judge.can_refuse("bind")

    def test_dissolving_is_always_allowed(self):
        judge = policy(connect_deny=["*:*", "unix:*"])
        for family in (AF_INET, AF_UNIX, AF_NETLINK):
            verdict = judge.decide(Operation("connect", family, DGRAM, 0, Unspec(bytes(16))))
            assert verdict == (True, "AF_UNSPEC dissolves", 0)

    @pytest.mark.parametrize("address", [Unspec(bytes(16)), Opaque(AF_INET, b"\x02\0"), Opaque(-1, b""), None])
    def test_what_cannot_be_read_goes_by_the_default(self, address):
        judge = policy(bind_allow=["*:*", "unix:*"], send_allow=["*:*"])
        for action in ("bind", "send"):
            assert judge.decide(Operation(action, AF_INET, DGRAM, 0, address)).rule == 'policy.t.default "deny"'
        assert allowed(policy("allow", bind_deny=["*:*"]), Operation("bind", AF_INET, DGRAM, 0, address))


def test_allow_all_allows_all():
    assert ALLOW_ALL.name == "allow-all"
    assert ALLOW_ALL.decide(inet("connect", "1.1.1.1:1")) == (True, "no policy", 0)
    assert allowed(ALLOW_ALL, Operation("socket", AF_PACKET, RAW, 3))
    families = (None, AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_VSOCK, AF_PACKET)
    assert not any(ALLOW_ALL.can_refuse(action, family) for action in ACTIONS for family in families)


class TestCanRefuse:
    @pytest.mark.parametrize(
        ("judge", "action", "refusing"),
        [
            (policy("allow"), "connect", set()),
            (policy(), "connect", {None, AF_INET, AF_INET6, AF_UNIX}),
            (policy(), "accept", set()),
            (policy(), "socket", {None, AF_INET, AF_INET6}),
            (policy(connect_allow=["unix:*"]), "connect", {None, AF_INET, AF_INET6}),
            (policy(connect_allow=["unix:*"], connect_deny=["unix:@x"]), "connect", {None, AF_INET, AF_INET6, AF_UNIX}),
            (policy(connect_allow=["*:*"]), "connect", {None, AF_UNIX}),
            (policy(connect_allow=["*:*"]), "send", {None, AF_UNIX}),
            (policy(send_allow=["*:*"]), "connect", {None, AF_INET, AF_INET6, AF_UNIX}),
            (policy(connect_allow=["tcp:*:*"]), "connect", {None, AF_INET, AF_INET6, AF_UNIX}),
            (policy(connect_allow=["*:1-65535"]), "connect", {None, AF_INET, AF_INET6, AF_UNIX}),
            (policy(connect_allow=["0.0.0.0/0:*"]), "connect", {None, AF_INET6, AF_UNIX}),
            (policy(connect_allow=["0.0.0.0/0:*", "[::/0]:*"]), "connect", {None, AF_UNIX}),
            (policy("allow", connect_deny=["10.0.0.1:1"]), "connect", {None, AF_INET, AF_INET6}),
            (policy("allow", connect_deny=["[::1]:1"]), "connect", {None, AF_INET6}),
            (policy("allow", connect_deny=["unix:/x"]), "connect", {None, AF_UNIX}),
            (policy("allow", connect_deny=["unix:/x"]), "socket", set()),
            (policy("allow", connect_deny=["10.0.0.1:1"]), "send", {None, AF_INET, AF_INET6}),
            (policy("allow", connect_deny=["10.0.0.1:1"]), "bind", set()),
            (policy("allow", connect_deny=["10.0.0.1:1"]), "accept", set()),
            (policy("allow", connect_deny=["10.0.0.1:1"]), "socket", {None, AF_INET, AF_INET6}),
            (policy("allow", accept_deny=["10.0.0.1:1"]), "accept", {None, AF_INET, AF_INET6}),
            (policy(accept_allow=["*:*"]), "accept", {None, AF_UNIX}),
            (policy(socket_allow=["*"]), "socket", set()),
            (policy(socket_allow=["unix", "inet:*"]), "socket", {None, AF_INET, AF_INET6}),
            (policy(socket_allow=["unix", "inet:*", "packet"]), "socket", {None, AF_INET6}),
            (policy("allow", socket_deny=["unix:dgram"]), "socket", {None, AF_UNIX}),
        ],
    )
    def test_families(self, judge, action, refusing):
        assert {family for family in (None, AF_INET, AF_INET6, AF_UNIX) if judge.can_refuse(action, family)} == refusing

    def test_families_beside_inet(self):
        assert policy(socket_allow=["smc"], connect_allow=["1.1.1.1:1"]).can_refuse("connect", AF_SMC)
        assert not policy("allow", connect_deny=["1.1.1.1:1"]).can_refuse("bind", AF_PACKET)
        assert not policy("allow", connect_deny=["1.1.1.1:1"]).can_refuse("bind", AF_VSOCK)
        assert not policy(socket_allow=["vsock"]).can_refuse("connect", AF_VSOCK)
        assert policy(socket_allow=["vsock:stream"]).can_refuse("connect", AF_VSOCK)
        assert not policy(socket_allow=["netlink"]).can_refuse("send", AF_NETLINK)
        assert policy().can_refuse("send", AF_NETLINK)


# Few values, so that rules and operations meet.
V4 = [0, 1, 0x7F000001, 0x7F000002, 0x0A000001, 0x0A000002]
V6 = [0, 1, 0xFE80 << 112 | 1, *((0xFFFF << 32) + ip for ip in V4)]
PORTS = [0, 80, 81, 65535]
FAMILIES = [AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_PACKET, AF_VSOCK, AF_SMC, 99]

prefixes4 = st.tuples(st.sampled_from(V4), st.sampled_from([0, 8, 31, 32])).map(lambda each: Network(4, *each))
prefixes6 = st.tuples(st.sampled_from(V6[:3]), st.sampled_from([0, 64, 96, 128])).map(lambda each: Network(6, *each))
networks = (prefixes4 | prefixes6).map(lambda each: each._replace(address=each.address & each.mask))
inet_endpoints = st.builds(
    InetEndpoint,
    st.sampled_from([None, None, "tcp", "udp"]),
    st.none() | networks,
    st.sampled_from([EVERY_PORT, ((80, 80),), ((0, 0), (80, 81)), ((1, 65535),)]),
)
unix_endpoints = st.sampled_from(["unix:*", "unix:/**", "unix:/a", "unix:/?", "unix:@*", "unix:@a", r"unix:@\0"])
kinds = st.sampled_from(
    ["*", "inet", "inet:*", "inet:raw", "inet:stream", "inet6", "unix", "unix:dgram", "netlink", "netlink:route",
     "packet", "vsock", "smc", "99"]
)


@st.composite
def rules(draw):
    action = draw(st.sampled_from(ACTIONS))
    text = draw(kinds if action == "socket" else inet_endpoints.map(str) | unix_endpoints)
    effect = draw(st.sampled_from(["allow", "deny"]))
    return parse_rule(action, effect, f"policy.t.{action}.{effect}", text)


addresses = {
    AF_INET: st.builds(Inet4, st.sampled_from(V4), st.sampled_from(PORTS)),
    AF_INET6: st.builds(Inet6, st.sampled_from(V6), st.sampled_from(PORTS), st.sampled_from([0, 2]))
    | st.builds(Inet4, st.sampled_from(V4), st.sampled_from(PORTS)),
    AF_UNIX: st.sampled_from(
        [UnixUnnamed(), *map(UnixPath, (b"/a", b"/b", b"a", b"/x/../a")), *map(UnixAbstract, (b"", b"a", b"\0"))]
    ),
}


@st.composite
def operations(draw, families=tuple(FAMILIES)):
    action = draw(st.sampled_from(ACTIONS))
    family = draw(st.sampled_from(families))
    type_ = draw(st.sampled_from([STREAM, DGRAM, RAW, PACKET]))
    protocol = draw(st.sampled_from([0, 0, 6, 17, 262]))
    address = None
    if action != "socket":
        address = draw(addresses.get(family, st.just(Opaque(family, b"??"))))
    return Operation(action, family, type_, protocol, address)


policies = st.builds(
    lambda default, rules: Policy("t", rules, default=default),
    st.sampled_from(["allow", "deny"]),
    st.lists(rules(), max_size=6),
)


@given(st.sampled_from(["allow", "deny"]), st.lists(rules(), max_size=6), operations(), st.randoms())
def test_order_is_irrelevant(default, rules, operation, random):
    shuffled = rules[:]
    random.shuffle(shuffled)
    one, other = (Policy("t", each, default=default) for each in (rules, shuffled))
    assert one.decide(operation).allowed == other.decide(operation).allowed
    assert one.can_refuse(operation.action) == other.can_refuse(operation.action)


@given(policies, operations())
def test_explain_and_decide_agree(judge, operation):
    explanation = judge.explain(operation)
    assert explanation.verdict == judge.decide(operation)
    assert explanation.verdict.rule not in explanation.lost
    if operation.address is not None:
        assert explanation.normalised == normalise(operation.action, operation.address)


@given(st.sampled_from(["allow", "deny"]), st.lists(rules(), max_size=5), rules(), operations())
def test_another_deny_rule_never_allows_and_another_allow_rule_never_refuses(default, rules, more, operation):
    # An allow list that comes into being ends what its absence allows; the guard on raw sockets is for inet deny rules.
    assume(more.effect == "deny" or any(each.action == more.action and each.effect == "allow" for each in rules))
    before = Policy("t", rules, default=default).decide(operation).allowed
    after = Policy("t", [*rules, more], default=default).decide(operation).allowed
    assert before == after or after == (more.effect == "allow")


@given(st.lists(rules(), max_size=5), rules(), operations())
def test_deny_wins(rules, deny, operation):
    deny = deny._replace(effect="deny")
    alone = Policy("t", [deny], default="allow").decide(operation)
    assume(not alone.allowed and alone.rule == str(deny))
    assert not Policy("t", [*rules, deny], default="allow").decide(operation).allowed


@given(policies, operations())
def test_what_cannot_be_refused_is_not(judge, operation):
    if judge.decide(operation).allowed:
        return
    assert judge.can_refuse(operation.action)
    # On an AF_INET socket with SOCK_PACKET nothing is judged but its making.
    assert judge.can_refuse(operation.action, operation.family)


@given(policies, st.sampled_from(ACTIONS), st.tuples(*[st.integers()] * 3), st.none() | st.binary(max_size=40))
def test_any_operation_gets_a_verdict(judge, action, numbers, raw):
    operation = Operation(action, *numbers, None if raw is None else parse_address(raw))
    verdict = judge.decide(operation)
    assert verdict.rule
    assert verdict.errno == (0 if verdict.allowed else judge.errno)


def covered(endpoint, type_, ip, port):
    """What one inet rule says about one address, by the standard library."""
    if endpoint.protocol and type_ != {"tcp": STREAM, "udp": DGRAM}[endpoint.protocol]:
        return False
    if not any(low <= port <= high for low, high in endpoint.ports):
        return False
    if endpoint.host is None:
        return True
    cls = IPv4Address if endpoint.host.version == 4 else IPv6Address
    return type(ip) is cls and int(ip) >> endpoint.host.bits - endpoint.host.prefix == (
        endpoint.host.address >> endpoint.host.bits - endpoint.host.prefix
    )


@given(st.lists(inet_endpoints, max_size=5), st.lists(inet_endpoints, max_size=5), operations((AF_INET, AF_INET6)))
def test_accept_agrees_with_a_plain_reading(allow, deny, operation):
    """Accept has no special addresses, so each rule can be asked alone."""
    address = operation.address
    assume(address is not None)
    rules = [Rule("accept", "allow", "p", "s", each) for each in allow]
    rules += [Rule("accept", "deny", "p", "s", each) for each in deny]
    operation = operation._replace(action="accept")
    readings = [ip_address(address.ip) if isinstance(address, Inet4) else IPv6Address(address.ip)]
    readings.append(getattr(readings[0], "ipv4_mapped", None) or readings[0])
    denied = any(covered(each, operation.type, ip, address.port) for each in deny for ip in readings)
    chosen = not allow or any(covered(each, operation.type, readings[1], address.port) for each in allow)
    assert Policy("t", rules).decide(operation).allowed == (chosen and not denied)


def test_rules_are_what_policies_are_made_of():
    rule = parse_rule("connect", "allow", "policy.t.connect.allow[0]", "unix:@x")
    assert isinstance(rule.target, UnixEndpoint)
    assert isinstance(parse_rule("socket", "allow", "p", "inet").target, SocketKind)
