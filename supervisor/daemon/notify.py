"""sd_notify(3): telling the service manager how we are."""

import os
import socket


def notify(message: str) -> None:
    """Send `message` to $NOTIFY_SOCKET, if there is one. Never fails: a manager that is gone is no reason to stop."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(message.encode(errors="surrogateescape"), address)
        except OSError:
            pass
