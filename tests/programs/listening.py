"""Whether a server is ready, as /proc/net shows it: a connection to find out would be one too many for the server."""

from pathlib import Path

LISTEN = "0A"
ACCEPTCON = "00010000"


def tcp_ports() -> set[int]:
    """The ports that somebody listens on."""
    return {int(row[1].rpartition(":")[2], 16) for row in _rows("tcp", "tcp6") if row[3] == LISTEN}


def udp_ports() -> set[int]:
    """The ports that a UDP socket is bound to."""
    return {int(row[1].rpartition(":")[2], 16) for row in _rows("udp", "udp6")}


def unix_paths() -> set[str]:
    """The names that a stream socket listens on, or a datagram socket is bound to."""
    return {row[7] for row in _rows("unix") if len(row) > 7 and (row[3] == ACCEPTCON or row[4] == "0002")}


def _rows(*names: str) -> list[list[str]]:
    rows = []
    for name in names:
        file = Path("/proc/net", name)
        if file.exists():  # no tcp6 on a machine without IPv6
            rows += [line.split() for line in file.read_text().splitlines()[1:]]
    return rows
