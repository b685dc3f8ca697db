"""curl and wget, and nginx with two workers."""

import hashlib
import os
from contextlib import contextmanager
from pathlib import Path

from .compared import compared
from .needs import program

SOURCES = Path(__file__).with_name("sources")
BIG = b"".join(b"line %d of a larger file\n" % number for number in range(60_000))
HAS_IPV6 = (
    Path("/proc/net/if_inet6").exists() and "00000000000000000000000000000001" in Path("/proc/net/if_inet6").read_text()
)


@contextmanager
def nginx(stage):
    """nginx on a port, on ::1 and on a unix socket, with two files; the port, and the server."""
    port = stage.port("http")
    stage.file("www/small", "hello\n", 0o644)
    stage.file("www/big", BIG, 0o644)
    stage.file("tmp/.keep", "")
    config = (SOURCES / "nginx.conf").read_text()
    config = config.format(
        folder=stage.folder,
        port=port,
        user="user root;" if os.getuid() == 0 else "",
        listen6=f"listen [::1]:{port};" if HAS_IPV6 else "",
    )
    stage.file("nginx.conf", config)
    command = (program("nginx"), "-e", "stderr", "-p", stage.folder, "-c", stage.folder / "nginx.conf")
    with stage.server(*command, tcp=(port,), unix=(stage.folder / "www.sock",)) as server:
        yield port, server


def digest(stage, name):
    file = stage.folder / name
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else "no file"


@compared("client", "server")
def test_curl_with_nginx(stage):
    curl = (program("curl"), "-sS", "--max-time", 20)
    closed = stage.port("closed")
    with nginx(stage) as (port, server):
        base = f"http://127.0.0.1:{port}"
        seen = [
            stage.client(*curl, f"{base}/small"),
            stage.client(*curl, "-f", f"{base}/missing"),
            stage.client(*curl, "-I", "-o", "head", "-w", "%{http_code} %{remote_ip}\n", f"{base}/big"),
            stage.client(
                *curl, "-o", "big", "-w", "%{size_download} %{num_connects}\n", f"{base}/big", "-o", "2", base
            ),
            digest(stage, "big"),
            stage.client(*curl, "--unix-socket", stage.folder / "www.sock", "http://by-unix/small"),
            stage.client(*curl, f"http://localhost:{port}/small"),
            stage.client(*curl, "--interface", "127.0.0.1", f"{base}/small"),
            stage.client(*curl, f"{base}/through/small", f"{base}/over-tcp/small"),
            stage.client(*curl, "-o", "through", f"{base}/over-tcp/big"),
            digest(stage, "through"),
            stage.client(*curl, "-Z", "--parallel-immediate", *[f"{base}/small"] * 12)[:2],  # stderr is a clock
            stage.client(*curl, f"http://127.0.0.1:{closed}/"),
        ]
        if HAS_IPV6:
            seen.append(stage.client(*curl, "-g", f"http://[::1]:{port}/small"))
    assert seen[0] == (0, "hello\n", "")
    return [*seen, server.status]


@compared("client", "server")
def test_wget_with_nginx(stage):
    wget = (program("wget"), "-nv", "--tries=1", "--timeout=20")
    closed = stage.port("closed")
    with nginx(stage) as (port, server):
        base = f"http://127.0.0.1:{port}"
        seen = [
            stage.client(*wget, "-O-", f"{base}/small"),
            stage.client(*wget, f"{base}/big", f"{base}/small"),
            digest(stage, "big"),
            stage.client(*wget, f"{base}/missing"),
            stage.client(*wget, "-O-", f"http://localhost:{port}/through/small"),
            stage.client(*wget, f"http://127.0.0.1:{closed}/"),
        ]
    assert seen[0].out == "hello\n"
    return [*seen, server.status]
