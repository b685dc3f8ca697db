"""shutdown(2): directions, states, wrong values, what others see."""

import os
import select
import socket as s

from tests.conformance.case import case
from tests.conformance.kinds import ALL, CONNECTED, LISTENING, NAMED, PLAIN, both
from tests.conformance.raw import GARBAGE

HOW = {"RD": s.SHUT_RD, "WR": s.SHUT_WR, "RDWR": s.SHUT_RDWR}


@case(kinds=both(ALL))
def each_direction(c):
    """What both ends see after each direction."""
    for name, how in HOW.items():
        fd, peer = c.linked(label=f"l{how}")
        c.call("shutdown", fd, how, label=name)
        c.poll(fd, select.POLLIN | select.POLLRDHUP, 0, label="own")
        c.sendto(fd, b"out", flags=s.MSG_NOSIGNAL)
        c.recvfrom(peer, flags=s.MSG_DONTWAIT)
        c.sendto(peer, b"in", flags=s.MSG_NOSIGNAL)
        c.recvfrom(fd, flags=s.MSG_DONTWAIT)


@case(kinds=ALL)
def twice(c):
    """The same direction again, then the other."""
    fd, peer = c.linked()
    for how in (s.SHUT_WR, s.SHUT_WR, s.SHUT_RD, s.SHUT_RDWR):
        c.call("shutdown", fd, how, label=f"{how}")
    c.call("shutdown", peer, s.SHUT_RDWR, label="peer")
    c.poll(peer, select.POLLIN | select.POLLRDHUP)


@case(kinds=PLAIN)
def wrong_values(c):
    """3, negative, huge, garbage above."""
    fd, _peer = c.linked()
    for how in (3, 4, -1, 1 << 31, (1 << 31) - 1, 1 << 32 | 3, GARBAGE | 3):
        c.call("shutdown", fd, how, label=f"{how:#x}")
        c.call("shutdown", c.new(), how, label=f"fresh {how:#x}")
    c.call("shutdown", fd, GARBAGE | 1, label="garbage above")


@case(kinds=NAMED)
def not_connected(c):
    """Fresh, bound and listening sockets."""
    for label, fd in {"fresh": c.new(), "bound": c.bound("b").fd, "server": c.server("s").fd}.items():
        for name, how in HOW.items():
            c.call("shutdown", fd, how, label=f"{label} {name}")


@case(kinds=LISTENING)
def queue_lost(c):
    """A listener that is shut down: what becomes of a client in its queue."""
    server = c.server()
    fd = c.new()
    c.connect(fd, server.address)
    c.call("shutdown", server.fd, s.SHUT_RD)
    os.set_blocking(server.fd, False)
    c.accept(server.fd)
    c.poll(fd, select.POLLIN, 50)


@case(kinds=CONNECTED)
def of_a_copy(c):
    """shutdown holds for all copies of a descriptor, close only for one."""
    fd, peer = c.linked()
    copy = c.own(os.dup(fd))
    c.close(fd)
    c.sendto(copy, b"still there")
    c.recvfrom(peer)
    c.note("child", c.in_child(lambda: c.call("shutdown", copy, s.SHUT_WR)))
    c.sendto(copy, b"x", flags=s.MSG_NOSIGNAL)
    c.recvfrom(peer)
