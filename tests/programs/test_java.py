"""A JVM: Socket, ServerSocket, NIO channels and selectors, DatagramSocket, unix channels, HttpClient, HttpServer."""

from . import built
from .compared import compared


@compared()
def test_java(stage):
    java = built.java()
    plain, nio, udp, http, closed = (stage.port(name) for name in ("plain", "nio", "udp", "http", "closed"))
    path = stage.folder / "java.sock"
    where = (plain, nio, udp, http, path)
    with stage.server(*java, "serve", *where, tcp=(plain, nio, http), udp=(udp,), unix=(path,)) as server:
        seen = [stage.client(*java, "talk", *where), stage.client(*java, "plain", "127.0.0.1", closed)]
    assert seen[0].status == 0, seen
    return [*seen, server.status]
