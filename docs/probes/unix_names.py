#!/usr/bin/env python3
"""Names of unix sockets: the longest one as it is reported, and connecting through an O_PATH descriptor."""

import ctypes
import os
import socket
import struct
import sys
import tempfile

libc = ctypes.CDLL(None, use_errno=True)


def reported_length(sock: socket.socket) -> int:
    buffer, length = ctypes.create_string_buffer(128), ctypes.c_uint(128)
    libc.getsockname(sock.fileno(), buffer, ctypes.byref(length))
    return length.value


def longest_name() -> tuple[int, str]:
    """Bind to 108 bytes of path: the length that getsockname reports, and whether bind takes that back."""
    with tempfile.TemporaryDirectory() as directory:
        path = (directory + "/").encode().ljust(108, b"x")
        with socket.socket(socket.AF_UNIX) as sock, socket.socket(socket.AF_UNIX) as other:
            address = struct.pack("=H", socket.AF_UNIX) + path
            if libc.bind(sock.fileno(), address, len(address)):
                return -1, os.strerror(ctypes.get_errno())
            os.unlink(path)
            again = libc.bind(other.fileno(), address + b"\0", len(address) + 1)
            return reported_length(sock), os.strerror(ctypes.get_errno()) if again else "bound"


def through_descriptor() -> tuple[str, str, str]:
    """Connect to /proc/self/fd/N: the outcome, the name that the client sees, and the link's own name."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as server:
        path = f"{directory}/server"
        server.bind(path)
        server.listen()
        fd = os.open(path, os.O_PATH)
        os.rename(path, f"{directory}/moved")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"/proc/self/fd/{fd}")
            peer = str(client.getpeername()).removeprefix(directory)
        link = os.readlink(f"/proc/self/fd/{fd}").removeprefix(directory)
        os.close(fd)
        return "connected", peer, link


def main() -> int:
    length, again = longest_name()
    print(f"a path of 108 bytes: getsockname reports {length} bytes; bind with 111 bytes: {again}")
    outcome, peer, link = through_descriptor()
    print(f"through /proc/self/fd/N after the file was renamed: {outcome}, the peer is named {peer}, the file {link}")
    holds = (length, again, outcome, peer, link) == (111, "Invalid argument", "connected", "/server", "/moved")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
