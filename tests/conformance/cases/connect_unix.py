"""connect(2) on unix sockets: paths, permissions, names, types, full backlogs."""

import os
import select
import socket as s
from pathlib import Path

from tests.conformance.address import un
from tests.conformance.case import case
from tests.conformance.kinds import (
    ABSTRACT,
    PATH,
    SEQ_ABSTRACT,
    SEQ_PATH,
    STREAM_ABSTRACT,
    STREAM_PATH,
    UNIX,
    both,
)
from tests.conformance.memory import Memory
from tests.conformance.raw import libc, must, syscall

CONNECTING = (STREAM_PATH, SEQ_PATH, STREAM_ABSTRACT, SEQ_ABSTRACT)


@case(kinds=PATH)
def path_errors(c):
    """ENOENT, ENOTDIR, ELOOP, EACCES on what is no socket."""
    base = c.directory()
    (base / "regular").write_text("")
    (base / "folder").mkdir()
    (base / "loop").symlink_to("loop")
    (base / "dangling").symlink_to("nowhere")
    os.mkfifo(base / "fifo")
    for name in ("missing", "missing/deeper", "regular", "regular/deeper", "folder", "loop", "dangling", "fifo"):
        c.connect(c.new(), un(c.names.path(name) + "\0"), label=name)
    c.connect(c.new(), un("/dev/null\0"), label="a device")


@case(kinds=PATH)
def through_links(c):
    """Symbolic links, relative and absolute, in the middle and at the end."""
    server = c.server()
    base = c.directory()
    (base / "relative").symlink_to("s")
    (base / "absolute").symlink_to(base / "s")
    (base / "folder").symlink_to(".")
    (base / "up").symlink_to("../" + base.name)
    for name in ("relative", "absolute", "folder/s", "up/relative", "./s", "folder/../" + base.name + "/s"):
        fd = c.new()
        c.connect(fd, un(c.names.path(name) + "\0"), label=c.names.text(name.encode()))
        c.getpeername(fd)
    (base / "hard").hardlink_to(base / "s")
    c.connect(c.new(), un(c.names.path("hard") + "\0"), label="hard link")
    (base / "s").rename(base / "moved")
    c.connect(c.new(), server.address, label="the old name")
    c.connect(c.new(), un(c.names.path("moved") + "\0"), label="the new name")


@case(kinds=PATH)
def relative(c):
    """A relative name is looked up from the working directory of the caller."""
    c.server()
    (c.directory() / "sub").mkdir()
    for place, name in (("", "s"), ("", "./s"), ("sub", "../s"), ("sub", "s")):
        os.chdir(c.directory() / place)
        c.connect(c.new(), un(name + "\0"), label=f"{name} in '{place}'")


@case(kinds=PATH)
def working_directory_of_a_thread(c):
    """A thread with its own fs context (unshare CLONE_FS) has its own working directory."""
    c.server()
    fd = c.new()

    def elsewhere():
        must("unshare", 0x200)
        os.chdir(c.directory())
        return str(syscall("connect", fd, un("s\0"), 4))

    os.chdir("/")
    c.note("thread", c.in_thread(elsewhere))
    c.connect(c.new(), un("s\0"), label="main")


@case(kinds=PATH)
def proc_self(c):
    """/proc/self and /proc/self/fd mean the caller."""
    c.server()
    directory = c.own(os.open(c.directory(), os.O_PATH))
    c.connect(c.new(), un(f"/proc/self/fd/{directory}/s\0"), label="directory fd")
    held = c.own(os.open(c.directory() / "s", os.O_PATH))
    c.connect(c.new(), un(f"/proc/self/fd/{held}\0"), label="O_PATH of the socket")
    c.connect(c.new(), un(f"/proc/thread-self/fd/{held}\0"), label="thread-self")
    os.chdir(c.directory())
    c.connect(c.new(), un("/proc/self/cwd/s\0"), label="cwd")
    c.connect(c.new(), un(f"/dev/fd/{directory}/s\0"), label="/dev/fd")


@case(kinds=PATH)
def terminators(c):
    """With and without NUL, with bytes after the NUL."""
    server = c.server()
    path = server.address.rstrip(b"\0")
    for label, address in {
        "no NUL": path,
        "one NUL": path + b"\0",
        "many": path + bytes(20),
        "rubbish after": path + b"\0rubbish",
        "cut": path[:-1],
    }.items():
        fd = c.new()
        c.connect(fd, address, label=label)
        c.getpeername(fd)


@case(kinds=PATH)
def long_paths(c):
    """sun_path filled to 107, 108 and 109 bytes."""
    base = c.names.path("") + "/"
    for size in (107, 108):
        name = base + "n" * (size - len(base))
        server = c.new(c.kind)
        c.bind(server, un(name), label=f"bind {size}")
        if c.kind.connects:
            c.listen(server)
        fd = c.new()
        c.connect(fd, un(name), label=f"connect {size}")
        c.getpeername(fd)
        c.note("exists", Path(name).exists())
    c.connect(c.new(), un(base + "n" * (109 - len(base))), label="connect 109")


@case(kinds=PATH)
def forbidden_for_users(c):
    """As nobody: a socket of mode 0600, 0444, 0222, 0666 of another user, and a closed directory."""
    for mode in (0o600, 0o444, 0o222, 0o666):
        label = f"m{mode:o}"
        c.server(label)
        (c.directory() / label).chmod(mode)
    (c.directory() / "closed").mkdir()
    c.server("closed/s")
    (c.directory() / "closed").chmod(0o700)
    c.become_nobody()
    for label in ("m600", "m444", "m222", "m666", "closed/s", "closed/none"):
        c.connect(c.new(), c.name(label), label=label)


@case(kinds=PATH, root=True)
def file_system_identity(c):
    """Only the file-system uid of the thread is another one (setfsuid needs root)."""
    c.server()
    (c.directory() / "s").chmod(0o600)
    libc.setfsuid(65534)
    c.connect(c.new(), c.name(), label="as fsuid 65534")
    libc.setfsuid(0)
    c.connect(c.new(), c.name(), label="as fsuid 0")


@case(kinds=UNIX)
def wrong_type(c):
    """A socket of another type behind the name: EPROTOTYPE."""
    server = c.server()
    for name, number in {"stream": s.SOCK_STREAM, "dgram": s.SOCK_DGRAM, "seqpacket": s.SOCK_SEQPACKET}.items():
        fd = c.own(must("socket", s.AF_UNIX, number, 0))
        c.connect(fd, server.address, label=name)


@case(kinds=UNIX)
def not_listening(c):
    """Bound and not listening; stale; unlinked."""
    bound = c.bound("bound")
    c.connect(c.new(), bound.address, label="bound")
    c.close(bound.fd)
    c.connect(c.new(), bound.address, label="closed")
    if c.kind.naming == "path":
        (c.directory() / "bound").unlink()
        c.connect(c.new(), bound.address, label="unlinked")


@case(kinds=ABSTRACT)
def abstract_names(c):
    """NULs inside and at the end are part of an abstract name."""
    base = c.names.abstract("n")
    for label, tail in {"plain": b"", "nul": b"\0", "nuls": b"\0\0", "inside": b"\0x", "high": b"\xff\n"}.items():
        server = c.new(c.kind)
        c.bind(server, un(base + tail), label=f"bind {label}")
        if c.kind.connects:
            c.listen(server)
        fd = c.new()
        c.connect(fd, un(base + tail), label=f"connect {label}")
        c.getpeername(fd)
    c.connect(c.new(), un(base + b"\0y"), label="another")
    c.connect(c.new(), un(base[:-1]), label="shorter")
    filler = base + b"f" * (108 - len(base))
    server = c.new()
    c.bind(server, un(filler), label="bind 108")
    if c.kind.connects:
        c.listen(server)
    c.connect(c.new(), un(filler), label="connect 108")
    c.connect(c.new(), un(filler + b"f"), label="connect 109")


@case(kinds=both(CONNECTING))
def full_backlog(c):
    """A full queue: EAGAIN at once, or wait until an accept makes room."""
    server = c.server(backlog=1)
    c.note("fit", len(c.fill_backlog(server)))
    fd = c.new()
    if c.kind.nonblock:
        c.connect(fd, server.address)
        c.own(must("accept", server.fd, None, None))
    else:
        with c.once_blocked(lambda: c.own(must("accept", server.fd, None, None)), "connect"):
            c.connect(fd, server.address)
    c.own(must("accept", server.fd, None, None))
    c.connect(fd, server.address, label="again")
    c.getpeername(fd)


@case(kinds=CONNECTING)
def full_backlog_timeout(c):
    """SO_SNDTIMEO ends the wait for room."""
    server = c.server(backlog=0)
    c.fill_backlog(server)
    fd = c.new()
    c.timeout(fd, s.SO_SNDTIMEO, 60)
    c.connect(fd, server.address)
    c.getpeername(fd)


@case(kinds=CONNECTING)
def full_backlog_closed(c):
    """The listener goes away while a connect waits."""
    server = c.server(backlog=0)
    c.fill_backlog(server)
    fd = c.new()
    with c.once_blocked(lambda: c.close(server.fd), "connect"):
        c.connect(fd, server.address)


@case(kinds=CONNECTING)
def credentials_of_the_client(c):
    """SO_PEERCRED at the accepted end names the process that connected."""
    server = c.server()
    fd = c.new()
    c.connect(fd, server.address)
    c.peer_credentials(c.accept(server.fd).value)
    c.peer_credentials(fd)


@case(kinds=CONNECTING)
def credentials_of_a_child(c):
    """The same when a child connects: the pid is the child's."""
    server = c.server()
    fd = c.new()
    if c.kind.naming == "path":
        (c.directory() / "s").chmod(0o666)

    def child():
        c.become_nobody()
        c.connect(fd, server.address)

    c.note("child", c.in_child(child))
    c.peer_credentials(c.accept(server.fd).value)


@case(kinds=(STREAM_PATH, SEQ_PATH))
def accept_queue_order(c):
    """Connections are accepted in the order in which they were made; data sent before accept is there."""
    server = c.server()
    for index in range(3):
        fd = c.new()
        c.connect(fd, server.address)
        c.sendto(fd, f"client {index}".encode())
    for _ in range(3):
        c.recvfrom(c.accept(server.fd).value)


@case(kinds=both((STREAM_PATH, SEQ_PATH)))
def poll_after_connect(c):
    """A connected unix socket is writable at once."""
    server = c.server()
    fd = c.new()
    c.poll(fd, select.POLLOUT, 0, label="fresh")
    c.connect(fd, server.address)
    c.poll(fd, select.POLLOUT, 0)


@case(kinds=PATH)
def path_beyond_memory(c):
    """The path fills the memory to its end without a NUL."""
    server = c.server()
    address = server.address.rstrip(b"\0")
    c.connect(c.new(), Memory(address), len(address), label="exact")
    c.connect(c.new(), Memory(address), len(address) + 1, label="one too many")
