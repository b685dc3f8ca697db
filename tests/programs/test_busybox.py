"""busybox, linked statically: httpd, nc and ip of one small binary."""

import hashlib
import sys
from contextlib import contextmanager
from pathlib import Path

from .compared import compared
from .needs import program

SOURCES = Path(__file__).with_name("sources")
BIG = bytes(range(256)) * 3000


@contextmanager
def httpd(stage):
    port = stage.port("http")
    stage.file("www/small", "hello\n", 0o644)
    stage.file("www/big", BIG, 0o644)
    command = (program("busybox"), "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", stage.folder / "www")
    with stage.server(*command, tcp=(port,)) as server:
        yield port, server


@compared("server")
def test_busybox_httpd(stage):
    """The static wget looks up the port of "http" with glibc's modules and crashes natively where they are newer."""
    curl = (program("curl"), "-sS", "--max-time", 20)
    with httpd(stage) as (port, server):
        base = f"http://127.0.0.1:{port}"
        seen = [
            stage.client(*curl, f"{base}/small"),
            stage.client(*curl, "-o", "big", "-w", "%{size_download}", f"{base}/big"),
            hashlib.sha256((stage.folder / "big").read_bytes()).hexdigest(),
            stage.client(*curl, "-f", f"{base}/missing"),
        ]
    assert seen[0] == (0, "hello\n", "")
    return [*seen, server.status]


@compared("client")
def test_busybox_nc(stage):
    """Debian's nc listens on every address or none, so it is the client only."""
    nc = (program("busybox"), "nc")
    port, closed = stage.port("nc"), stage.port("closed")
    echo = (sys.executable, SOURCES / "asyncio_peer.py", "serve", port, port, stage.folder / "echo.sock")
    with stage.server(*echo, tcp=(port,)):
        seen = [
            stage.client(*nc, "127.0.0.1", port, stdin=b"first\n"),
            stage.client(*nc, "localhost", port, stdin=b"%d\n" % 7 * 50_000),
            stage.client(*nc, "127.0.0.1", port, "-e", "sh", "-c", "echo asked; head -n1 >&2"),
            stage.client(*nc, "-w", 2, "127.0.0.1", closed),
        ]
    assert seen[0].out == "first\n"
    return seen


@compared("client")
def test_busybox_ip(stage):
    """Netlink of a static program."""
    lo = Path("/sys/class/net/lo/ifindex").read_text().strip()
    outcome = stage.client(program("busybox"), "ip", "addr", "show", "lo")
    assert outcome.out.startswith(f"{lo}: lo")
    return outcome
