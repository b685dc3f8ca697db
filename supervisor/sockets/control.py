"""Control messages (cmsg(3)) as values."""

import errno
import struct
from typing import Final, NamedTuple

from supervisor.abi.message import CMSG_ALIGNMENT, CMSGHDR
from supervisor.errors import SyscallError

_INT: Final = struct.Struct("=i")


class ControlMessage(NamedTuple):
    """One control message; `data` without header and padding."""

    level: int
    type: int
    data: bytes


def _align(length: int) -> int:
    return (length + CMSG_ALIGNMENT - 1) & ~(CMSG_ALIGNMENT - 1)


def parse_control(raw: bytes) -> list[ControlMessage]:
    """Split a control buffer as the kernel does (`for_each_cmsghdr`, `CMSG_OK`): what is too short for a header ends
    it; a length below the header's or past the buffer is SyscallError(EINVAL)."""
    messages = []
    offset = 0
    while offset + CMSGHDR.size <= len(raw):
        length, level, kind = CMSGHDR.unpack_from(raw, offset)
        if length < CMSGHDR.size or length > len(raw) - offset:
            raise SyscallError(errno.EINVAL)
        messages.append(ControlMessage(level, kind, raw[offset + CMSGHDR.size : offset + length]))
        offset += _align(length)
    return messages


def pack_control(messages: list[ControlMessage]) -> bytes:
    """The inverse of `parse_control`."""
    parts = []
    for level, kind, data in messages:
        length = CMSGHDR.size + len(data)
        parts.append(CMSGHDR.pack(length, level, kind) + data + bytes(_align(length) - length))
    return b"".join(parts)


def parse_rights(data: bytes) -> list[int]:
    """The descriptor numbers of an SCM_RIGHTS message; a trailing part of a number is ignored, as the kernel does."""
    return [int(number) for (number,) in _INT.iter_unpack(data[: len(data) & ~3])]


def pack_rights(numbers: list[int]) -> bytes:
    """The data of an SCM_RIGHTS message."""
    return struct.pack(f"={len(numbers)}i", *numbers)
