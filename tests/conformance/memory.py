"""Memory of every kind that a program can point to: good, ending, missing, read-only, forbidden."""

import ctypes
import mmap
import tempfile

from .raw import libc

PAGE = mmap.PAGESIZE
FILL = 0xA5
"""What output memory holds before a call: an 0xA5 afterwards was (almost surely) not written."""

_NONE, _READ, _RW = 0, 1, 3
_PRIVATE, _ANONYMOUS = 2, 0x20

_mmap = libc.mmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_mprotect = libc.mprotect
_mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def _map(length: int, protection: int, fd: int = -1) -> int:
    flags = _PRIVATE | (_ANONYMOUS if fd < 0 else 0)
    address = _mmap(None, length, protection, flags, fd, 0)
    if address is None or address == ctypes.c_void_p(-1).value:
        raise MemoryError
    return address


class Memory:
    """`size` writable bytes whose last one is the last before a page nobody may touch. Never freed: cases are short."""

    def __init__(self, content: int | bytes) -> None:
        data = bytes([FILL]) * content if isinstance(content, int) else content
        self.size = len(data)
        self._pages = max(1, -(-self.size // PAGE))
        base = _map((self._pages + 1) * PAGE, _RW)
        _mprotect(base + self._pages * PAGE, PAGE, _NONE)
        self._base = base
        self.end = base + self._pages * PAGE
        self.address = self.end - self.size
        self.write(data)

    def write(self, data: bytes, offset: int = 0) -> None:
        ctypes.memmove(self.address + offset, data, len(data))

    def read(self, size: int | None = None, offset: int = 0) -> bytes:
        return ctypes.string_at(self.address + offset, self.size - offset if size is None else size)

    def protect(self) -> "Memory":
        """From here on the bytes can be read but not written."""
        _mprotect(self._base, self._pages * PAGE, _READ)
        return self

    @property
    def untouched(self) -> bool:
        return self.read() == bytes([FILL]) * self.size


def read_only(content: int | bytes) -> Memory:
    return Memory(content).protect()


def straddling(data: bytes, present: int) -> int:
    """Address of `data` of which only the first `present` bytes are there; the rest would lie on a forbidden page."""
    return Memory(data[:present]).address if present else forbidden()


def forbidden() -> int:
    """A page that is mapped and that nobody may touch: /proc/PID/mem with its FOLL_FORCE would read it."""
    return _map(PAGE, _NONE)


def beyond_file() -> int:
    """A page mapped from a file that is shorter: touching it is SIGBUS for a program, EFAULT for the kernel."""
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
        file.flush()
        return _map(2 * PAGE, _RW, file.fileno()) + PAGE


BAD = {
    "NULL": lambda: 0,
    "low": lambda: 8,
    "forbidden": forbidden,
    "kernel": lambda: 0xFFFF_8000_0000_0000,
    "non-canonical": lambda: 1 << 63,
    "beyond-file": beyond_file,
}
"""Pointers that are EFAULT for any access, each bad in its own way."""


class Int(Memory):
    """An int of the program's, for lengths: `value` is what it holds now."""

    def __init__(self, value: int) -> None:
        super().__init__((value & 0xFFFF_FFFF).to_bytes(4, "little"))

    @property
    def value(self) -> int:
        return int.from_bytes(self.read(4), "little", signed=True)
