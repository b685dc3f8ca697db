"""A static C program, of glibc and of musl: no libc to preload into, every call straight from its own code."""

from . import built
from .compared import compared


@compared()
def test_static_c(stage):
    return talked(stage, built.static_c())


@compared()
def test_static_musl(stage):
    return talked(stage, built.static_musl())


def talked(stage, net):
    tcp, udp = stage.port("tcp"), stage.port("udp")
    path = stage.folder / "net.sock"
    with stage.server(net, "serve", tcp, udp, path, tcp=(tcp,), udp=(udp,), unix=(path,)) as server:
        seen = [
            stage.client(net, "tcp", "127.0.0.1", tcp),
            stage.client(net, "udp", "127.0.0.1", udp),
            stage.client(net, "unix", path),
        ]
    assert [outcome.status for outcome in seen] == [0, 0, 0], seen
    return [*seen, server.status]


@compared("client")
def test_static_c_blocking_calls(stage):
    """Interrupted and timed calls, a refused connect, and an end by SIGPIPE."""
    return stage.client(built.static_c(), "blocking")


@compared("client")
def test_static_musl_blocking_calls(stage):
    return stage.client(built.static_musl(), "blocking")
