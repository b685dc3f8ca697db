"""accept(2) that waits, and what ends the wait."""

import os
import signal
import socket as s
import threading

from tests.conformance.case import case
from tests.conformance.kinds import LISTENING, SEQ_PATH, STREAM_ABSTRACT, STREAM_PATH, TCP, TCP4
from tests.conformance.raw import must, syscall

SOME = (TCP4, STREAM_PATH, SEQ_PATH)


def connector(c, server):
    """An action that connects to the server."""
    fd = c.new()
    return lambda: must("connect", fd, server.address, len(server.address))


@case(kinds=LISTENING)
def connection_arrives(c):
    """accept waits until somebody connects."""
    server = c.server()
    with c.once_blocked(connector(c, server), "accept"):
        c.accept(server.fd)


@case(kinds=LISTENING, call="accept4")
def connection_arrives_flags(c):
    """accept4 waits, and the new descriptor has the flags."""
    server = c.server()
    with c.once_blocked(connector(c, server), "accept4"):
        fd = c.accept(server.fd, None, s.SOCK_CLOEXEC | s.SOCK_NONBLOCK).value
    c.flags_of(fd)


@case(kinds=LISTENING)
def interrupted(c):
    """A signal without SA_RESTART: EINTR."""
    server = c.server()
    c.on_signal(signal.SIGUSR1)
    with c.once_blocked(c.interrupt, "accept"):
        c.accept(server.fd)


@case(kinds=SOME, call="accept4")
def interrupted_flags(c):
    """The same with accept4."""
    server = c.server()
    c.on_signal(signal.SIGUSR1)
    with c.once_blocked(c.interrupt, "accept4"):
        c.accept(server.fd, flags=s.SOCK_CLOEXEC)


@case(kinds=LISTENING)
def restarted(c):
    """A signal with SA_RESTART: the call goes on until somebody connects."""
    server = c.server()
    c.on_signal(signal.SIGUSR1, restart=True)
    connect = connector(c, server)
    with c.once_blocked(lambda: c.interrupt_then(connect, "accept"), "accept"):
        c.accept(server.fd)


@case(kinds=SOME)
def ignored_signal(c):
    """An ignored signal does not end the wait."""
    server = c.server()
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    connect = connector(c, server)

    def act():
        c.interrupt()
        connect()

    with c.once_blocked(act, "accept"):
        c.accept(server.fd)


@case(kinds=SOME)
def blocked_signal(c):
    """A blocked signal does not end the wait; it comes when it is let in."""
    server = c.server()
    c.on_signal(signal.SIGUSR1)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    connect = connector(c, server)

    def act():
        c.interrupt()
        connect()

    with c.once_blocked(act, "accept"):
        c.accept(server.fd)
    c.note("before", list(c.signals))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])


@case(kinds=LISTENING)
def receive_timeout(c):
    """SO_RCVTIMEO ends the wait with EAGAIN."""
    server = c.server()
    c.timeout(server.fd, s.SO_RCVTIMEO, 60)
    c.accept(server.fd)
    c.accept(server.fd, None, 0)


@case(kinds=SOME)
def interrupted_with_timeout(c):
    """With SO_RCVTIMEO a signal is EINTR even under SA_RESTART."""
    server = c.server()
    c.timeout(server.fd, s.SO_RCVTIMEO, 5000)
    c.on_signal(signal.SIGUSR1, restart=True)
    with c.once_blocked(c.interrupt, "accept"):
        c.accept(server.fd)


@case(kinds=TCP)
def shut_down_while_waiting(c):
    """Another thread shuts the listener down."""
    server = c.server()
    with c.once_blocked(lambda: syscall("shutdown", server.fd, s.SHUT_RD), "accept"):
        c.accept(server.fd)


@case(kinds=(STREAM_PATH, STREAM_ABSTRACT))
def shut_down_while_waiting_unix(c):
    """The same on a unix listener."""
    server = c.server()
    with c.once_blocked(lambda: syscall("shutdown", server.fd, s.SHUT_RD), "accept"):
        c.accept(server.fd)


@case(kinds=SOME)
def closed_while_waiting(c):
    """Another thread closes the number: the waiting call keeps the listener."""
    server = c.server()
    connect = connector(c, server)

    def act():
        c.close(server.fd)
        connect()

    with c.once_blocked(act, "accept"):
        c.accept(server.fd)


@case(kinds=SOME)
def made_nonblocking_while_waiting(c):
    """O_NONBLOCK set under a waiting accept does not end the wait."""
    server = c.server()
    connect = connector(c, server)

    def act():
        os.set_blocking(server.fd, False)
        connect()

    with c.once_blocked(act, "accept"):
        c.accept(server.fd)


@case(kinds=SOME)
def eight_threads(c):
    """Eight threads wait on one listener; eight connections wake them all."""
    server = c.server()
    got = []
    tids = [None] * 8
    gate = threading.Barrier(9)

    def body(index):
        tids[index] = threading.get_native_id()
        gate.wait()
        got.append(syscall("accept", server.fd, None, None))

    threads = [threading.Thread(target=body, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    gate.wait()
    for tid in tids:
        c.until_blocked(tid, "accept")
    for _ in range(8):
        connector(c, server)()
    for thread in threads:
        thread.join()
    c.note("accepted", [sum(result.ok for result in got), len({result.value for result in got})])
    for result in got:
        c.own(result.value)


@case(kinds=SOME)
def address_free_after_kill(c):
    """A process killed while it waits gives its address back at once."""
    server = c.server()
    pid = os.fork()
    if pid == 0:
        syscall("accept", server.fd, None, None)
        os._exit(1)
    c.wait_child_blocked(pid, "accept")
    c.close(server.fd)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    if c.kind.naming == "path":
        (c.directory() / "s").unlink()
    fd = c.new()
    c.bind(fd, server.address, label="bind again")
    c.listen(fd)


@case("stopped")
def stopped_while_waiting(c):
    """SIGSTOP stops a process inside accept; after SIGCONT it goes on."""
    server = c.server(kind=TCP4)
    pid = os.fork()
    if pid == 0:
        c.accept(server.fd, None)
        os._exit(0)
    c.wait_child_blocked(pid, "accept")
    os.kill(pid, signal.SIGSTOP)
    _, status = os.waitpid(pid, os.WUNTRACED)
    c.note("stopped", os.WIFSTOPPED(status))
    must("connect", c.new(TCP4), server.address, len(server.address))
    os.kill(pid, signal.SIGCONT)
    _, status = os.waitpid(pid, 0)
    c.note("status", status)
