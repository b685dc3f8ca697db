"""recvfrom(2), recvmsg(2) and recvmmsg(2) that wait, and what ends the wait."""

import os
import signal
import socket as s
import struct

from tests.conformance.case import case
from tests.conformance.kinds import ALL, CONNECTED, PAIRS, PLAIN, STREAMS, TCP, TCP4, UDP4
from tests.conformance.memory import Memory
from tests.conformance.message import Message, Vector
from tests.conformance.raw import must, syscall

SOME = (TCP4, UDP4, *PAIRS)


def sender(fd, *words):
    return lambda: [must("sendto", fd, word, len(word), 0, None, 0) for word in words]


@case(kinds=ALL)
def data_arrives(c):
    """recvfrom waits until there is data."""
    fd, peer = c.linked()
    with c.once_blocked(sender(fd, b"data"), "recvfrom"):
        c.recvfrom(peer, length=128)


@case(kinds=SOME, call="recvmsg")
def data_arrives_message(c):
    """recvmsg waits until there is data."""
    fd, peer = c.linked()
    with c.once_blocked(sender(fd, b"data"), "recvmsg"):
        c.recvmsg(peer, Message([Memory(16)]))


@case(kinds=CONNECTED)
def peer_closes(c):
    """The peer closes while a receive waits."""
    fd, peer = c.linked()
    with c.once_blocked(lambda: c.close(fd), "recvfrom"):
        c.recvfrom(peer)


@case(kinds=SOME)
def interrupted(c):
    """A signal without SA_RESTART: EINTR."""
    _fd, peer = c.linked()
    c.on_signal(signal.SIGUSR1)
    with c.once_blocked(c.interrupt, "recvfrom"):
        c.recvfrom(peer)


@case(kinds=SOME)
def restarted(c):
    """A signal with SA_RESTART, then data."""
    fd, peer = c.linked()
    c.on_signal(signal.SIGUSR1, restart=True)
    with c.once_blocked(lambda: c.interrupt_then(sender(fd, b"data"), "recvfrom"), "recvfrom"):
        c.recvfrom(peer)


@case(kinds=PLAIN)
def receive_timeout(c):
    """SO_RCVTIMEO: EAGAIN."""
    _fd, peer = c.linked()
    c.timeout(peer, s.SO_RCVTIMEO, 60)
    c.recvfrom(peer)


@case(kinds=(TCP4, UDP4))
def interrupted_with_timeout(c):
    """With SO_RCVTIMEO a signal is EINTR even under SA_RESTART."""
    _fd, peer = c.linked()
    c.timeout(peer, s.SO_RCVTIMEO, 5000)
    c.on_signal(signal.SIGUSR1, restart=True)
    with c.once_blocked(c.interrupt, "recvfrom"):
        c.recvfrom(peer)


@case(kinds=STREAMS)
def wait_for_all(c):
    """MSG_WAITALL waits for the full size."""
    fd, peer = c.linked()
    c.sendto(fd, b"one ")
    with c.once_blocked(sender(fd, b"two"), "recvfrom"):
        c.recvfrom(peer, size=7, flags=s.MSG_WAITALL)


@case(kinds=STREAMS)
def wait_for_all_interrupted(c):
    """MSG_WAITALL and a signal: the partial count."""
    fd, peer = c.linked()
    c.sendto(fd, b"part")
    c.on_signal(signal.SIGUSR1, restart=True)
    with c.once_blocked(c.interrupt, "recvfrom"):
        c.recvfrom(peer, size=7, flags=s.MSG_WAITALL)


@case(kinds=TCP)
def low_water_mark(c):
    """SO_RCVLOWAT: TCP waits for so many bytes."""
    fd, peer = c.linked()
    c.option(peer, s.SOL_SOCKET, s.SO_RCVLOWAT, 6)
    with c.once_blocked(sender(fd, b"abc", b"def"), "recvfrom"):
        c.recvfrom(peer)


@case(kinds=STREAMS)
def shut_down_while_waiting(c):
    """Another thread shuts the socket down."""
    _fd, peer = c.linked()
    with c.once_blocked(lambda: syscall("shutdown", peer, s.SHUT_RD), "recvfrom"):
        c.recvfrom(peer)


@case(kinds=SOME)
def made_nonblocking_while_waiting(c):
    """O_NONBLOCK set under a waiting receive does not end it."""
    fd, peer = c.linked()

    def act():
        os.set_blocking(peer, False)
        sender(fd, b"data")()

    with c.once_blocked(act, "recvfrom"):
        c.recvfrom(peer)


@case(kinds=PAIRS, call="recvmmsg")
def several_arrive(c):
    """recvmmsg waits until its vector is full."""
    fd, peer = c.pair()
    vector = Vector(*(Message([Memory(3)]) for _ in range(3)))
    with c.once_blocked(sender(fd, b"one", b"two", b"six"), "recvmmsg"):
        c.recvmmsg(peer, vector)


@case(kinds=PAIRS, call="recvmmsg")
def wait_for_one(c):
    """MSG_WAITFORONE: waits for the first only."""
    fd, peer = c.pair()
    vector = Vector(*(Message([Memory(3)]) for _ in range(3)))
    with c.once_blocked(sender(fd, b"one"), "recvmmsg"):
        c.recvmmsg(peer, vector, flags=0x10000)


@case(kinds=(UDP4, *PAIRS), call="recvmmsg")
def time_limit(c):
    """The time limit is looked at after each message; what is left is written back."""
    fd, peer = c.linked()
    c.timeout(peer, s.SO_RCVTIMEO, 60)
    c.sendto(fd, b"one")
    limit = Memory(struct.pack("=qq", 10, 0))
    vector = Vector(*(Message([Memory(3)]) for _ in range(3)))
    c.recvmmsg(peer, vector, timeout=limit)
    c.note("time passed", struct.unpack("=qq", limit.read())[0] == 9)


@case(kinds=PAIRS, call="recvmmsg")
def interrupted_after_one(c):
    """A signal after the first message: the count."""
    fd, peer = c.pair()
    c.sendto(fd, b"one")
    c.on_signal(signal.SIGUSR1)
    vector = Vector(*(Message([Memory(3)]) for _ in range(3)))
    with c.once_blocked(c.interrupt, "recvmmsg"):
        c.recvmmsg(peer, vector)
