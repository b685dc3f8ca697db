"""Under a policy that names one server, clients reach that server and are refused at any other.

With the named server a client has to behave as it does natively. At another one it has to behave as it does natively
when the kernel refuses its connect with EACCES (refuse.py), and the other server must not see a connection.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from . import built
from .compared import MODES, difference, staged
from .needs import program
from .test_git import ENV as GIT_ENV
from .test_git import http_server
from .test_postgres import database_user, postgres
from .test_redis import redis

SOURCES = Path(__file__).with_name("sources")

POLICY = """\
[policy.test]
default = "deny"
errno = "EACCES"
socket.allow = ["inet", "inet6", "unix", "netlink:route"]
connect.allow = ["{allowed}"]
"""


@contextmanager
def web(stage) -> Iterator[int]:
    """A web server with the file `small` and the repository repo.git."""
    stage.file("srv/small", "hello\n")
    with http_server(stage) as (port, _):
        yield port


@contextmanager
def redis_server(stage) -> Iterator[int]:
    with redis(stage) as (port, _, _):
        yield port


@contextmanager
def c_server(stage) -> Iterator[int]:
    """Echoes, TCP and UDP at the same port."""
    port = stage.port("echo")
    path = stage.folder / "net.sock"
    with stage.server(built.static_c(), "serve", port, port, path, tcp=(port,), udp=(port,), unix=(path,)):
        yield port


@contextmanager
def java_server(stage) -> Iterator[int]:
    ports = [stage.port(name) for name in ("plain", "nio", "udp", "http")]
    path = stage.folder / "java.sock"
    with stage.server(*built.java(), "serve", *ports, path, tcp=(ports[0], ports[1], ports[3]), udp=(ports[2],)):
        yield ports[0]


@contextmanager
def postgres_server(stage) -> Iterator[int]:
    with postgres(stage) as (port, _, _):
        yield port


@contextmanager
def go_server(stage) -> Iterator[int]:
    ports = [stage.port(name) for name in ("http", "tcp", "udp")]
    path = stage.folder / "go.sock"
    with stage.server(built.static_go(), "serve", *ports, path, tcp=tuple(ports[:2]), udp=(ports[2],), unix=(path,)):
        yield ports[0]


def curl(host, port):
    return (program("curl"), "-sS", "-v", "--max-time", 20, f"http://{host}:{port}/small")


def wget(host, port):
    return (program("wget"), "-nv", "--tries=1", "--timeout=20", "-O-", f"http://{host}:{port}/small")


def node(host, port):
    return (program("node"), SOURCES / "node_client.js", "get", f"http://{host}:{port}/small")


def java_http(host, port):
    return (*built.java(), "get", f"http://{host}:{port}/small")


def java_socket(host, port):
    return (*built.java(), "plain", host, port)


def git(host, port):
    return (program("git"), "ls-remote", f"http://{host}:{port}/repo.git")


def redis_cli(host, port):
    return (program("redis-cli"), "-h", host, "-p", port, "ping")


def psql(host, port):
    return (program("psql"), "-X", "-w", "-U", database_user(), "-h", host, "-p", port, "-c", "select 1", "postgres")


def go_http(host, port):
    return (built.static_go(), "get", f"http://{host}:{port}/who")


def busybox_nc(host, port):
    return (program("busybox"), "nc", "-w", 5, host, port)


def static_c(host, port):
    return (built.static_c(), "tcp", host, port)


def static_c_udp(host, port):
    return (built.static_c(), "udp", host, port)


class Client(NamedTuple):
    """A client, its server, what the policy calls that server, and the calls by which the client gets there."""

    command: Callable[[str, int], tuple]
    server: Callable
    allowed: str = "127.0.0.1:{port}"
    calls: str = "connect"
    kind: int = socket.SOCK_STREAM


CLIENTS = [
    Client(curl, web),
    Client(wget, web),
    Client(node, web),
    Client(java_http, web),
    Client(java_socket, java_server),
    Client(git, web),
    Client(redis_cli, redis_server),
    Client(psql, postgres_server),
    Client(go_http, go_server),
    Client(busybox_nc, redis_server),
    Client(static_c, c_server),
    Client(static_c_udp, c_server, "udp:127.0.0.1:{port}", "connect,sendto", socket.SOCK_DGRAM),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.command.__name__)
def test_the_named_server_and_no_other(client: Client, mode: str) -> None:
    with staged(mode, "client") as stage, client.server(stage) as port, silent(client, stage, port) as others:
        policy = stage.file("policy.toml", POLICY.format(allowed=client.allowed.format(port=port)))

        def run(host: str, port: int):
            return trimmed(stage.client(*client.command(host, port), env=GIT_ENV))

        with stage.natively():
            reached = run("127.0.0.1", port)
        stage.policy = f"{policy}:test"
        got = run("127.0.0.1", port)
        assert got == reached, f"{difference(reached, got)}\n{stage.logs()}"
        assert got.status == 0, got

        for host, other_port, other in others:
            stage.refused = client.calls
            refused = run(host, other_port)
            stage.refused = ""
            assert refused.status != 0, refused
            nobody_came(other, client.kind)

            got = run(host, other_port)
            assert got == refused, f"{host}: {difference(refused, got)}\n{stage.logs()}"
            nobody_came(other, client.kind)
            assert str(other_port) in stage.log.read_text().splitlines()[-1]


@contextmanager
def silent(client: Client, stage, port: int):
    """Servers that the policy does not name: another port, and the same port of another address. They only listen."""
    elsewhere = stage.port("other")
    with (
        socket.socket(socket.AF_INET, client.kind) as other_port,
        socket.socket(socket.AF_INET, client.kind) as other_address,
    ):
        addresses = ("127.0.0.1", elsewhere), ("127.0.0.2", port)
        for other, address in zip((other_port, other_address), addresses, strict=True):
            other.bind(address)
            other.setblocking(False)
            if client.kind == socket.SOCK_STREAM:
                other.listen()
        yield [(*addresses[0], other_port), (*addresses[1], other_address)]


def nobody_came(other: socket.socket, kind: int) -> None:
    with pytest.raises(BlockingIOError):
        other.accept() if kind == socket.SOCK_STREAM else other.recv(100)


def trimmed(outcome):
    """Without the lines of curl -v that tell a time or a client port."""
    lines = outcome.err.splitlines()
    return outcome._replace(err="\n".join(line for line in lines if not line.startswith(("< Date", "* Connected"))))
