import errno
import socket
import struct

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from supervisor.abi.message import CMSGHDR
from supervisor.errors import SyscallError
from supervisor.kernel import sockets
from supervisor.kernel.hostfd import HostFd
from supervisor.sockets.control import ControlMessage, pack_control, pack_rights, parse_control, parse_rights

INT = st.integers(-(2**31), 2**31 - 1)
# A level that no protocol of unix sockets has: the kernel then looks at nothing but the shape.
NO_LEVEL = 0x7777

messages = st.builds(ControlMessage, INT, INT, st.binary(max_size=40))
lengths = st.integers(0, 80) | st.sampled_from([2**31, 2**32, 2**63, 2**64 - 1, 2**64 - 8, 2**64 - 16])
headers = st.builds(lambda length, data: CMSGHDR.pack(length, NO_LEVEL, 1) + data, lengths, st.binary(max_size=40))


def parsed(raw):
    """The messages, or the errno."""
    try:
        return parse_control(raw)
    except SyscallError as error:
        return error.errno


@given(st.binary(max_size=200) | st.lists(headers, max_size=4).map(b"".join))
def test_any_bytes_are_messages_or_einval(raw):
    result = parsed(raw)
    if result != errno.EINVAL:
        assert sum(CMSGHDR.size + len(message.data) for message in result) <= len(raw)
        assert parse_control(pack_control(result)) == result


@given(st.lists(messages, max_size=6))
def test_packing_and_parsing(given_messages):
    raw = pack_control(given_messages)
    assert parse_control(raw) == given_messages
    assert len(raw) % 8 == 0


@given(st.lists(messages, max_size=4), st.binary(max_size=15))
def test_what_is_too_short_for_a_header_ends_it(given_messages, rest):
    assert parse_control(pack_control(given_messages) + rest) == given_messages


@given(st.lists(messages, min_size=1, max_size=4))
def test_the_padding_of_the_last_may_be_missing(given_messages):
    raw = pack_control(given_messages)
    padding = -len(given_messages[-1].data) % 8
    assert parse_control(raw[: len(raw) - padding]) == given_messages


ignored = st.builds(ControlMessage, st.just(NO_LEVEL), INT, st.binary(max_size=40))
shapes = st.lists(headers, max_size=4).map(b"".join) | st.lists(ignored, max_size=3).map(pack_control)


@given(st.tuples(shapes, st.binary(max_size=15)).map(b"".join))
@example(CMSGHDR.pack(15, NO_LEVEL, 1))
@example(CMSGHDR.pack(16, NO_LEVEL, 1))
@example(CMSGHDR.pack(17, NO_LEVEL, 1))
@example(CMSGHDR.pack(17, NO_LEVEL, 1) + b"x")
@example(CMSGHDR.pack(17, NO_LEVEL, 1) + bytes(8) + CMSGHDR.pack(0, NO_LEVEL, 1))
def test_the_kernel_finds_the_same_shapes_wrong(raw):
    """`scm_send` walks every message, and of this level it refuses none but those of a wrong shape."""
    result = parsed(raw)
    assume(result == errno.EINVAL or all(message.level == NO_LEVEL for message in result))
    assert (result == errno.EINVAL) == (sent(raw) == errno.EINVAL)


def sent(raw):
    """The errno of sending this control data natively; 0 when it was sent."""
    one, other = socket.socketpair()
    with other, HostFd(one.detach()) as fd:
        try:
            sockets.sendmsg(fd, None, b"x", raw, 0)
        except SyscallError as error:
            return error.errno
    return 0


def test_the_c_library_spells_them_like_this():
    """What the socket module sends with `CMSG_*` arrives as it is packed here."""
    one, other = socket.socketpair()
    with one, other:
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("=ii", 0, 1))]
        packed = pack_control([ControlMessage(*message) for message in control])
        assert len(packed) == socket.CMSG_SPACE(8)
        assert struct.unpack_from("@Nii", packed) == (socket.CMSG_LEN(8), socket.SOL_SOCKET, socket.SCM_RIGHTS)


# Descriptors.


@given(st.lists(INT, max_size=300))
def test_descriptors_survive(numbers):
    assert parse_rights(pack_rights(numbers)) == numbers


@given(st.lists(INT, max_size=5), st.binary(max_size=3))
def test_a_part_of_a_number_is_ignored(numbers, rest):
    assert parse_rights(pack_rights(numbers) + rest) == numbers


@pytest.mark.parametrize(
    ("data", "numbers"), [(b"", []), (b"\xff\xff\xff\xff", [-1]), (b"\x03\0\0\0\x04\0\0\0", [3, 4])]
)
def test_descriptors(data, numbers):
    assert parse_rights(data) == numbers
