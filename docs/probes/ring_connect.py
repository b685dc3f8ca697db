#!/usr/bin/env python3
"""connect(2) through io_uring where it cannot finish: on TCP and unix sockets, blocking and not, and taken back."""

import errno
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable

from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.uring import Pending, Ring


def full_tcp() -> tuple[list[socket.socket], bytes]:
    """A TCP listener whose queue is full, so that a handshake stays in SYN_SENT; and its address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    kept = [listener]
    for _ in range(2):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        kept.append(client)
    time.sleep(0.05)
    return kept, struct.pack("=H2s4s8x", socket.AF_INET, listener.getsockname()[1].to_bytes(2), bytes([127, 0, 0, 1]))


def full_unix() -> tuple[list[socket.socket], bytes]:
    """A unix listener whose queue is full, and its address."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(b"")
    listener.listen(0)
    client = socket.socket(socket.AF_UNIX)
    client.connect(listener.getsockname())
    return [listener, client], struct.pack("=H", socket.AF_UNIX) + listener.getsockname()


def name(result: int | None) -> str:
    return "under way" if result is None else "0" if result == 0 else errno.errorcode[-result]


def finish(ring: Ring, pending: Pending, limit: float) -> int | None:
    """Give the kernel `limit` seconds to end the operation."""
    deadline = time.monotonic() + limit
    while pending.result is None and (left := deadline - time.monotonic()) > 0:
        select.select([ring.eventfd.fileno()], [], [], left)
        ring.clear_event()
        ring.reap()
    return pending.result


def try_one(ring: Ring, make: Callable[[], socket.socket], address: bytes, *, blocking: bool) -> list[str]:
    """Connect, wait a little, connect again, take both back: the first's result, and the second's at once."""
    with make() as sock, HostFd(os.dup(sock.fileno())) as fd:
        sock.setblocking(blocking)
        first = ring.connect(fd, address)
        seen = [name(finish(ring, first, 0.05))]
        second = ring.connect(fd, address)
        seen.append(name(finish(ring, second, 0.05)))
        for pending in (first, second):
            if pending.result is None:
                ring.cancel(pending)
                finish(ring, pending, 2)
        return [*seen, name(first.result)]


def late_answers(ring: Ring, address: bytes) -> int:
    """Of 300 connects to a full queue with O_NONBLOCK: how many had no result yet when io_uring_enter returned."""
    late = 0
    for _ in range(300):
        with socket.socket(socket.AF_UNIX) as sock, HostFd(os.dup(sock.fileno())) as fd:
            sock.setblocking(False)
            pending = ring.connect(fd, address)
            late += pending.result is None
            finish(ring, pending, 2)
    return late


def main() -> int:
    try:
        ring = Ring()
    except OSError as error:
        print(f"no io_uring here: {error}")
        return 77
    tcp, unix = full_tcp(), full_unix()
    holds = True
    for title, family, address, blocking, expected in (
        ("tcp, O_NONBLOCK", socket.AF_INET, tcp[1], False, ["under way", "EALREADY", "ECANCELED"]),
        ("tcp, blocking", socket.AF_INET, tcp[1], True, ["under way", "EALREADY", "ECANCELED"]),
        ("unix, O_NONBLOCK", socket.AF_UNIX, unix[1], False, ["EAGAIN", "EAGAIN", "EAGAIN"]),
        ("unix, blocking", socket.AF_UNIX, unix[1], True, ["under way", "under way", "EINTR"]),
    ):
        seen = try_one(ring, lambda family=family: socket.socket(family), address, blocking=blocking)
        print(f"{title:<17} after 50 ms: {seen[0]}, a second connect: {seen[1]}, in the end: {seen[2]}")
        holds &= seen == expected
    late = late_answers(ring, unix[1])
    print(f"unix, O_NONBLOCK  EAGAIN came after io_uring_enter had returned: {late} of 300 times")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
