"""Sockets in threads, children of every make, and copies of descriptors."""

import ctypes
import os
import signal
import socket as s
import subprocess
import sys
import threading

from tests.conformance.address import in4, port_of
from tests.conformance.case import ENFORCING, case
from tests.conformance.kinds import LISTENING, NAMED, PLAIN, STREAM_PATH, TCP4, UDP4
from tests.conformance.memory import Int, Memory
from tests.conformance.raw import Result, must, syscall

CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_VFORK = 0x100, 0x200, 0x400, 0x4000
PROGRAM = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as client:
    client.sendall(b"from " + sys.argv[2].encode())
"""


def serve_one(c, server):
    """Accept one connection and record what it says."""
    c.recvfrom(c.accept(server.fd, None).value)


@case(kinds=LISTENING, call="connect")
def forked(c):
    """A forked child makes its own socket and connects; a grandchild too."""
    server = c.server()

    def child(text):
        fd = c.new()
        c.connect(fd, server.address)
        c.sendto(fd, text)

    c.note("child", c.in_child(lambda: child(b"child")))
    serve_one(c, server)
    c.note("grandchild", c.in_child(lambda: c.note("inner", c.in_child(lambda: child(b"grandchild")))))
    serve_one(c, server)


@case(call="connect")
def spawned(c):
    """posix_spawn: another program connects."""
    server = c.server(kind=TCP4)
    arguments = [sys.executable, "-S", "-c", PROGRAM, str(port_of(server.address)), "spawn"]
    pid = os.posix_spawn(sys.executable, arguments, os.environ)
    serve_one(c, server)
    c.note("status", os.waitpid(pid, 0)[1])


@case(call="connect")
def vforked_and_executed(c):
    """subprocess without preparation uses vfork; the new program connects."""
    server = c.server(kind=TCP4)
    with subprocess.Popen(
        [sys.executable, "-S", "-c", PROGRAM, str(port_of(server.address)), "vfork"], close_fds=False
    ) as process:
        serve_one(c, server)
        c.note("status", process.wait())


def share_memory(body, flags) -> str:
    """Run the body in a process that shares this one's memory while this thread waits (CLONE_VFORK): how it ended."""
    stack = Memory(1 << 18)
    python = ctypes.PyDLL(None, use_errno=True)
    python.clone.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    entry = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda _: body())
    top = (stack.end - 256) & ~0xFF
    pid = python.clone(ctypes.cast(entry, ctypes.c_void_p), top, flags | CLONE_VM | CLONE_VFORK | signal.SIGCHLD, None)
    if pid < 0:
        return str(Result(-1, ctypes.get_errno()))
    return f"exit {os.waitpid(pid, 0)[1] >> 8}"


def connect_in_vfork(c, flags):
    """A child that shares memory makes socket, bind, connect; the results and the child's number."""
    server = c.server(kind=TCP4)
    results = []
    fds = []

    def body():
        fd = syscall("socket", s.AF_INET, s.SOCK_STREAM, 0).value
        fds.append(fd)
        results.append(str(syscall("bind", fd, in4(), 16)))
        results.append(str(syscall("connect", fd, server.address, 16)))
        results.append(str(syscall("getpeername", fd, Memory(16), Int(16))))
        results.append(str(syscall("sendto", fd, b"vfork", 5, 0, None, 0)))
        return 7

    c.note("child", share_memory(body, flags))
    c.note("results", results)
    if results:
        c.recvfrom(c.accept(server.fd, None).value)
    return fds


@case(call="connect")
def memory_shared(c):
    """A vforked child that shares the memory, with descriptors of its own."""
    connect_in_vfork(c, 0)


@case(call="connect", differs=ENFORCING, because="refused: who shares memory and descriptors could swap a checked one")
def memory_and_descriptors_shared(c):
    """A vforked child that shares the memory and the descriptors (CLONE_FILES): its socket stays."""
    for fd in connect_in_vfork(c, CLONE_FILES):
        c.getpeername(c.own(fd), label="the parent's copy")


@case(kinds=NAMED, call="connect")
def thread_with_own_table(c):
    """After unshare(CLONE_FILES) a number means the thread's socket: it connects there, not in the main thread."""
    one, two = c.server("one"), c.server("two")
    fd = c.new()

    def body():
        must("unshare", CLONE_FILES)
        own = must("socket", c.kind.family, c.kind.type, 0)
        os.dup2(own, fd)
        os.close(own)
        results = [str(syscall("connect", fd, one.address, len(one.address)))]
        results.append(str(syscall("sendto", fd, b"thread", 6, 0, None, 0)))
        os.close(fd)
        results.append(str(syscall("connect", fd, one.address, len(one.address))))
        return results

    c.note("thread", c.in_thread(body))
    c.getpeername(fd, label="main, before")
    c.connect(fd, two.address, label="main")
    c.getpeername(fd)
    if c.kind.connects:
        serve_one(c, one)
    else:
        c.recvfrom(one.fd)


@case(kinds=PLAIN, call="socket")
def thread_creates_in_own_table(c):
    """A socket made in a thread with its own table is not seen by the others; numbers are counted apart."""

    def body():
        must("unshare", CLONE_FILES)
        numbers = [syscall("socket", c.kind.family, c.kind.type, 0).value for _ in range(3)]
        return [c.fd_token(number) for number in numbers]

    c.note("thread", c.in_thread(body))
    c.socket(c.kind.family, c.kind.type)


@case(kinds=LISTENING, call="accept")
def thread_accepts_in_own_table(c):
    """accept in a thread with its own table installs there."""
    server = c.server()
    client = c.new()
    must("connect", client, server.address, len(server.address))
    must("sendto", client, b"hello", 5, 0, None, 0)

    def body():
        must("unshare", CLONE_FILES)
        os.close(client)
        result = syscall("accept", server.fd, None, None)
        data = os.read(result.value, 5).decode()
        return [c.fd_token(result.value), data]

    c.note("thread", c.in_thread(body))
    c.socket(c.kind.family, c.kind.type, label="next number in main")


@case(call="connect")
def thread_with_own_identity(c):
    """A thread that dropped its rights alone (raw setresuid) is refused alone."""
    server = c.server(kind=STREAM_PATH)
    (c.directory() / "s").chmod(0o600)
    os.chown(c.directory() / "s", os.getuid(), os.getgid())

    def body():
        if os.geteuid() == 0:
            number = {"x86_64": 117, "aarch64": 147}[os.uname().machine]
            ctypes.CDLL(None).syscall(number, 65534, 65534, 65534)
        fd = must("socket", s.AF_UNIX, s.SOCK_STREAM, 0)
        result = syscall("connect", fd, server.address, len(server.address))
        os.close(fd)
        return str(result)

    c.note("thread", c.in_thread(body))
    c.connect(c.new(STREAM_PATH), server.address, label="main")


@case(kinds=(TCP4, UDP4, STREAM_PATH), call="connect")
def threads_everywhere(c):
    """Eight threads make, bind, connect, send and close at once, fifty times each."""
    server = c.server(backlog=1000)
    failures = []
    gate = threading.Barrier(8)

    def body():
        gate.wait()
        for _ in range(50):
            fd = must("socket", c.kind.family, c.kind.type, 0)
            for name, *arguments in (
                ("connect", server.address, len(server.address)),
                ("getpeername", Memory(128), Int(128)),
                ("sendto", b"x", 1, s.MSG_DONTWAIT | s.MSG_NOSIGNAL, None, 0),
                ("shutdown", s.SHUT_RDWR),
            ):
                result = syscall(name, fd, *arguments)
                if not result.ok:
                    failures.append(f"{name} {result}")
            os.close(fd)

    threads = [threading.Thread(target=body) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(400 if c.kind.connects else 0):
        c.own(must("accept", server.fd, None, None))
    for thread in threads:
        thread.join()
    c.note("failures", sorted(set(failures)))


@case(kinds=PLAIN, call="getsockname")
def copies(c):
    """dup, dup2, dup3, F_DUPFD and /proc/self/fd: one socket."""
    import fcntl

    fd, _ = c.linked()
    copies = [os.dup(fd), os.dup2(fd, 700), os.dup2(fd, 701, inheritable=False), fcntl.fcntl(fd, fcntl.F_DUPFD, 702)]
    for copy in copies:
        c.getsockname(c.own(copy))
    c.call("setsockopt", copies[0], s.SOL_SOCKET, s.SO_KEEPALIVE, b"\1\0\0\0", 4)
    c.get_int(copies[3], s.SOL_SOCKET, s.SO_KEEPALIVE, "SO_KEEPALIVE")
    os.set_blocking(copies[1], False)
    c.note("nonblocking", not os.get_blocking(fd))


@case(kinds=(TCP4, STREAM_PATH), call="accept")
def two_processes_accept(c):
    """Two children wait on one listener; two connections, one each."""
    server = c.server()
    reader, writer = os.pipe()
    children = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            result = syscall("accept", server.fd, None, None)
            os.write(writer, b"1" if result.ok else b"0")
            os._exit(0)
        children.append(pid)
    for pid in children:
        c.wait_child_blocked(pid, "accept")
    for _ in range(2):
        must("connect", c.new(), server.address, len(server.address))
    for pid in children:
        c.note("status", os.waitpid(pid, 0)[1])
    c.note("accepted", os.read(reader, 9).decode())
    c.own(reader), c.own(writer)
