"""May a program write where it says? Asked before something is taken from a socket that cannot be put back.

Fact: recv(2) on a stream copies to the program before it takes the bytes off the queue. A bad pointer loses nothing:
the count is what fitted, or EFAULT, and the rest is still there.
Consequence: a receive that we perform has taken the bytes when the copy to the program fails.
Decision: look at the mappings first, and leave a call with a bad pointer to the kernel. PROCMAP_QUERY (Linux 6.11)
answers for one address without the text of /proc/PID/maps; where it is missing, reading a byte of every page finds what
is not mapped, though not what is read-only. A mapped file counts as a bad pointer: it may have been cut short.
Cost: 8 us, 3 of them for each further mapping; a call that names very many is the kernel's as well, because others wait
meanwhile.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Iterable
from typing import Final

from supervisor.kernel import process

_QUERY: Final = struct.Struct("=QQQQQQQQQIIIIQQ")  # struct procmap_query of <linux/fs.h>
_PROCMAP_QUERY: Final = 3 << 30 | _QUERY.size << 16 | ord("f") << 8 | 17
_WRITABLE: Final = 0x02
_START: Final = 3
_END: Final = 4
_INODE: Final = 8
_ZEROS: Final = (0,) * 12
_PAGE: Final = 4096
_MOST_LOOKS: Final = 64
_MOST_PAGES: Final = 16384

_has_query = True


def are_writable(tid: int, ranges: Iterable[tuple[int, int]]) -> bool:
    """Can the process of `tid` write to all of these (address, length) ranges? False also where that cannot be seen."""
    wanted = [(address, length) for address, length in ranges if length]
    if not wanted:
        return True
    if _has_query:
        try:
            return _ask(tid, wanted)
        except OSError:
            if _has_query:
                return False
    return _are_readable(tid, wanted)


def _ask(tid: int, ranges: list[tuple[int, int]]) -> bool:
    global _has_query  # noqa: PLW0603 - learned once from the kernel
    number = os.open(f"/proc/{tid}/maps", os.O_RDONLY | os.O_CLOEXEC)
    start = end = looks = 0
    try:
        for address, length in ranges:
            at = address
            while at < address + length:
                if not start <= at < end:
                    if (looks := looks + 1) > _MOST_LOOKS:
                        return False
                    query = bytearray(_QUERY.pack(_QUERY.size, _WRITABLE, at, *_ZEROS))
                    fcntl.ioctl(number, _PROCMAP_QUERY, query, True)
                    answer = _QUERY.unpack(query)
                    start, end = answer[_START], answer[_END]
                    if answer[_INODE]:
                        return False  # a file may end before its mapping does
                at = end
    except OSError as error:
        if error.errno == errno.ENOTTY:
            _has_query = False
        if error.errno != errno.ENOENT:
            raise
        return False
    finally:
        os.close(number)
    return True


def _are_readable(tid: int, ranges: list[tuple[int, int]]) -> bool:
    if sum((length >> 12) + 2 for _, length in ranges) > _MOST_PAGES:
        return False
    probes = [
        (max(page, address), 1)
        for address, length in ranges
        for page in range(address & -_PAGE, address + length, _PAGE)
    ]
    try:
        return len(process.read_vectors(tid, probes)) == len(probes)
    except OSError:
        return False
