"""The table of options: what it says of itself, and what the kernel says of it."""

import ctypes
import errno
import mmap
import os
import socket

import pytest

from supervisor.abi import option as abi
from supervisor.kernel import libc
from supervisor.sockets import option as module
from supervisor.sockets.option import BY_NUMBER, CLEARED_BY_READING, DIVERTING, LARGEST, OPTIONS, TELLS_OF_THE_PEER

ANSWERED = [row for row in OPTIONS if not row.because]
PAGE = mmap.PAGESIZE
SOCKETS = {
    "tcp": (socket.AF_INET, socket.SOCK_STREAM), "tcp6": (socket.AF_INET6, socket.SOCK_STREAM),
    "udp": (socket.AF_INET, socket.SOCK_DGRAM), "udp6": (socket.AF_INET6, socket.SOCK_DGRAM),
    "unix": (socket.AF_UNIX, socket.SOCK_STREAM), "unix datagram": (socket.AF_UNIX, socket.SOCK_DGRAM),
}
SOL_RAW, SOL_PACKET, SOL_NETLINK, SOL_TLS, SOL_XDP = 255, 263, 270, 282, 283


@pytest.fixture
def kinds():
    """A new socket of every kind, each time it is asked."""

    def make():
        for kind in SOCKETS.values():
            with socket.socket(*kind) as sock:
                yield sock

    return make


def id_of(row):
    return row.name


def set_natively(sock, row, address, length):
    """setsockopt(2) with a pointer: its errno, or 0."""
    number = libc.number("setsockopt")
    if libc.syscall6(number, sock.fileno(), row.level, row.number, address, length, 0) == 0:
        return 0
    return libc.get_errno()


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


# What it says of itself.


def test_a_row_an_option():
    assert len(BY_NUMBER) == len(OPTIONS)
    assert all(BY_NUMBER[row.level, row.number] is row for row in OPTIONS)


def test_what_is_said_of_a_name_is_said_of_a_row():
    names = {row.name for row in OPTIONS}
    assert module._KERNEL.keys() <= names
    assert module._SIZES.keys() <= names
    assert not module._KERNEL.keys() & module._SIZES.keys()


def test_every_constant_has_a_row():
    names = {name for name in vars(abi) if name.isupper() and not name.startswith("SOL_")}
    assert names == {row.name for row in OPTIONS}


def test_sizes_fit():
    assert all(0 < row.size <= LARGEST for row in OPTIONS)


def test_options_with_a_peculiarity_are_answered():
    answered = {(row.level, row.number) for row in ANSWERED}
    assert answered >= TELLS_OF_THE_PEER | CLEARED_BY_READING


def test_group_requests_are_the_same_at_both_levels():
    assert {row.name for row in OPTIONS if row.level == abi.SOL_IP and row.name.startswith("MCAST_")} == {
        row.name for row in OPTIONS if row.level == abi.SOL_IPV6 and row.name.startswith("MCAST_")
    }


# What must be the kernel's.


@pytest.mark.parametrize("option", sorted({
    (abi.SOL_SOCKET, abi.SO_ATTACH_FILTER), (abi.SOL_SOCKET, abi.SO_ATTACH_BPF),
    (abi.SOL_SOCKET, abi.SO_ATTACH_REUSEPORT_CBPF), (abi.SOL_SOCKET, abi.SO_ATTACH_REUSEPORT_EBPF),
    (abi.SOL_SOCKET, abi.SO_PEERPIDFD), (abi.SOL_SOCKET, abi.SO_PEERSEC), (abi.SOL_SOCKET, abi.SO_PEERGROUPS),
    (abi.SOL_SOCKET, 80),  # SO_DEVMEM_DONTNEED
    (abi.SOL_TCP, abi.TCP_ZEROCOPY_RECEIVE), (abi.SOL_TCP, abi.TCP_REPAIR),
    (abi.SOL_TCP, 14), (abi.SOL_TCP, 38),  # TCP_MD5SIG, TCP_AO_ADD_KEY
    (abi.SOL_TCP, 28),  # TCP_SAVED_SYN, which is gone once it was read
    (abi.SOL_IPV6, abi.IPV6_ADDRFORM),
    (abi.SOL_IP, 41), (abi.SOL_IP, 48), (abi.SOL_IPV6, 48),  # IP_MSFILTER, MCAST_MSFILTER: as long as they say
    (abi.SOL_IP, 9), (abi.SOL_IPV6, 6),  # IP_PKTOPTIONS, IPV6_2292PKTOPTIONS: control messages
    (abi.SOL_IP, 16), (abi.SOL_IP, 17), (abi.SOL_IPV6, 34), (abi.SOL_IPV6, 35),  # policies of IPsec
    (abi.SOL_IP, 64), (abi.SOL_IP, 65), (abi.SOL_IPV6, 64), (abi.SOL_IPV6, 65),  # IPT_SO_SET_REPLACE and its kin
    (abi.SOL_IP, 96), (abi.SOL_IP, 97),  # ARPT_SO_SET_REPLACE
    (abi.SOL_IP, 200), (abi.SOL_IP, 202),  # MRT_INIT, MRT_ADD_VIF
    *((SOL_PACKET, number) for number in (1, 5, 10, 13, 18, 22)),  # memberships, rings, versions, fanout
    (SOL_RAW, 1), (SOL_NETLINK, 1), (SOL_TLS, 1), (SOL_XDP, 3),
}))
def test_dangerous_options_are_the_kernels(option):
    row = BY_NUMBER.get(option)
    assert row is None or row.because


def test_options_that_divert_are_not_answered():
    assert not DIVERTING & {(row.level, row.number) for row in ANSWERED}


# What the kernel says.


def read_natively(sock, row):
    """getsockopt(2) with much room: the value, or the errno."""
    try:
        return sock.getsockopt(row.level, row.number, 1024)
    except OSError as error:
        return error.errno


@pytest.mark.parametrize("row", ANSWERED, ids=id_of)
def test_an_answer_is_plain_bytes(row, kinds):
    """Reading it opens nothing, and it fits."""
    for sock in kinds():
        before = open_descriptors()
        value = read_natively(sock, row)
        assert value != errno.EFAULT
        assert isinstance(value, int) or len(value) < 1024
        assert open_descriptors() == before


@pytest.fixture(scope="module")
def page():
    """The end of a page of zeros, before one that is not there."""
    address = libc.mmap(None, 2 * PAGE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    libc.munmap(address + PAGE, PAGE)
    yield address + PAGE
    libc.munmap(address, PAGE)


@pytest.mark.parametrize("row", ANSWERED, ids=id_of)
def test_no_more_than_its_size_is_read(row, kinds, page):
    """Whatever length a program claims, and whatever the value is, bytes past the size are not asked for."""
    for byte in b"\0\1\xff":
        ctypes.memset(page - row.size, byte, row.size)
        for length in (row.size, row.size + 1, row.size + 4, 2 * row.size, LARGEST):
            for sock in kinds():
                assert set_natively(sock, row, page - row.size, length) != errno.EFAULT


@pytest.mark.parametrize("row", [row for row in ANSWERED if row.size > 4], ids=id_of)
def test_a_large_size_is_needed(row, kinds, page):
    """Some socket asks for more than an int."""
    ctypes.memset(page - row.size, 0x61, row.size)
    assert errno.EFAULT in {set_natively(sock, row, page - 4, row.size) for sock in kinds()}


@pytest.mark.parametrize("row", ANSWERED, ids=id_of)
def test_its_value_is_no_pointer(row, kinds, page):
    """A value that would be an address, of what cannot be read, is no EFAULT."""
    for width in (4, 8):
        ctypes.memmove(page - row.size, (page.to_bytes(8, "little")[:width] * LARGEST)[: row.size], row.size)
        for sock in kinds():
            before = open_descriptors()
            assert set_natively(sock, row, page - row.size, row.size) != errno.EFAULT
            assert open_descriptors() == before
