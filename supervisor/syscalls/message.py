"""A message as it was captured: struct msghdr and everything that it points to, read once."""

import errno
from typing import Final, NamedTuple

from supervisor.abi.message import IOVEC, MSGHDR, MSGHDR_SIZE, MessageHeader
from supervisor.abi.socket import SOCKADDR_STORAGE_SIZE, UIO_MAXIOV
from supervisor.errors import SyscallError
from supervisor.kernel import libc
from supervisor.syscalls.call import Call

INT_MAX: Final = 0x7FFFFFFF
MAX_RW_COUNT: Final = 0x7FFFF000
USER_END: Final = libc.ARCHITECTURE.user_end if libc.ARCHITECTURE is not None else 0


class Message(NamedTuple):
    """One message as it was captured. `name` None: none was given. `ranges` are (address, length) of the program."""

    name: bytes | None
    ranges: list[tuple[int, int]]
    control: bytes
    flags: int


def capture_message(call: Call, msg: int, flags: int) -> Message:
    """Read a msghdr and what it points to (`copy_msghdr_from_user`, `____sys_sendmsg`), in the kernel's order."""
    header = capture_header(call, msg)
    namelen = min(header.namelen, SOCKADDR_STORAGE_SIZE)
    name = call.thread.read(header.name, namelen) if header.name and namelen else None
    ranges = capture_ranges(call, header)
    if header.controllen > INT_MAX:
        raise SyscallError(errno.ENOBUFS)
    limit = call.session.control_limit
    if header.controllen > limit:
        raise SyscallError(errno.ENOBUFS)
    control = call.thread.read(header.control, header.controllen)
    return Message(name, ranges, control, flags)


def capture_header(call: Call, msg: int) -> MessageHeader:
    """Read a struct msghdr (`__copy_msghdr`). SyscallError(EINVAL) for a negative length of a name that is given."""
    header = MSGHDR.parse(call.thread.read(msg, MSGHDR_SIZE))
    if header.name and header.namelen < 0:
        raise SyscallError(errno.EINVAL)
    return header


def capture_ranges(call: Call, header: MessageHeader) -> list[tuple[int, int]]:
    """Read its iovecs (`import_iovec`) as (address, length)."""
    if header.iovlen > UIO_MAXIOV:
        raise SyscallError(errno.EMSGSIZE)
    raw = call.thread.read(header.iov, IOVEC.size * header.iovlen)
    ranges = [(int(base), int(length)) for base, length in IOVEC.iter_unpack(raw)]
    if any(length > 0x7FFFFFFFFFFFFFFF for _, length in ranges):
        raise SyscallError(errno.EINVAL)
    must_be_user(ranges)
    return ranges


def must_be_user(ranges: list[tuple[int, int]]) -> None:
    """EFAULT for what reaches past a program's addresses, even where it is empty (`access_ok`)."""
    longest = MAX_RW_COUNT if len(ranges) == 1 else USER_END
    if any(address + min(length, longest) > USER_END for address, length in ranges):
        raise SyscallError(errno.EFAULT)


def part_of(ranges: list[tuple[int, int]], start: int, size: int) -> list[tuple[int, int]]:
    """The part of the ranges from `start` for `size` bytes."""
    if start == 0 and len(ranges) == 1 and ranges[0][1] == size:
        return ranges
    result = []
    for address, length in ranges:
        if start >= length:
            start -= length
            continue
        part = min(length - start, size)
        if part == 0:
            break
        result.append((address + start, part))
        start, size = 0, size - part
    return result
