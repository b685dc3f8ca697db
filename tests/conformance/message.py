"""struct msghdr, iovec, mmsghdr and control messages, packed by hand and read back as the kernel left them."""

import re
import struct
from collections.abc import Callable

from .memory import Memory

_MSGHDR = struct.Struct("=QI4xQQQQi4x")
_CMSG = struct.Struct("=Qii")
MSGHDR_SIZE = _MSGHDR.size
MMSGHDR_SIZE = MSGHDR_SIZE + 8


def address_of(part) -> int:
    """None is NULL, an int is a pointer already."""
    if part is None:
        return 0
    return part if isinstance(part, int) else part.address


def iovec(base: int, length: int) -> bytes:
    return struct.pack("=QQ", base, length & ((1 << 64) - 1))


def cmsg(level: int, kind: int, data: bytes, length: int | None = None) -> bytes:
    """One control message, padded to 8 bytes; `length` lies about cmsg_len."""
    size = _CMSG.size + len(data)
    return _CMSG.pack(size if length is None else length & ((1 << 64) - 1), level, kind) + data + bytes(-size % 8)


def rights(*fds: int) -> bytes:
    return cmsg(1, 1, struct.pack(f"={len(fds)}i", *fds))


def credentials(pid: int, uid: int, gid: int) -> bytes:
    return cmsg(1, 2, struct.pack("=iII", pid, uid, gid))


def parse_control(data: bytes) -> list[tuple[int, int, bytes]]:
    """The control messages that are whole, and at the end what is left over as (-1, -1, bytes)."""
    found = []
    offset = 0
    while offset + _CMSG.size <= len(data):
        length, level, kind = _CMSG.unpack_from(data, offset)
        if length < _CMSG.size:
            break
        found.append((level, kind, data[offset + _CMSG.size : min(offset + length, len(data))]))
        offset += -(-length // 8) * 8
    if offset < len(data) and any(data[offset:]):
        found.append((-1, -1, data[offset:]))
    return found


class Message:
    """A msghdr in memory. Buffers are bytes (placed in memory of their own), a Memory, an int pointer, or None.

    `parts` may hold (pointer, length) tuples too; `iovecs`, `namelen`, `controllen`, `iovlen` override what follows
    from the rest.
    """

    def __init__(
        self, parts=(), *, name=None, control=None, flags=0, iovecs=None, namelen=None, controllen=None, iovlen=None
    ) -> None:
        self.buffers = [part if isinstance(part, tuple) else self._placed(part) for part in parts]
        self.name = self._placed(name)
        self.control = self._placed(control)
        packed = b"".join(
            iovec(*buffer) if isinstance(buffer, tuple) else iovec(buffer.address, buffer.size)
            for buffer in self.buffers
        )
        self.iovecs = Memory(packed) if iovecs is None else iovecs
        size_of = lambda memory: memory.size if isinstance(memory, Memory) else 0  # noqa: E731
        self.name_room = size_of(self.name) if namelen is None else namelen
        self.header = Memory(
            _MSGHDR.pack(
                address_of(self.name),
                (size_of(self.name) if namelen is None else namelen) & 0xFFFF_FFFF,
                address_of(self.iovecs),
                (len(self.buffers) if iovlen is None else iovlen) & ((1 << 64) - 1),
                address_of(self.control),
                (size_of(self.control) if controllen is None else controllen) & ((1 << 64) - 1),
                flags,
            )
        )

    @staticmethod
    def _placed(part):
        return Memory(part) if isinstance(part, bytes) else part

    @property
    def address(self) -> int:
        return self.header.address

    @property
    def size(self) -> int:
        return MSGHDR_SIZE

    def fields(self) -> dict:
        """What recvmsg wrote back."""
        values = _MSGHDR.unpack(self.header.read())
        return dict(zip(("name", "namelen", "iov", "iovlen", "control", "controllen", "flags"), values, strict=True))


class Vector:
    """An array of mmsghdr made of Messages; msg_len starts as `preset`."""

    def __init__(self, *messages: Message, preset: int = 0xEEEE_EEEE) -> None:
        self.messages = messages
        self.memory = Memory(
            b"".join(message.header.read() + struct.pack("=I4x", preset) for message in messages) or bytes(8)
        )

    @property
    def address(self) -> int:
        return self.memory.address

    def lengths(self) -> list[int]:
        """msg_len of every message."""
        data = self.memory.read()
        return [
            struct.unpack_from("=I", data, index * MMSGHDR_SIZE + MSGHDR_SIZE)[0] for index in range(len(self.messages))
        ]

    def refresh(self) -> None:
        """Copy the headers back into the messages, so that their `fields` are what the kernel wrote."""
        for index, message in enumerate(self.messages):
            message.header.write(self.memory.read(MSGHDR_SIZE, index * MMSGHDR_SIZE))


_VARYING = {(0, 20): (2, 4), (41, 74): (2, 4), (1, 2): (0, 4), (1, 29): (0, 99), (1, 35): (0, 99), (1, 37): (0, 99)}
_VARYING |= {(41, 11): (0, 4)}
"""Bytes of a control message that are never the same twice: ports, pids, times, flow labels."""


def exact_control(data: bytes, used: int, number: Callable[[int], int]) -> str:
    """All of a control buffer in hex; up to `used`, what varies is `##`, and descriptors become `number(fd)`."""
    text = [f"{byte:02x}" for byte in data]
    offset = 0
    while offset + _CMSG.size <= min(used, len(data)):
        length, level, kind = _CMSG.unpack_from(data, offset)
        start, end = offset + _CMSG.size, min(offset + length, used, len(data))
        if (level, kind) in ((1, 1), (1, 4)):
            for at in range(start, end - 3, 4):
                new = number(int.from_bytes(data[at : at + 4], "little", signed=True))
                text[at : at + 4] = [f"{byte:02x}" for byte in (new & 0xFFFF_FFFF).to_bytes(4, "little")]
        elif (level, kind) in _VARYING:
            first, last = _VARYING[level, kind]
            for at in range(start + first, min(end, start + last)):
                text[at] = "##"
        if length < _CMSG.size:
            break
        offset += -(-length // 8) * 8
    return re.sub("(a5)+$", "", "".join(text))
