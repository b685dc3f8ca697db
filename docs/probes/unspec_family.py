#!/usr/bin/env python3
"""sendto(2) with AF_UNSPEC: a destination on an IPv4 socket; on an IPv6 socket it means the connected peer."""

import ctypes
import socket
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)


def receiver(family: int, host: str) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.settimeout(0.2)
    return sock


def arrives_at(peer: socket.socket, named: socket.socket, address: bytes) -> str:
    """Connect to `peer`, send with `address`: who got it."""
    with socket.socket(peer.family, socket.SOCK_DGRAM) as sender:
        sender.connect(peer.getsockname())
        libc.sendto(sender.fileno(), b"x", 1, 0, address, len(address))
    for title, sock in (("the connected peer", peer), ("the named address", named)):
        try:
            sock.recv(1)
        except TimeoutError:
            continue
        return title
    return "nobody"


def main() -> int:
    one, two = receiver(socket.AF_INET, "127.0.0.1"), receiver(socket.AF_INET, "127.0.0.2")
    address4 = struct.pack("=H2s4s8x", socket.AF_UNSPEC, two.getsockname()[1].to_bytes(2), bytes([127, 0, 0, 2]))
    v4 = arrives_at(one, two, address4)
    print(f"IPv4: {v4}")
    six, seven = receiver(socket.AF_INET6, "::1"), receiver(socket.AF_INET6, "::1")
    address6 = struct.pack("=H2sI16sI", socket.AF_UNSPEC, seven.getsockname()[1].to_bytes(2), 0, b"\0" * 15 + b"\1", 0)
    v6 = arrives_at(six, seven, address6)
    print(f"IPv6: {v6}")
    return 0 if (v4, v6) == ("the named address", "the connected peer") else 1


if __name__ == "__main__":
    sys.exit(main())
