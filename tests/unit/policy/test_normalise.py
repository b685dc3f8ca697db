from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.policy.normalise import is_resolved, is_untidy, normalise, squeeze
from supervisor.policy.operation import ACTIONS
from supervisor.sockets.address import Inet4, Inet6, Opaque, UnixPath, parse_address


def v4(text):
    return Inet4(int(IPv4Address(text)), 80)


def v6(text, scope=0):
    return Inet6(int(IPv6Address(text)), 80, scope)


@pytest.mark.parametrize(
    ("action", "given_address", "expected"),
    [
        ("connect", v6("::ffff:10.0.0.1"), v4("10.0.0.1")),
        ("accept", v6("::ffff:10.0.0.1"), v4("10.0.0.1")),
        ("connect", v4("0.0.0.0"), v4("127.0.0.1")),
        ("send", v4("0.0.0.0"), v4("127.0.0.1")),
        ("connect", v6("::"), v6("::1")),
        ("connect", v6("::ffff:0.0.0.0"), v4("127.0.0.1")),
        ("bind", v4("0.0.0.0"), v4("0.0.0.0")),
        ("bind", v6("::"), v6("::")),
        ("connect", v6("fe80::1", 2), v6("fe80::1", 2)),
        ("connect", v6("::10.0.0.1"), v6("::10.0.0.1")),
        ("connect", UnixPath(b"/run//./x"), UnixPath(b"/run/x")),
        ("connect", Opaque(17, b"\x11\0"), Opaque(17, b"\x11\0")),
    ],
)
def test_one_address_for_each_place(action, given_address, expected):
    assert normalise(action, given_address) == expected


@given(st.sampled_from(ACTIONS), st.binary(max_size=40))
def test_normalising_twice_changes_nothing(action, raw):
    once = normalise(action, parse_address(raw))
    assert normalise(action, once) == once


@pytest.mark.parametrize(
    ("path", "squeezed", "resolved"),
    [
        (b"/run/x", b"/run/x", True),
        (b"//run/./x/.", b"/run/x", True),
        (b"/run/..x/x..", b"/run/..x/x..", True),
        (b"/run/../x", b"/run/../x", False),
        (b"/run/..", b"/run/..", False),
        (b"/run/.//../x", b"/run/../x", False),
        (b"/run/x/", b"/run/x", True),
        (b"x", b"x", False),
        (b"./x", b"x", False),
    ],
)
def test_paths_that_can_be_compared(path, squeezed, resolved):
    assert squeeze(path) == squeezed
    assert is_resolved(squeezed) is resolved


@given(st.text("a./", max_size=12).map(str.encode))
def test_a_tidy_path_needs_neither(path):
    if not is_untidy(path):
        assert is_resolved(path)
        assert squeeze(path) == path
