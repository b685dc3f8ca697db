#!/usr/bin/env python3
"""accept4(2) with an address that cannot be written: an error, and the connection is lost."""

import ctypes
import os
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)


def accept(listener: socket.socket, addr: int, length: ctypes.c_int) -> str:
    number = libc.accept4(listener.fileno(), ctypes.c_void_p(addr), ctypes.byref(length), 0)
    if number < 0:
        return os.strerror(ctypes.get_errno())
    os.close(number)
    return "accepted"


def main() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        listener.setblocking(False)
        seen = [accept(listener, 8, ctypes.c_int(16)), accept(listener, 0, ctypes.c_int(16))]
        client.settimeout(2)
        try:
            end = "open" if client.recv(1) else "end of file"
        except ConnectionResetError:
            end = "reset"
        except TimeoutError:
            end = "open"
        print(f"unwritable address: {seen[0]}; accepting again: {seen[1]}; the client sees: {end}")
    return 0 if seen == ["Bad address", "Resource temporarily unavailable"] and end != "open" else 1


if __name__ == "__main__":
    sys.exit(main())
