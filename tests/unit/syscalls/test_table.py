"""The 18 rows."""

import inspect
import struct

import pytest

from supervisor.abi.numbers import AARCH64, X86_64
from supervisor.abi.seccomp import NOTIF
from supervisor.syscalls.table import ROWS, rows_by_number

# The synopses of section 2.
SYNOPSES = {
    "socket": "int domain, int type, int protocol",
    "socketpair": "int domain, int type, int protocol, int *sv",
    "bind": "fd sockfd, const struct sockaddr *addr, socklen_t addrlen",
    "connect": "fd sockfd, const struct sockaddr *addr, socklen_t addrlen",
    "listen": "fd sockfd, int backlog",
    "accept": "fd sockfd, struct sockaddr *addr, socklen_t *addrlen",
    "accept4": "fd sockfd, struct sockaddr *addr, socklen_t *addrlen, int flags",
    "shutdown": "fd sockfd, int how",
    "getsockname": "fd sockfd, struct sockaddr *addr, socklen_t *addrlen",
    "getpeername": "fd sockfd, struct sockaddr *addr, socklen_t *addrlen",
    "getsockopt": "fd sockfd, int level, int optname, void *optval, socklen_t *optlen",
    "setsockopt": "fd sockfd, int level, int optname, const void *optval, socklen_t optlen",
    "sendto": "fd sockfd, const void *buf, size_t len, int flags, const struct sockaddr *dest_addr, socklen_t addrlen",
    "sendmsg": "fd sockfd, const struct msghdr *msg, int flags",
    "sendmmsg": "fd sockfd, struct mmsghdr *msgvec, unsigned vlen, int flags",
    "recvfrom": "fd sockfd, void *buf, size_t len, int flags, struct sockaddr *src_addr, socklen_t *addrlen",
    "recvmsg": "fd sockfd, struct msghdr *msg, int flags",
    "recvmmsg": "fd sockfd, struct mmsghdr *msgvec, unsigned vlen, int flags, struct timespec *timeout",
}
LETTERS = {"fd": "F", "int": "i", "unsigned": "u", "size_t": "z", "socklen_t": "L"}
GARBAGE = 0xDEADBEEF_FFFFFFFE
EXPECTED = {"F": -2, "i": -2, "L": -2, "u": 0xFFFFFFFE, "z": GARBAGE, "P": GARBAGE}

each = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def test_there_are_18():
    assert sorted(row.name for row in ROWS) == sorted(SYNOPSES)
    assert len(ROWS) == 18


@each
def test_letters_are_the_synopsis(row):
    parameters = SYNOPSES[row.name].split(", ")
    assert row.letters == "".join("P" if "*" in each else LETTERS[each.split()[0]] for each in parameters)
    names = [each.split()[-1].strip("*") for each in parameters]
    handler = [name.strip("_") for name in list(inspect.signature(row.handler).parameters)[1:]]
    assert [{"length": "len"}.get(name, name) for name in handler] == names


@each
def test_ints_are_the_low_half_of_their_registers(row):
    raw = NOTIF.pack(1, 2, 0, 3, 4, 5, *[GARBAGE] * 6)
    assert row.decode(raw) == tuple(EXPECTED[letter] for letter in row.letters)


@each
def test_arguments_keep_their_order(row):
    raw = NOTIF.pack(1, 2, 0, 3, 4, 5, *range(10, 16))
    assert row.decode(raw) == tuple(range(10, 10 + len(row.letters)))


@pytest.mark.parametrize("machine", [X86_64, AARCH64], ids=lambda machine: machine.machine)
def test_rows_by_number(machine):
    rows = rows_by_number(machine)
    assert len(rows) == 18
    assert all(machine.calls[row.name] == number for number, row in rows.items())


def test_a_record_that_is_too_short():
    with pytest.raises(struct.error):
        ROWS[0].decode(bytes(32))
