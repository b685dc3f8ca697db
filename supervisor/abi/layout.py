"""Kernel records: a NamedTuple and the `struct` that reads it, declared together so that they cannot drift apart."""

import struct
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

Record = TypeVar("Record", bound=tuple[Any, ...])


class Layout(Generic[Record]):
    """The C name and field order of one kernel structure, in native byte order and alignment.

    Tests compare `size` and `offsets()` with what the C compiler says of `c_name`.
    """

    def __init__(self, c_name: str, record: type[Record], fields: Iterable[tuple[str, str]]) -> None:
        self.c_name = c_name
        self.fields = tuple(fields)
        # `struct` does not pad the end as C does; a zero count of the widest code does.
        widest = max((code[-1] for _, code in self.fields), key=lambda letter: struct.calcsize("@" + letter))
        self._struct = struct.Struct("@" + "".join(code for _, code in self.fields) + "0" + widest)
        self._make = record._make  # type: ignore[attr-defined]
        self.size = self._struct.size
        self.pack = self._struct.pack
        self.pack_into = self._struct.pack_into

    def parse(self, buffer: bytes | bytearray | memoryview, offset: int = 0) -> Record:
        """Read one record at `offset`; the buffer must hold `size` bytes from there."""
        return self._make(self._struct.unpack_from(buffer, offset))  # type: ignore[no-any-return]

    def offsets(self) -> dict[str, int]:
        """The offset of each named field, as `offsetof` gives it. Padding fields are named "" and left out."""
        result = {}
        for index, (name, code) in enumerate(self.fields):
            before = "".join(c for _, c in self.fields[:index])
            # A zero repeat count aligns without adding a field.
            aligned = struct.calcsize("@" + before + "0" + code[-1])
            if name:
                result[name] = aligned
        return result
