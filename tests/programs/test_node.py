"""node as server, as client, and as a cluster whose workers get their connections passed."""

from pathlib import Path

from .compared import compared
from .needs import program

SOURCES = Path(__file__).with_name("sources")


@compared()
def test_node(stage):
    http, tcp, udp, closed = (stage.port(name) for name in ("http", "tcp", "udp", "closed"))
    path = stage.folder / "node.sock"
    command = (program("node"), SOURCES / "node_server.js", http, tcp, udp, path)
    with stage.server(*command, tcp=(http, tcp), udp=(udp,), unix=(path,)) as server:
        talked = stage.client(program("node"), SOURCES / "node_client.js", "talk", http, tcp, udp, path, closed)
    assert talked.status == 0, talked
    return talked, server.status


@compared()
def test_node_cluster(stage):
    http = stage.port("http")
    ready = stage.folder / "ready"
    command = (program("node"), SOURCES / "node_server.js", http, 0, 0, ready)
    with stage.server(*command, tcp=(http,), files=(ready,), env={"CLUSTER": "2"}) as server:
        talked = stage.client(program("node"), SOURCES / "node_client.js", "talk", http)
    assert talked.status == 0, talked
    return talked, server.status
