"""A program's memory made of bytes: pages that are there, pages that are read-only, and the rest, which faults."""

import mmap
from typing import Final

PAGE: Final = mmap.PAGESIZE
_FIRST: Final = 0x10000


class Memory:
    """Pages by address. Between any two that were mapped at different times there is one that is not there."""

    def __init__(self) -> None:
        self._pages: Final[dict[int, bytearray]] = {}
        self._read_only: Final[set[int]] = set()
        self._next = _FIRST

    def map(self, pages: int = 1) -> int:
        """Map zeroed pages in a row; the address of the first."""
        address = self._next
        for index in range(pages):
            self._pages[address + index * PAGE] = bytearray(PAGE)
        self._next = address + (pages + 1) * PAGE
        return address

    def put(self, data: bytes) -> int:
        """Map as many pages as the data needs; it is at their start."""
        address = self.map(max(1, -(-len(data) // PAGE)))
        self.write(address, data)
        return address

    def put_before_gap(self, data: bytes) -> int:
        """The same, but the data ends where the memory does."""
        address = self.map(max(1, -(-len(data) // PAGE)))
        at = self._next - PAGE - len(data)
        assert at >= address
        self.write(at, data)
        return at

    def protect(self, address: int) -> None:
        """Make the page at `address` read-only."""
        self._read_only.add(address - address % PAGE)

    def read(self, address: int, length: int) -> bytes:
        """Up to `length` bytes: short where a page is not there."""
        parts = []
        while length > 0:
            start = address % PAGE
            page = self._pages.get(address - start)
            if page is None:
                break
            part = bytes(page[start : start + length])
            parts.append(part)
            address, length = address + len(part), length - len(part)
        return b"".join(parts)

    def write(self, address: int, data: bytes) -> int:
        """Write what goes before a page that is not there or not writable; how much that was."""
        done = 0
        while done < len(data):
            start = (address + done) % PAGE
            at = address + done - start
            page = self._pages.get(at)
            if page is None or at in self._read_only:
                break
            part = data[done : done + PAGE - start]
            page[start : start + len(part)] = part
            done += len(part)
        return done

    def is_writable(self, address: int, length: int) -> bool:
        """Are all these bytes there and writable?"""
        at = address - address % PAGE
        while at < address + length:
            if at not in self._pages or at in self._read_only:
                return False
            at += PAGE
        return True
