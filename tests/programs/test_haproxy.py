"""haproxy in front of a Python server: over TCP and unix sockets, and its listeners passed to its successor."""

import hashlib
import sys
from contextlib import contextmanager
from pathlib import Path

from .compared import compared
from .needs import program

SOURCES = Path(__file__).with_name("sources")
BIG = b"".join(b"line %d of a larger file\n" % number for number in range(60_000))


@contextmanager
def proxied(stage):
    """A web server and its haproxy; their ports, and the command that started the proxy."""
    ports = {name: stage.port(name) for name in ("origin", "plain", "web", "closed")}
    stage.file("www/small", "hello\n")
    stage.file("www/big", BIG)
    config = stage.file(
        "haproxy.cfg", (SOURCES / "haproxy.cfg").read_text().format(folder=stage.folder, **ports), 0o644
    )
    origin = (sys.executable, SOURCES / "http_server.py", ports["origin"], stage.folder / "www")
    # In the foreground it writes no pid file.
    shell = 'echo $$ > "$0"; exec "$@"'
    command = ("sh", "-c", shell, stage.folder / "pid", program("haproxy"), "-db", "-q", "-f", config)
    # Its unix sockets are bound under other names and renamed, which /proc/net/unix does not tell.
    ready = {"tcp": (ports["plain"], ports["web"]), "files": (stage.folder / "web.sock", stage.folder / "pid")}
    with stage.server(*origin, tcp=(ports["origin"],)), stage.server(*command, **ready) as server:
        yield ports, command, server


@compared()
def test_haproxy(stage):
    curl = (program("curl"), "-sS", "--max-time", 20)
    many = (*curl, "-Z", "--parallel-immediate", "-w", "%{http_code}\n")
    with proxied(stage) as (ports, _, server):
        plain, web = (f"http://127.0.0.1:{ports[name]}" for name in ("plain", "web"))
        seen = [
            stage.client(*curl, f"{plain}/small"),
            stage.client(*curl, "-o", "big", "-w", "%{size_download}", f"{plain}/big"),
            hashlib.sha256((stage.folder / "big").read_bytes()).hexdigest(),
            stage.client(*curl, "-w", "%header{x-proxy}", f"{web}/small", f"{web}/missing"),
            stage.client(*curl, "--unix-socket", stage.folder / "web.sock", "http://by-unix/small"),
            stage.client(*curl, f"{web}/through/big", "-o", "through"),
            hashlib.sha256((stage.folder / "through").read_bytes()).hexdigest(),
            stage.client(*curl, f"{web}/through/small", f"{web}/dead"),
            sorted(stage.client(*many, *[f"{web}/small", f"{web}/through/small"] * 8).out.split()),
        ]
    assert seen[0] == (0, "hello\n", "")
    return [*seen, server.status]


@compared()
def test_haproxy_reload(stage):
    """The new haproxy gets the listeners of the old one over a unix socket, and tells the old one to finish."""
    curl = (program("curl"), "-sS", "--max-time", 20)
    with proxied(stage) as (ports, command, old):
        url = f"http://127.0.0.1:{ports['web']}/small"
        seen = [stage.client(*curl, url)]
        take_over = ("-x", stage.folder / "stats.sock", "-sf", (stage.folder / "pid").read_text().strip())
        with stage.server(*command, *take_over) as new:
            ended = old.process.wait(20)
            seen += [
                stage.client(*curl, url),
                stage.client(*curl, "--unix-socket", stage.folder / "web.sock", "http://by-unix/small"),
                stage.client(*curl, f"http://127.0.0.1:{ports['web']}/through/small"),
            ]
    assert [outcome.out for outcome in seen] == ["hello\n"] * 4, seen
    return [*seen, ended, new.status, old.log.read_text(), new.log.read_text()]
