"""How inet sockets read addresses."""

import pytest

from supervisor.abi.socket import AF_INET, AF_INET6
from supervisor.families import provider_of
from supervisor.families.inet import INET
from supervisor.kernel.sockets import SocketKind
from supervisor.sockets.address import Inet4, Inet6, Opaque, UnixPath, Unspec, pack_address, parse_address

TCP, UDP = SocketKind(AF_INET, 1, 6), SocketKind(AF_INET, 2, 17)
TCP6, UDP6 = SocketKind(AF_INET6, 1, 6), SocketKind(AF_INET6, 2, 17)
RAW = SocketKind(AF_INET, 3, 1)
SOME4 = b"\0\0" + pack_address(Inet4(0x0A000001, 9))[2:]
ANY4 = b"\0\0" + pack_address(Inet4(0, 9))[2:]
LOOPBACK = 0x7F000001


def test_both_families_have_it():
    assert provider_of(AF_INET) is provider_of(AF_INET6) is INET
    assert INET.serviced
    assert not INET.needs_lookup(Inet4(0, 0))


@pytest.mark.parametrize(("action", "kind", "raw", "address"), [
    ("connect", TCP, SOME4, Unspec(SOME4)),
    ("send", UDP, SOME4, Inet4(0x0A000001, 9)),
    ("send", UDP6, SOME4, Unspec(SOME4)),
    ("bind", TCP, SOME4, Unspec(SOME4)),
    ("bind", TCP, ANY4, Inet4(0, 9)),
    ("bind", TCP6, ANY4, Unspec(ANY4)),
    ("send", UDP, SOME4[:15], Unspec(SOME4[:15])),
    ("bind", TCP, ANY4[:15], Unspec(ANY4[:15])),
    ("bind", TCP, b"", Opaque(-1, b"")),
])
def test_no_family(action, kind, raw, address):
    assert INET.address(action, kind, raw) == address


@pytest.mark.parametrize("action", ["connect", "bind", "send"])
def test_what_is_hopeless(action):
    for kind, address, hopeless in (
        (TCP, Inet4(1, 1), False), (TCP6, Inet4(1, 1), False), (TCP6, Inet6(1, 1), False), (TCP, Inet6(1, 1), True),
        (UDP, Inet6(1, 1), True), (TCP, UnixPath(b"/x"), True), (TCP, Opaque(2, b"\2\0"), True),
        (TCP, Unspec(SOME4), action == "bind"), (RAW, Inet6(1, 1), False), (RAW, Opaque(-1, b""), False),
    ):
        assert INET.is_hopeless(action, kind, address) is hopeless, (kind, address)


@pytest.mark.parametrize(("action", "address", "performed"), [
    ("connect", Inet4(0, 9), Inet4(LOOPBACK, 9)),
    ("send", Inet4(0, 9), Inet4(LOOPBACK, 9)),
    ("bind", Inet4(0, 9), Inet4(0, 9)),
    ("connect", Inet6(0xFFFF << 32, 9, 1, 2), Inet6(0xFFFF << 32 | LOOPBACK, 9, 1, 2)),
    ("connect", Inet6(0, 9), Inet6(0, 9)),
    ("connect", Inet4(5, 9), Inet4(5, 9)),
])
def test_what_is_performed(action, address, performed):
    assert parse_address(INET.performed(action, address, pack_address(address))) == performed


def test_bytes_that_mean_nothing_else_are_passed_on():
    raw = pack_address(Inet4(5, 9)) + b"more"
    assert INET.performed("connect", Inet4(5, 9), raw) == raw
    assert INET.locate("connect", None, Inet4(5, 9), raw).raw == raw
