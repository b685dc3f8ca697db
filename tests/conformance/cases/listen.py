"""listen(2): backlogs, states, kinds that cannot."""

import socket as s

from tests.conformance.address import in4, port_of
from tests.conformance.case import case
from tests.conformance.kinds import ALL, DATAGRAM, INET, LISTENING, TCP, TCP4, both
from tests.conformance.raw import GARBAGE, must, syscall

SO_ACCEPTCONN = 30


@case(kinds=both(LISTENING))
def success(c):
    """Bound, listening, seen by SO_ACCEPTCONN, connected to."""
    server = c.bound()
    c.get_int(server.fd, s.SOL_SOCKET, SO_ACCEPTCONN, "before")
    c.listen(server.fd)
    c.get_int(server.fd, s.SOL_SOCKET, SO_ACCEPTCONN, "after")
    c.connect(c.new(c.kind._replace(nonblock=False)), server.address)


@case(kinds=LISTENING)
def backlogs(c):
    """Zero, negative, huge, with garbage in the upper half."""
    for backlog in (0, -1, 1, 4096, 4097, 1 << 30, (1 << 31) - 1, -(1 << 31), GARBAGE | 1, 1 << 32):
        server = c.bound(f"b{backlog}")
        c.listen(server.fd, backlog, label=f"backlog {backlog:#x}")
        client = c.new()
        c.connect(client, server.address)
        c.close(client)


@case(kinds=tuple(kind for kind in LISTENING if kind.unix))
def room(c):
    """How many unix connections fit before EAGAIN."""
    for backlog in (0, 1, 2, 5):
        server = c.server(f"b{backlog}", backlog=backlog)
        c.note(f"backlog {backlog}", len(c.fill_backlog(server)))


@case(kinds=tuple(kind for kind in LISTENING if kind.unix))
def room_changes(c):
    """A second listen changes the backlog."""
    server = c.server(backlog=0)
    c.note("first", len(c.fill_backlog(server)))
    c.listen(server.fd, 3)
    c.note("more", len(c.fill_backlog(server)))
    c.listen(server.fd, 0)
    c.note("less", len(c.fill_backlog(server)))


@case(kinds=ALL)
def unbound(c):
    """Without bind: TCP gets a free port on every address, unix does not listen."""
    fd = c.pair()[0] if c.kind.naming == "pair" else c.new()
    c.listen(fd)
    c.getsockname(fd)
    c.get_int(fd, s.SOL_SOCKET, SO_ACCEPTCONN, "SO_ACCEPTCONN")


@case(kinds=TCP)
def unbound_is_reachable(c):
    """The free port takes connections."""
    fd = c.new()
    c.listen(fd)
    port = port_of(c.local(fd))
    c.connect(c.new(TCP4), in4(port=port))
    c.accept(fd)


@case(kinds=LISTENING)
def twice(c):
    """Listening again is fine."""
    server = c.server()
    c.listen(server.fd, 1)
    c.listen(server.fd, 5)


@case(kinds=DATAGRAM)
def datagram(c):
    """EOPNOTSUPP, bound and connected."""
    if c.kind.naming == "pair":
        c.listen(c.pair()[0])
        return
    c.listen(c.new(), label="fresh")
    c.listen(c.bound().fd, label="bound")
    c.listen(c.linked(label="l")[0], label="connected")


@case(kinds=ALL)
def connected(c):
    """A connected socket does not listen."""
    one, two = c.linked()
    c.listen(one)
    c.listen(two)


@case(kinds=TCP)
def address_taken(c):
    """With SO_REUSEADDR two bind, only one listens."""
    one, two = c.new(), c.new()
    for fd in (one, two):
        c.option(fd, s.SOL_SOCKET, s.SO_REUSEADDR, 1)
    c.bind(one, c.name())
    c.bind(two, c.local(one))
    c.listen(one)
    c.listen(two)


@case(kinds=LISTENING)
def after_shutdown(c):
    """shutdown ends listening; a TCP socket listens again, with the same name."""
    server = c.server()
    c.call("shutdown", server.fd, s.SHUT_RD)
    c.get_int(server.fd, s.SOL_SOCKET, SO_ACCEPTCONN, "SO_ACCEPTCONN")
    c.listen(server.fd)
    c.getsockname(server.fd)
    result = syscall("connect", c.new(c.kind._replace(nonblock=True)), server.address, len(server.address))
    c.note("connect", str(result))


@case(kinds=LISTENING)
def credentials_of_the_listener(c):
    """A client sees who called listen."""
    server = c.bound()
    if c.kind.naming == "path":
        (c.directory() / "s").chmod(0o666)

    def child():
        c.become_nobody()
        c.listen(server.fd)

    c.note("child", c.in_child(child))
    client = c.new()
    c.connect(client, server.address)
    c.peer_credentials(client)


@case(kinds=INET)
def number_with_garbage(c):
    """The upper half of the descriptor's register does not matter."""
    server = c.bound()
    c.listen(server.fd | GARBAGE, 1)


@case(kinds=TCP)
def many_waiting(c):
    """Connections beyond the backlog wait, those within it are accepted in order."""
    server = c.server(backlog=3)
    clients = [c.new() for _ in range(3)]
    for index, client in enumerate(clients):
        must("connect", client, server.address, len(server.address))
        c.sendto(client, b"%d" % index)
    for _ in clients:
        c.recvfrom(c.accept(server.fd, None).value)
