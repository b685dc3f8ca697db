#!/usr/bin/env python3
"""A unix datagram socket polls as writable while sendto(2) to a full queue says EAGAIN."""

import select
import socket
import sys


def main() -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        receiver.bind(b"")
        sender.setblocking(False)
        count = 0
        try:
            while count < 100_000:
                sender.sendto(b"x", receiver.getsockname())
                count += 1
        except BlockingIOError:
            pass
        poll = select.poll()
        poll.register(sender, select.POLLOUT)
        writable = bool(poll.poll(0))
    print(f"EAGAIN after {count} datagrams; POLLOUT: {writable}")
    return 0 if writable and count < 100_000 else 1


if __name__ == "__main__":
    sys.exit(main())
