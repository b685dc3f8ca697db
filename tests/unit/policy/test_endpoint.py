from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.policy.endpoint import (
    EVERY_PORT,
    EndpointError,
    InetEndpoint,
    Network,
    UnixEndpoint,
    needs_scope,
    parse_endpoint,
)
from supervisor.policy.glob import Glob


def v4(text, prefix=32):
    return Network(4, int(IPv4Address(text)), prefix)


def v6(text, prefix=128, scope=None):
    return Network(6, int(IPv6Address(text)), prefix, scope)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.0/8:5432", InetEndpoint(None, v4("10.0.0.0", 8), ((5432, 5432),))),
        ("tcp:127.0.0.1:80,443", InetEndpoint("tcp", v4("127.0.0.1"), ((80, 80), (443, 443)))),
        ("udp:192.0.2.53:53", InetEndpoint("udp", v4("192.0.2.53"), ((53, 53),))),
        ("[::1]:*", InetEndpoint(None, v6("::1"), EVERY_PORT)),
        ("[2001:db8::/32]:443", InetEndpoint(None, v6("2001:db8::", 32), ((443, 443),))),
        ("[2001:db8::]/32:443", InetEndpoint(None, v6("2001:db8::", 32), ((443, 443),))),
        ("[fe80::1%2]:22", InetEndpoint(None, v6("fe80::1", 128, 2), ((22, 22),))),
        ("[fe80::%3/64]:22", InetEndpoint(None, v6("fe80::", 64, 3), ((22, 22),))),
        ("*:443", InetEndpoint(None, None, ((443, 443),))),
        ("tcp:*:*", InetEndpoint("tcp", None, EVERY_PORT)),
        ("1.1.1.1:0-65535", InetEndpoint(None, v4("1.1.1.1"), EVERY_PORT)),
        ("1.1.1.1:9,1-3,4,2", InetEndpoint(None, v4("1.1.1.1"), ((1, 4), (9, 9)))),
        ("[::ffff:10.0.0.1]:80", InetEndpoint(None, v4("10.0.0.1"), ((80, 80),))),
        ("[::ffff:10.0.0.0/104]:80", InetEndpoint(None, v4("10.0.0.0", 8), ((80, 80),))),
        ("[::ffff:0:0/96]:80", InetEndpoint(None, v4("0.0.0.0", 0), ((80, 80),))),
        ("unix:*", UnixEndpoint("any", Glob(()))),
        ("unix:/run/x", UnixEndpoint("path", Glob((b"/run/x",)))),
        ("unix:@agent", UnixEndpoint("abstract", Glob((b"agent",)))),
        (r"unix:@a\0b", UnixEndpoint("abstract", Glob((b"a\0b",)))),
    ],
)
def test_values(text, expected):
    assert parse_endpoint(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.0.0.0/33", "prefix must be 0 to 32"),
        ("[::/129]:1", "prefix must be 0 to 128"),
        ("10.0.0.0/:1", "prefix must be"),
        ("10.0.0.0/x:1", "prefix must be"),
        ("10.0.0.1/8:1", r"the network is 10\.0\.0\.0/8, the one address 10\.0\.0\.1$"),
        ("[2001:db8::1/32]:1", r"the network is \[2001:db8::/32\], the one address \[2001:db8::1\]"),
        ("[::/32]/32:1", "given twice"),
        ("10.0.0.1", "port is missing"),
        ("10.0.0.1:", "port is missing"),
        ("[::1]", "port is missing"),
        ("1.1.1.1:70000", r'port "70000" must be 0 to 65535'),
        ("1.1.1.1:80,", 'port "" must be'),
        ("1.1.1.1:9-8", "backwards"),
        ("1.1.1.1:²", "must be 0 to 65535"),
        ("1.1.1.1:-1", "must be 0 to 65535"),
        ("api.example.com:443", "^host names are not supported yet: use an address$"),
        ("*.example.com:443", "host names are not supported yet"),
        ("localhost:443", "host names are not supported yet"),
        ("10.0.0:80", "must be an IPv4 address"),
        ("010.0.0.1:80", "must be an IPv4 address"),
        (":80", "must be an IPv4 address"),
        ("::1:80", "brackets"),
        ("sctp:1.1.1.1:80", "prefixes are tcp:, udp: and unix:"),
        ("[::1", "no closing"),
        ("[::1]80", "followed by"),
        ("[10.0.0.1]:80", "no IPv6 address"),
        ("[]:80", "no IPv6 address"),
        ("[fe80::1%eth0]:22", "interface's index"),
        ("[fe80::1%0]:22", "interface's index"),
        ("[fe80::1%]:22", "interface's index"),
        ("[2001:db8::1%2]:22", "only link-local"),
        ("unix:run/x", "absolute path"),
        ("unix:", "absolute path"),
        ("/run/x", '"unix:/run/x"'),
        ("@agent", '"unix:@agent"'),
        ("unix:/run/../x", "component"),
        ("unix:/run//x", "component"),
        ("unix:/run/./x", "component"),
        ("unix:/run/", "component"),
        (r"unix:/run/\0", "no NUL"),
        ("unix:/run/[", "no closing"),
        ("", "must be an IPv4 address"),
    ],
)
def test_errors_say_what_was_expected(text, message):
    with pytest.raises(EndpointError, match=message):
        parse_endpoint(text)


def value_or_error(text):
    try:
        return parse_endpoint(text)
    except EndpointError as error:
        return str(error)


@given(st.text(max_size=40) | st.text("0123456789.:/[]*%-,abfunixtcpd@\\", max_size=30))
def test_any_text_is_an_endpoint_or_a_named_error(text):
    outcome = value_or_error(text)
    assert outcome
    if not isinstance(outcome, str):
        assert parse_endpoint(str(outcome)) == outcome


networks = st.one_of(
    st.tuples(st.just(4), st.integers(0, 2**32 - 1), st.integers(0, 32)),
    st.tuples(st.just(6), st.integers(0, 2**128 - 1), st.integers(0, 128)),
).map(lambda each: Network(*each))
ports = st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(sorted).map(tuple), min_size=1, max_size=4)


@given(st.sampled_from([None, "tcp", "udp"]), st.none() | networks, ports)
def test_what_is_spelled_parses_to_the_same(protocol, network, spans):
    if network:
        network = network._replace(address=network.address & network.mask)
    text = str(InetEndpoint(protocol, network, tuple(spans)))
    endpoint = parse_endpoint(text)
    assert parse_endpoint(str(endpoint)) == endpoint
    numbers = {port for low, high in spans for port in (low, high)}
    assert all(any(low <= port <= high for low, high in endpoint.ports) for port in numbers)
    assert sum(high - low + 1 for low, high in endpoint.ports) == len(set().union(*(range(a, b + 1) for a, b in spans)))


@given(networks)
def test_host_bits_are_refused_exactly_when_there_are_some(network):
    outcome = value_or_error(f"{network}:1")
    if network.address & ~network.mask:
        assert "the network is" in outcome
    elif outcome.host.version == network.version:
        expected = ip_network(str(network).strip("[]"))
        assert (outcome.host.address, outcome.host.prefix) == (int(expected.network_address), expected.prefixlen)


def test_scopes_belong_to_link_local_addresses():
    assert all(needs_scope(int(IPv6Address(each))) for each in ("fe80::1", "febf::1", "ff02::1", "ff11::1"))
    assert not any(needs_scope(int(IPv6Address(each))) for each in ("::1", "fec0::1", "ff05::1", "2001:db8::1"))
