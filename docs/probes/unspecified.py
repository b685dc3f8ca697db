#!/usr/bin/env python3
"""Where connect(2) to 0.0.0.0 and :: leads, when the socket is bound and when it is not."""

import socket
import sys


def reached(family: int, own: str | None, to: str) -> str:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        if own is not None:
            sock.bind((own, 0))
        sock.connect((to, 9))
        return str(sock.getpeername()[0])


def main() -> int:
    cases = (
        (socket.AF_INET, None, "0.0.0.0", "127.0.0.1"),  # noqa: S104 - the question
        (socket.AF_INET, "127.9.9.9", "0.0.0.0", "127.9.9.9"),  # noqa: S104
        (socket.AF_INET6, None, "::", "::1"),
        (socket.AF_INET6, "::ffff:127.9.9.9", "::", "::ffff:127.0.0.1"),
        (socket.AF_INET6, "::ffff:127.9.9.9", "::ffff:0.0.0.0", "::ffff:127.9.9.9"),
    )
    holds = True
    for family, own, to, expected in cases:
        try:
            peer = reached(family, own, to)
        except OSError as error:
            peer = str(error)
        print(f"bound to {own}, connected to {to}: the peer is {peer}")
        holds &= peer == expected
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
