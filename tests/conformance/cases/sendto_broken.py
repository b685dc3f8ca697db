"""sendto(2) to nobody: broken pipes and SIGPIPE, shutdowns, refusals that come later."""

import select
import signal
import socket as s

from tests.conformance.address import port_of, with_port
from tests.conformance.case import FULL, case
from tests.conformance.kinds import (
    CONNECTED,
    DATAGRAM,
    PAIRS,
    TCP,
    TCP4,
    UDP,
    both,
)

NAMED_DATAGRAM = tuple(kind for kind in DATAGRAM if kind.naming != "pair")


@case(kinds=UDP)
def refused(c):
    """An unconnected UDP socket is told nothing about a refusal."""
    fd = c.new()
    address = c.unreachable()
    c.sendto(fd, b"x", address=address)
    c.sendto(fd, b"x", address=address, label="again")
    c.so_error(fd)


@case(kinds=NAMED_DATAGRAM)
def connected_elsewhere(c):
    """The receiver is connected to somebody else: unix says EPERM."""
    receiver, other = c.bound("receiver"), c.bound("other")
    c.connect(receiver.fd, other.address)
    c.sendto(c.new(), b"x", address=receiver.address)


@case(kinds=both(CONNECTED))
def broken_pipe(c):
    """The peer closed: EPIPE with SIGPIPE, and without it under MSG_NOSIGNAL."""
    fd, peer = c.linked()
    c.close(peer)
    if not c.kind.unix:
        c.sendto(fd, b"reset", label="first")
        c.poll(fd, select.POLLHUP)
    c.sendto(fd, b"x", label="with signal")
    c.note("signals so far", list(c.signals))
    c.sendto(fd, b"x", flags=s.MSG_NOSIGNAL, label="without")
    c.note("signals so far", list(c.signals))
    c.sendto(fd, b"", label="empty")


@case(kinds=CONNECTED)
def after_shutdown(c):
    """After shutdown(SHUT_WR), and after the peer's shutdown(SHUT_RD)."""
    fd, peer = c.linked()
    c.call("shutdown", peer, s.SHUT_RD)
    c.sendto(fd, b"to the deaf", label="peer does not read")
    c.call("shutdown", fd, s.SHUT_WR)
    c.sendto(fd, b"x", label="own shutdown")
    c.sendto(fd, b"", label="own shutdown, empty")


@case(kinds=tuple(kind for kind in DATAGRAM if kind.unix))
def datagram_peer_gone(c):
    """A unix datagram peer that closed: ECONNREFUSED, then ENOTCONN."""
    fd, peer = c.linked()
    c.close(peer)
    c.sendto(fd, b"x", label="first")
    c.sendto(fd, b"x", label="second")


@case(kinds=(*PAIRS, TCP4))
def signal_goes_to_the_thread(c):
    """SIGPIPE is meant for the calling thread, not for the process."""
    fd, peer = c.linked()
    c.close(peer)
    if not c.kind.unix:
        c.sendto(fd, b"reset", label="first")
        c.poll(fd, select.POLLHUP)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPIPE])
    c.sendto(fd, b"x")
    with c.task() as task:
        c.note("pending", task.pending(signal.SIGPIPE))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPIPE])


@case(kinds=(*PAIRS, TCP4))
def signal_is_deadly(c):
    """Without a handler SIGPIPE ends the process; ignored it does not."""
    fd, peer = c.linked()
    c.close(peer)
    if not c.kind.unix:
        c.sendto(fd, b"reset", label="first")
        c.poll(fd, select.POLLHUP)

    def child(disposition):
        signal.signal(signal.SIGPIPE, disposition)
        c.sendto(fd, b"x")

    c.note("default", c.in_child(lambda: child(signal.SIG_DFL)))
    c.note("ignored", c.in_child(lambda: child(signal.SIG_IGN)))


def information(c, fd):
    """Provoke SIGPIPE and record what siginfo says about it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPIPE])
    c.sendto(fd, b"x")
    info = signal.sigtimedwait([signal.SIGPIPE], 0.2)
    c.note("siginfo", [info.si_code, c.pid_token(info.si_pid), info.si_uid] if info else None)


@case(kinds=PAIRS)
def signal_information(c):
    """What siginfo says about SIGPIPE: the sender is the process itself."""
    fd, peer = c.pair()
    c.close(peer)
    information(c, fd)


@case(kinds=TCP, differs=FULL, because="a signal of the supervisor's carries its pid, and no call sets another")
def signal_information_tcp(c):
    """The same for TCP."""
    fd, peer = c.linked()
    c.close(peer)
    c.sendto(fd, b"reset", label="first")
    c.poll(fd, select.POLLHUP)
    information(c, fd)


@case(kinds=UDP)
def pending_error(c):
    """A connected UDP socket with an error waiting: the next send reports it and sends nothing."""
    fd = c.new()
    address = c.unreachable()
    c.connect(fd, address)
    c.sendto(fd, b"x")
    c.ready(fd, select.POLLERR)
    c.sendto(fd, b"y", address=with_port(address, port_of(c.server("other").address)), label="to another address")
    c.sendto(fd, b"z", label="again")


@case(kinds=UDP)
def after_udp_shutdown(c):
    """UDP after shutdown."""
    fd, _ = c.linked()
    c.call("shutdown", fd, s.SHUT_WR)
    c.sendto(fd, b"x")
