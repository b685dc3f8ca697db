"""connect(2) that waits, and what interrupts it."""

import os
import select
import signal
import socket as s
import threading

from tests.conformance.address import in4, port_of
from tests.conformance.case import case
from tests.conformance.kinds import SEQ_ABSTRACT, STREAM_ABSTRACT, STREAM_PATH, TCP, TCP4
from tests.conformance.raw import must, syscall

FULL = (STREAM_PATH, STREAM_ABSTRACT, SEQ_ABSTRACT)


def silent_server(c, kind=None):
    """A TCP listener whose queue is full: the kernel drops further SYNs, so a connect waits."""
    server = c.server(kind=kind, backlog=0)
    first = c.new((kind or c.kind)._replace(nonblock=False))
    must("connect", first, server.address, len(server.address))
    return server


@case(kinds=TCP)
def in_progress(c):
    """A non-blocking connect that gets no answer: EINPROGRESS, then EALREADY."""
    server = silent_server(c)
    fd = c.new(c.kind._replace(nonblock=True))
    c.connect(fd, server.address)
    c.connect(fd, server.address, label="again")
    c.so_error(fd)
    c.poll(fd, select.POLLOUT, 0)
    c.getpeername(fd)
    c.getsockname(fd)
    c.sendto(fd, b"x", flags=s.MSG_DONTWAIT)


@case(kinds=TCP)
def in_progress_dissolved(c):
    """AF_UNSPEC ends a connect in progress."""
    server = silent_server(c)
    fd = c.new(c.kind._replace(nonblock=True))
    c.connect(fd, server.address)
    c.dissolve(fd)
    other = c.server("other")
    c.connect(fd, other.address, label="elsewhere")
    c.poll(fd, select.POLLOUT)
    c.so_error(fd)


@case(kinds=TCP)
def send_timeout(c):
    """SO_SNDTIMEO: EINPROGRESS, then EALREADY, and the attempt goes on."""
    server = silent_server(c)
    fd = c.new()
    c.timeout(fd, s.SO_SNDTIMEO, 60)
    c.connect(fd, server.address)
    c.connect(fd, server.address, label="again")


@case(kinds=TCP)
def interrupted(c):
    """A signal without SA_RESTART: EINTR, then EALREADY when it does not block."""
    server = silent_server(c)
    fd = c.new()
    c.on_signal(signal.SIGUSR1)
    with c.once_blocked(c.interrupt, "connect"):
        c.connect(fd, server.address)
    os.set_blocking(fd, False)
    c.connect(fd, server.address, label="again")


@case(kinds=TCP)
def interrupted_with_timeout(c):
    """With SO_SNDTIMEO a signal is EINTR even under SA_RESTART."""
    server = silent_server(c)
    fd = c.new()
    c.timeout(fd, s.SO_SNDTIMEO, 5000)
    c.on_signal(signal.SIGUSR1, restart=True)
    with c.once_blocked(c.interrupt, "connect"):
        c.connect(fd, server.address)


@case(kinds=TCP)
def restarted(c):
    """A signal with SA_RESTART: the call goes on until the server has room."""
    server = silent_server(c)
    fd = c.new()
    c.on_signal(signal.SIGUSR1, restart=True)

    def room():
        c.interrupt_then(lambda: c.own(must("accept", server.fd, None, None)), "connect")

    with c.once_blocked(room, "connect"):
        c.connect(fd, server.address)
    c.getpeername(fd)


@case(kinds=TCP, seconds=2)
def room_appears(c):
    """A waiting connect succeeds when an accept makes room (the SYN is sent again after a second)."""
    server = silent_server(c)
    fd = c.new()
    with c.once_blocked(lambda: c.own(must("accept", server.fd, None, None)), "connect"):
        c.connect(fd, server.address)
    c.getpeername(fd)


@case(kinds=TCP)
def becomes_refused(c):
    """The listener closes while a connect waits: ECONNREFUSED at the next SYN."""
    server = silent_server(c)
    fd = c.new()
    with c.once_blocked(lambda: c.close(server.fd), "connect"):
        c.connect(fd, server.address)


@case(kinds=TCP)
def shut_down_while_waiting(c):
    """Another thread shuts the socket down under a waiting connect."""
    server = silent_server(c)
    fd = c.new()
    with c.once_blocked(lambda: syscall("shutdown", fd, s.SHUT_RDWR), "connect"):
        c.connect(fd, server.address)


@case(kinds=TCP)
def closed_while_waiting(c):
    """Another thread closes the number under a waiting connect: the call keeps the socket."""
    server = silent_server(c)
    fd = c.new()

    def act():
        c.close(fd)
        c.own(must("accept", server.fd, None, None))

    with c.once_blocked(act, "connect"):
        c.connect(fd, server.address)


@case(kinds=FULL)
def interrupted_unix(c):
    """A full unix backlog and a signal without SA_RESTART."""
    server = c.server(backlog=0)
    c.fill_backlog(server)
    fd = c.new()
    c.on_signal(signal.SIGUSR1)
    with c.once_blocked(c.interrupt, "connect"):
        c.connect(fd, server.address)
    c.connect(fd, b"", label="no address")


@case(kinds=FULL)
def restarted_unix(c):
    """A full unix backlog and a signal with SA_RESTART, then room."""
    server = c.server(backlog=0)
    c.fill_backlog(server)
    fd = c.new()
    c.on_signal(signal.SIGUSR1, restart=True)

    def room():
        c.interrupt_then(lambda: c.own(must("accept", server.fd, None, None)), "connect")

    with c.once_blocked(room, "connect"):
        c.connect(fd, server.address)


@case(kinds=(STREAM_ABSTRACT,), seconds=6)
def room_many_times(c):
    """Sixty times: a connect waits for room, and the accept that makes it returns a new descriptor."""
    wrong = []
    for _ in range(60):
        server = c.server(label=f"s{c.count()}", backlog=0)
        c.fill_backlog(server)
        fd = c.new()
        got = []
        with c.once_blocked(lambda: got.append(syscall("accept", server.fd, None, None)), "connect"):  # noqa: B023
            result = syscall("connect", fd, server.address, len(server.address))
        if not (result.ok and got[0].value > fd):
            wrong.append(f"connect {result} accept {got[0] if got[0].value <= fd else 'fine'}")
        else:
            c.own(got[0].value)
    c.note("wrong", wrong)


@case(kinds=(TCP4, STREAM_PATH, STREAM_ABSTRACT))
def eight_threads(c):
    """Eight threads connect at once; the server gets eight connections."""
    server = c.server()
    fds = [c.new() for _ in range(8)]
    gate = threading.Barrier(8)
    results = [None] * 8

    def body(index):
        gate.wait()
        results[index] = str(syscall("connect", fds[index], server.address, len(server.address)))

    threads = [threading.Thread(target=body, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    c.note("results", results)
    for _ in range(8):
        c.accept(server.fd, None)


@case("killed")
def killed_while_waiting(c):
    """SIGKILL ends a process whose connect waits, and its socket goes away."""
    server = silent_server(c, TCP4)
    fd = c.new(TCP4)
    pid = os.fork()
    if pid == 0:
        syscall("connect", fd, server.address, len(server.address))
        os._exit(1)
    c.wait_child_blocked(pid, "connect")
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    c.note("status", os.WTERMSIG(status))
    os.set_blocking(fd, False)
    c.connect(fd, in4(port=port_of(server.address)))


@case("stopped")
def stopped_while_waiting(c):
    """SIGSTOP stops a process inside connect, SIGCONT lets it go on to the end."""
    server = silent_server(c, TCP4)
    fd = c.new(TCP4)
    pid = os.fork()
    if pid == 0:
        result = syscall("connect", fd, server.address, len(server.address))
        c.note("connect", str(result))
        os._exit(0)
    c.wait_child_blocked(pid, "connect")
    os.kill(pid, signal.SIGSTOP)
    _, status = os.waitpid(pid, os.WUNTRACED)
    c.note("stopped", os.WIFSTOPPED(status))
    c.own(must("accept", server.fd, None, None))
    os.kill(pid, signal.SIGCONT)
    _, status = os.waitpid(pid, 0)
    c.note("status", status)
