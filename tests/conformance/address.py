"""Socket addresses: packed by hand for the kernel, and described without what differs from run to run."""

import codecs
import os
import re
import secrets
import socket as s
import struct
import tempfile
from pathlib import Path

codecs.lookup("unicode_escape")  # loaded now: a case may have no descriptor left for it

LOOPBACK4 = "127.0.0.1"
LOOPBACK6 = "::1"


def in4(host: str = LOOPBACK4, port: int = 0) -> bytes:
    return struct.pack("=H", s.AF_INET) + struct.pack("!H", port) + s.inet_pton(s.AF_INET, host) + bytes(8)


def in6(host: str = LOOPBACK6, port: int = 0, scope: int = 0, flow: int = 0) -> bytes:
    return (
        struct.pack("=H", s.AF_INET6)
        + struct.pack("!HI", port, flow)
        + s.inet_pton(s.AF_INET6, host)
        + struct.pack("=I", scope)
    )


def un(path: str | bytes) -> bytes:
    """sockaddr_un with exactly these bytes: no NUL is added."""
    return struct.pack("=H", s.AF_UNIX) + (path if isinstance(path, bytes) else os.fsencode(path))


def family_only(family: int, size: int = 16) -> bytes:
    return struct.pack("=H", family) + bytes(size - 2)


UNSPEC = family_only(s.AF_UNSPEC)


def port_of(address: bytes) -> int:
    return struct.unpack_from("!H", address, 2)[0]


def with_port(address: bytes, port: int) -> bytes:
    return address[:2] + struct.pack("!H", port) + address[4:]


class Names:
    """The names of one case, unlike any other case's, and their tokens in the trace.

    A name is always `cf-` and eight digits, so that it keeps its length when they become `$$$$$$$$`, even where the
    kernel cut it.
    """

    def __init__(self) -> None:
        self.token = secrets.token_hex(4)
        self.directory = Path(tempfile.gettempdir()) / f"cf-{self.token}"
        self._ports: dict[int, str] = {}

    def path(self, label: str) -> str:
        return str(self.directory / label)

    def abstract(self, label: str) -> bytes:
        return b"\0cf-" + f"{self.token}/{label}".encode()

    def port(self, port: int) -> str:
        """Ephemeral ports become p1, p2, ... in the order in which they are seen."""
        if port < 32768:
            return str(port)
        return self._ports.setdefault(port, f"p{len(self._ports) + 1}")

    def text(self, data: bytes) -> str:
        """Bytes as printable text, with the case's token (whole, or cut by the end) taken out."""
        text = data.decode("latin-1").encode("unicode_escape").decode()
        for size in range(8, 0, -1):
            text = re.sub(f"cf-{self.token[:size]}" + ("" if size == 8 else "$"), "cf-" + "$" * size, text)
        return text

    def address(self, data: bytes) -> str:
        """One line for a socket address as the kernel wrote it, however short it is."""
        if len(data) < 2:
            return f"bytes {data.hex()}"
        (family,) = struct.unpack_from("=H", data)
        if family == s.AF_UNIX and re.fullmatch(rb"\0[0-9a-f]{5}", data[2:]):
            return "unix 8 autobind"
        if family == s.AF_UNIX:
            return f"unix {len(data)} '{self.text(data[2:])}'"
        if family == s.AF_INET and len(data) >= 16:
            tail = "" if not any(data[8:16]) else f" zero={data[8:16].hex()}"
            more = "" if len(data) == 16 else f" more={data[16:].hex()}"
            return f"{s.inet_ntop(family, data[4:8])}:{self.port(port_of(data))}{tail}{more}"
        if family == s.AF_INET6 and len(data) >= 28:
            flow, scope = data[4:8].hex(), struct.unpack_from("=I", data, 24)[0]
            tail = ("" if not any(data[4:8]) else f" flow={flow}") + (f" scope={scope}" if scope else "")
            more = "" if len(data) == 28 else f" more={data[28:].hex()}"
            return f"[{s.inet_ntop(family, data[8:24])}]:{self.port(port_of(data))}{tail}{more}"
        if family in (s.AF_INET, s.AF_INET6):
            port = self.port(port_of(data)) if len(data) >= 4 else "cut" * (len(data) - 2)
            return f"family {family} port {port} rest {data[4:].hex()}"
        return f"family {family} rest {data[2:].hex()}"
