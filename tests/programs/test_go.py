"""A static Go program: no libc, its own scheduler over many threads, non-blocking sockets and epoll throughout."""

from . import built
from .compared import compared


@compared()
def test_go(stage):
    net = built.static_go()
    http, tcp, udp, closed = (stage.port(name) for name in ("http", "tcp", "udp", "closed"))
    where = (http, tcp, udp, stage.folder / "go.sock")
    with stage.server(net, "serve", *where, tcp=(http, tcp), udp=(udp,), unix=(where[3],)) as server:
        talked = stage.client(net, "talk", *where, closed)
    assert talked.status == 0, talked
    return talked, server.status
