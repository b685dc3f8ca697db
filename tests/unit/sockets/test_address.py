import ctypes
import socket
import struct
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.sockets.address import (
    Inet4,
    Inet6,
    Opaque,
    UnixAbstract,
    UnixPath,
    UnixUnnamed,
    Unspec,
    pack_address,
    parse_address,
    parse_reported,
)

UNIX = struct.pack("=H", 1)
INET = struct.pack("=H", 2)
INET6 = struct.pack("=H", 10)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (INET + b"\x00\x50\x7f\x00\x00\x01" + bytes(8), Inet4(0x7F000001, 80)),
        (INET + b"\x00\x50\x7f\x00\x00\x01" + b"ignored!", Inet4(0x7F000001, 80)),
        (INET + b"\x00\x50\x7f\x00\x00\x01" + bytes(100), Inet4(0x7F000001, 80)),
        (INET + b"\x00\x50\x7f\x00\x00\x01" + bytes(7), Opaque(2, INET + b"\x00\x50\x7f\x00\x00\x01" + bytes(7))),
        (INET6 + b"\x01\xbb" + struct.pack("=I", 7) + bytes(15) + b"\x01" + struct.pack("=I", 3), Inet6(1, 443, 3, 7)),
        (INET6 + b"\x01\xbb" + bytes(4) + bytes(15) + b"\x01", Inet6(1, 443)),
        (INET6 + b"\x01\xbb" + bytes(19), Opaque(10, INET6 + b"\x01\xbb" + bytes(19))),
        (UNIX + b"/run/x\0", UnixPath(b"/run/x")),
        (UNIX + b"/run/x", UnixPath(b"/run/x")),
        (UNIX + b"/run/x\0garbage", UnixPath(b"/run/x")),
        (UNIX + b"a" * 108, UnixPath(b"a" * 108)),
        (UNIX + b"a" * 109, Opaque(1, UNIX + b"a" * 109)),
        (UNIX + b"\0agent", UnixAbstract(b"agent")),
        (UNIX + b"\0agent\0\0", UnixAbstract(b"agent\0\0")),
        (UNIX + b"\0", UnixAbstract(b"")),
        (UNIX, UnixUnnamed()),
        (bytes(16), Unspec(bytes(16))),
        (b"\0\0", Unspec(b"\0\0")),
        (b"", Opaque(-1, b"")),
        (b"\x02", Opaque(-1, b"\x02")),
        (struct.pack("=H", 16) + bytes(10), Opaque(16, struct.pack("=H", 16) + bytes(10))),
    ],
)
def test_parsing(raw, expected):
    assert parse_address(raw) == expected
    assert type(parse_address(raw)) is type(expected)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (Inet4(0x7F000001, 80), "127.0.0.1:80"),
        (Inet6(1, 80), "[::1]:80"),
        (Inet6(int(IPv6Address("fe80::1")), 80, 2), "[fe80::1%2]:80"),
        (UnixPath(b"/run/x"), "unix:/run/x"),
        (UnixPath(b"/run/\xff"), "unix:/run/\\xff"),
        (UnixAbstract(b"a\0b"), "unix:@a\\0b"),
        (UnixUnnamed(), "unix:"),
        (Unspec(bytes(2)), "unspec"),
        (Opaque(16, b"\x10\0"), "family-16:1000"),
    ],
)
def test_spelling(address, text):
    assert str(address) == text


families = st.sampled_from([UNIX, INET, INET6, bytes(2), b"\x10\0", b"\xff\xff"])
raws = st.binary(max_size=140) | st.tuples(families, st.binary(max_size=130)).map(b"".join)


@given(raws)
def test_any_bytes_are_an_address_which_survives_packing(raw):
    address = parse_address(raw)
    assert parse_address(pack_address(address)) == address
    assert str(address)


addresses = st.one_of(
    st.builds(Inet4, st.integers(0, 2**32 - 1), st.integers(0, 65535)),
    st.builds(
        Inet6, st.integers(0, 2**128 - 1), st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)
    ),
    st.builds(UnixPath, st.binary(min_size=1, max_size=108).filter(lambda path: b"\0" not in path)),
    st.builds(UnixAbstract, st.binary(max_size=107)),
    st.just(UnixUnnamed()),
)


@given(addresses)
def test_every_address_survives_packing_and_fits_the_kernels_structure(address):
    raw = pack_address(address)
    assert parse_address(raw) == address
    assert type(parse_address(raw)) is type(address)
    assert len(raw) <= {Inet4: 16, Inet6: 28}.get(type(address), 110)


def kernels_name(sock):
    """The bytes of getsockname(2), which the socket module does not show."""
    buffer, length = ctypes.create_string_buffer(128), ctypes.c_uint32(128)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.getsockname(sock.fileno(), buffer, ctypes.byref(length)) == 0
    return buffer.raw[: length.value]


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, ("127.0.0.1", 0)),
        (socket.AF_INET6, ("::1", 0)),
        (socket.AF_UNIX, b"\0supervise-test-address\0"),
        (socket.AF_UNIX, b""),
    ],
)
def test_the_kernel_spells_them_like_this(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.bind(address)
        raw, name = kernels_name(sock), sock.getsockname()
    parsed = parse_address(raw)
    assert pack_address(parsed) == raw
    if family == socket.AF_UNIX:
        assert parsed == UnixAbstract(name[1:])
    else:
        assert str(parsed) == (f"{name[0]}:{name[1]}" if family == socket.AF_INET else f"[{name[0]}]:{name[1]}")


def test_the_kernel_takes_a_full_path_without_a_nul(tmp_path):
    path = bytes(tmp_path) + b"/"
    path += b"x" * (108 - len(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        raw = pack_address(UnixPath(path))
        assert len(raw) == 110
        assert ctypes.CDLL(None).bind(sock.fileno(), raw, len(raw)) == 0
        reported = kernels_name(sock)
        assert len(reported) == 111
        assert parse_reported(reported) == UnixPath(path)
        assert parse_address(reported) == Opaque(socket.AF_UNIX, reported)
        assert ctypes.CDLL(None).bind(sock.fileno(), reported, len(reported)) == -1


@given(raws)
def test_what_the_kernel_reports_is_read_like_what_it_takes(raw):
    if len(raw) <= 110 or raw[:2] != UNIX:
        assert parse_reported(raw) == parse_address(raw)
