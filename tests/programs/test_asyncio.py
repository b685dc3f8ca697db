"""asyncio of this Python: streams, datagrams, unix sockets, sendfile, time-outs, child processes."""

import sys
from pathlib import Path

from .compared import compared

PEER = Path(__file__).with_name("sources") / "asyncio_peer.py"


@compared()
def test_asyncio(stage):
    tcp, udp, closed = (stage.port(name) for name in ("tcp", "udp", "closed"))
    path = stage.folder / "asyncio.sock"
    command = (sys.executable, PEER)
    with stage.server(*command, "serve", tcp, udp, path, tcp=(tcp,), udp=(udp,), unix=(path,)) as server:
        talked = stage.client(*command, "talk", tcp, udp, path, closed)
    assert talked.status == 0, talked
    return talked, server.status
