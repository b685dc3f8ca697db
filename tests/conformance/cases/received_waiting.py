"""Receives that block: signals under all three calls, threads and processes in the same receive, pieces, the end."""

import os
import signal
import socket as s
import threading

from tests.conformance.case import case
from tests.conformance.kinds import CONNECTED, PAIRS, PLAIN, STREAM_PAIR, TCP, TCP4, UDP4
from tests.conformance.memory import Memory
from tests.conformance.message import Message, Vector, rights
from tests.conformance.raw import gettid, must, syscall

SOME = (TCP4, UDP4, *PAIRS)


def sender(fd, *words):
    return lambda: [must("sendto", fd, word, len(word), 0, None, 0) for word in words]


def receive(c, name, fd):
    if name == "recvmsg":
        c.recvmsg(fd, Message([Memory(4)], control=Memory(64), name=Memory(32)))
    else:
        c.recvmmsg(fd, Vector(*(Message([Memory(4)], control=Memory(64)) for _ in range(2))))


@case(kinds=SOME, call="recvmsg")
def interrupted(c):
    """EINTR without SA_RESTART: header and control are as they were."""
    _, peer = c.linked()
    c.on_signal(signal.SIGUSR1)
    for name in ("recvmsg", "recvmmsg"):
        with c.once_blocked(c.interrupt, name):
            receive(c, name, peer)


@case(kinds=SOME, call="recvmsg")
def restarted(c):
    """With SA_RESTART the call goes on, and gets what comes then."""
    fd, peer = c.linked()
    c.on_signal(signal.SIGUSR1, restart=True)
    for name in ("recvmsg", "recvmmsg"):
        with c.once_blocked(lambda name=name: c.interrupt_then(sender(fd, b"data", b"more"), name), name):
            receive(c, name, peer)
        c.note("left", c.drain(peer))


@case(kinds=PAIRS, call="recvmsg")
def descriptors_while_waiting(c):
    """A descriptor arrives while recvmsg waits."""
    fd, peer = c.pair()
    reader, _ = c.pipe()
    message = Message([b"late"], control=rights(reader))
    with c.once_blocked(lambda: must("sendmsg", fd, message, 0), "recvmsg"):
        c.recvmsg(peer, Message([Memory(8)], control=Memory(64)), flags=s.MSG_CMSG_CLOEXEC)


@case(kinds=(*TCP, STREAM_PAIR), call="recvfrom")
def pieces_make_a_whole(c):
    """MSG_WAITALL has the first of three pieces; with recvmsg the parts are filled over their ends."""
    for name in ("recvfrom", "recvmsg"):
        fd, peer = c.linked(label=f"l{c.count()}")
        must("sendto", fd, b"ab", 2, 0, None, 0)
        with c.once_blocked(sender(fd, b"cd", b"ef"), name):
            if name == "recvfrom":
                c.recvfrom(peer, size=6, flags=s.MSG_WAITALL)
            else:
                c.recvmsg(peer, Message([Memory(1), Memory(4), Memory(1)]), flags=s.MSG_WAITALL)
        c.note("left", c.drain(peer))


@case(kinds=CONNECTED, call="recvfrom")
def ends_while_waiting_for_all(c):
    """MSG_WAITALL has a part, and the peer closes."""
    fd, peer = c.linked()
    must("sendto", fd, b"part", 4, 0, None, 0)
    if c.kind.type == s.SOCK_STREAM:
        with c.once_blocked(lambda: c.close(fd), "recvfrom"):
            c.recvfrom(peer, size=8, flags=s.MSG_WAITALL)
    c.recvfrom(peer, size=8, flags=s.MSG_DONTWAIT)


@case(kinds=SOME, call="recvfrom")
def threads_in_one_receive(c):
    """Three threads wait in a receive of the same socket: each message goes to one of them, none is lost."""
    fd, peer = c.linked()
    got, tids, ready = [], [], threading.Semaphore(0)

    def run():
        memory = Memory(1)
        tids.append(gettid())
        ready.release()
        result = syscall("recvfrom", peer, memory, 1, 0, None, None)
        got.append(memory.read().decode() if result.ok else str(result))

    threads = [threading.Thread(target=run, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
        ready.acquire()
    for tid in tids:
        c.until_blocked(tid, "recvfrom")
    sender(fd, b"a", b"b", b"c")()
    for thread in threads:
        thread.join()
    c.note("got", sorted(got))


@case(kinds=SOME, call="recvfrom")
def processes_in_one_receive(c):
    """Three processes wait in a receive of the same socket."""
    fd, peer = c.linked()
    reader, writer = c.pipe()
    children = []
    for _ in range(3):
        child = os.fork()
        if not child:
            memory = Memory(1)
            result = syscall("recvfrom", peer, memory, 1, 0, None, None)
            os.write(writer, memory.read() if result.ok else b"!")
            os._exit(0)
        children.append(child)
    for child in children:
        c.wait_child_blocked(child, "recvfrom")
    sender(fd, b"a", b"b", b"c")()
    for child in children:
        os.waitpid(child, 0)
    c.note("got", "".join(sorted(os.read(reader, 8).decode())))


@case(kinds=PLAIN, call="recvmmsg")
def batch_times_out(c):
    """SO_RCVTIMEO ends a batch of which one message is there; then EAGAIN."""
    fd, peer = c.linked()
    c.timeout(peer, s.SO_RCVTIMEO, 50)
    c.sendto(fd, b"ab")
    for _ in range(2):
        c.recvmmsg(peer, Vector(*(Message([Memory(2)], name=Memory(64)) for _ in range(3))))
        c.so_error(peer)
