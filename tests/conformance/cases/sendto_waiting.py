"""sendto(2) that waits for room, and what ends the wait; partial sends."""

import signal
import socket as s
import struct

from tests.conformance.case import case
from tests.conformance.kinds import ABSTRACT, PAIRS, PATH, SEQ_PAIR, STREAM_PAIR, STREAM_PATH, STREAMS, TCP
from tests.conformance.memory import Memory
from tests.conformance.raw import syscall

UNIX_STREAMS = tuple(kind for kind in STREAMS if kind.unix)
BIG = 400000


def small_pair(c):
    """Connected, with small buffers."""
    fd, peer = c.linked()
    c.option(fd, s.SOL_SOCKET, s.SO_SNDBUF, 8192)
    c.option(peer, s.SOL_SOCKET, s.SO_RCVBUF, 8192)
    return fd, peer


@case(kinds=STREAMS)
def reader_drains(c):
    """A large blocking send ends when all of it has been taken."""
    fd, peer = c.linked()
    data = Memory(b"d" * 8_000_000)
    with c.once_blocked(lambda: c.take(peer, data.size), "sendto"):
        c.sendto_memory(fd, data)


@case(kinds=PAIRS)
def full_then_room(c):
    """A small send on a full socket waits for room."""
    fd, peer = small_pair(c)
    filled = c.fill(fd, b"f" * 1000)
    with c.once_blocked(lambda: c.take(peer, filled), "sendto"):
        c.sendto(fd, b"late")
    c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=STREAMS)
def full_nonblocking(c):
    """A full socket: EAGAIN with MSG_DONTWAIT, and with O_NONBLOCK."""
    fd, peer = small_pair(c)
    c.fill(fd)
    c.sendto(fd, b"x" * 100000, flags=s.MSG_DONTWAIT)
    c.drain(peer)
    result = syscall("sendto", fd, b"x" * BIG, BIG, s.MSG_DONTWAIT, None, 0)
    c.note("some fits", 0 < result.value < BIG)


@case(kinds=UNIX_STREAMS)
def partial_nonblocking(c):
    """A non-blocking unix stream takes what fits: the exact number."""
    fd, peer = small_pair(c)
    c.sendto(fd, b"p" * BIG, flags=s.MSG_DONTWAIT)
    c.sendto(fd, b"p" * 100, flags=s.MSG_DONTWAIT, label="nothing more")
    c.note("taken", c.drain(peer))


@case(kinds=UNIX_STREAMS)
def partial_by_signal(c):
    """A signal after some of the data went out: the partial count."""
    fd, peer = small_pair(c)
    c.on_signal(signal.SIGUSR1)
    data = Memory(b"d" * BIG)
    with c.once_blocked(c.interrupt, "sendto"):
        c.sendto_memory(fd, data)
    c.note("taken", c.drain(peer))


@case(kinds=UNIX_STREAMS)
def partial_by_signal_restart(c):
    """The same under SA_RESTART: still the partial count."""
    fd, peer = small_pair(c)
    c.on_signal(signal.SIGUSR1, restart=True)
    data = Memory(b"d" * BIG)
    with c.once_blocked(c.interrupt, "sendto"):
        c.sendto_memory(fd, data)
    c.note("taken", c.drain(peer))


@case(kinds=TCP)
def partial_by_signal_tcp(c):
    """TCP: how much is the kernel's affair, but some and not all."""
    fd, _peer = small_pair(c)
    c.on_signal(signal.SIGUSR1)
    data = Memory(b"d" * 8_000_000)
    with c.once_blocked(c.interrupt, "sendto"):
        result = syscall("sendto", fd, data, data.size, 0, None, 0)
    c.note("partial", [result.ok, 0 < result.value < data.size])


@case(kinds=UNIX_STREAMS)
def partial_by_timeout(c):
    """SO_SNDTIMEO after some of the data went out: the partial count; then EAGAIN."""
    fd, peer = small_pair(c)
    c.timeout(fd, s.SO_SNDTIMEO, 60)
    data = Memory(b"d" * BIG)
    c.sendto_memory(fd, data)
    c.sendto(fd, b"more")
    c.note("taken", c.drain(peer))


@case(kinds=UNIX_STREAMS)
def partial_by_close(c):
    """The peer closes after some of the data went out."""
    fd, peer = small_pair(c)
    data = Memory(b"d" * BIG)
    with c.once_blocked(lambda: c.close(peer), "sendto"):
        c.sendto_memory(fd, data)
    c.sendto(fd, b"x", flags=s.MSG_NOSIGNAL, label="afterwards")


@case(kinds=(*PAIRS, *TCP))
def interrupted(c):
    """A full socket and a signal without SA_RESTART: EINTR."""
    fd, _peer = small_pair(c)
    c.fill(fd)
    c.on_signal(signal.SIGUSR1)
    with c.once_blocked(c.interrupt, "sendto"):
        c.sendto(fd, b"x" * 5000)


@case(kinds=PAIRS)
def restarted(c):
    """A full socket, a signal with SA_RESTART, then room."""
    fd, peer = small_pair(c)
    filled = c.fill(fd)
    c.on_signal(signal.SIGUSR1, restart=True)
    with c.once_blocked(lambda: c.interrupt_then(lambda: c.take(peer, filled), "sendto"), "sendto"):
        c.sendto(fd, b"late")
    c.recvfrom(peer, flags=s.MSG_DONTWAIT)


@case(kinds=(*PAIRS, *TCP))
def send_timeout(c):
    """SO_SNDTIMEO on a full socket: EAGAIN."""
    fd, _peer = small_pair(c)
    c.fill(fd)
    c.timeout(fd, s.SO_SNDTIMEO, 60)
    c.sendto(fd, b"x" * 5000)


@case(kinds=(STREAM_PAIR, SEQ_PAIR))
def interrupted_with_timeout(c):
    """With SO_SNDTIMEO a signal is EINTR even under SA_RESTART."""
    fd, _peer = small_pair(c)
    c.fill(fd)
    c.timeout(fd, s.SO_SNDTIMEO, 5000)
    c.on_signal(signal.SIGUSR1, restart=True)
    with c.once_blocked(c.interrupt, "sendto"):
        c.sendto(fd, b"x" * 5000)


@case(kinds=PAIRS)
def peer_closes(c):
    """The peer closes while a send waits on a full socket."""
    fd, peer = small_pair(c)
    c.fill(fd)
    with c.once_blocked(lambda: c.close(peer), "sendto"):
        c.sendto(fd, b"x" * 5000)


@case(kinds=(STREAM_PATH, STREAM_PAIR, *TCP))
def shut_down_while_waiting(c):
    """Another thread shuts the socket down while a send waits."""
    fd, _peer = small_pair(c)
    c.fill(fd)
    with c.once_blocked(lambda: syscall("shutdown", fd, s.SHUT_RDWR), "sendto"):
        c.sendto(fd, b"x" * 5000)


@case(kinds=tuple(kind for kind in PATH + ABSTRACT if not kind.connects))
def receiver_full(c):
    """An unconnected unix datagram socket waits until the receiver's queue has room."""
    server = c.server()
    fd = c.new()
    size = len(server.address)
    sent = 0
    while syscall("sendto", fd, b"q", 1, s.MSG_DONTWAIT, server.address, size).ok:
        sent += 1
    c.note("fit", sent)
    c.sendto(fd, b"x", flags=s.MSG_DONTWAIT, address=server.address)
    with c.once_blocked(lambda: c.take(server.fd, sent), "sendto"):
        c.sendto(fd, b"late", address=server.address)
    c.recvfrom(server.fd, flags=s.MSG_DONTWAIT)
    c.timeout(fd, s.SO_SNDTIMEO, 60)
    while syscall("sendto", fd, b"q", 1, s.MSG_DONTWAIT, server.address, size).ok:
        pass
    c.sendto(fd, b"x", address=server.address, label="timeout")


@case(kinds=STREAMS)
def reset_by_linger(c):
    """The peer resets the connection while a send waits."""
    fd, peer = small_pair(c)
    c.fill(fd)
    c.option(peer, s.SOL_SOCKET, s.SO_LINGER, struct.pack("=ii", 1, 0))
    with c.once_blocked(lambda: c.close(peer), "sendto"):
        c.sendto(fd, b"x" * 5000)
    c.sendto(fd, b"x", label="again")
