"""Credentials on unix sockets: SCM_CREDENTIALS, SO_PASSCRED, SO_PEERCRED."""

import os
import socket as s
from pathlib import Path

from tests.conformance.case import case
from tests.conformance.kinds import DGRAM_PATH, PAIRS, PATH, SEQ_PATH, STREAM_PATH
from tests.conformance.memory import Memory
from tests.conformance.message import Message, Vector, cmsg, credentials, rights

SO_PEERGROUPS, SO_PEERPIDFD = 59, 77


def receive(c, fd, flags=0, control=128):
    c.recvmsg(fd, Message([Memory(32)], control=Memory(control)), flags=flags | s.MSG_DONTWAIT)


def asking(c, fd):
    c.option(fd, s.SOL_SOCKET, s.SO_PASSCRED, 1)


@case(kinds=PAIRS, call="sendmsg")
def given(c):
    """The receiver asks: every way of sending carries the sender's pid, uid and gid."""
    fd, peer = c.pair()
    asking(c, peer)
    c.sendmsg(fd, Message([b"sendmsg"]))
    receive(c, peer)
    c.sendto(fd, b"sendto")
    receive(c, peer)
    c.sendmmsg(fd, Vector(Message([b"sendmmsg"])))
    receive(c, peer)
    c.note("write", os.write(fd, b"write"))
    receive(c, peer)


@case(kinds=PAIRS, call="sendmsg")
def asked_later(c):
    """The receiver asks after the message was sent, or only the sender asks."""
    fd, peer = c.pair()
    c.sendto(fd, b"before")
    asking(c, peer)
    receive(c, peer)
    one, two = c.pair()
    asking(c, one)
    c.sendto(one, b"sender asks")
    receive(c, two)


@case(kinds=PAIRS, call="sendmsg")
def of_a_child(c):
    """A child sends: the pid is the child's, the uid what it is then."""
    fd, peer = c.pair()
    asking(c, peer)

    def child():
        c.become_nobody()
        c.sendto(fd, b"child")

    c.note("child", c.in_child(child))
    receive(c, peer)


@case(kinds=PAIRS, call="sendmsg")
def explicit(c):
    """The program's own credentials, given as a control message."""
    fd, peer = c.pair()
    asking(c, peer)
    c.sendmsg(fd, Message([b"own"], control=credentials(os.getpid(), os.getuid(), os.getgid())), label="own")
    receive(c, peer)
    reader, _ = c.pipe()
    both = credentials(os.getpid(), os.getuid(), os.getgid()) + rights(reader)
    c.sendmsg(fd, Message([b"both"], control=both), label="with rights")
    receive(c, peer)
    receive(c, peer)


@case(kinds=PAIRS, call="sendmsg")
def forged_by_users(c):
    """As nobody: another pid, uid or gid is EPERM."""
    fd, peer = c.pair()
    asking(c, peer)
    c.become_nobody()
    pid, uid, gid = os.getpid(), os.getuid(), os.getgid()
    for label, ucred in {
        "own": (pid, uid, gid),
        "pid 1": (1, uid, gid),
        "uid 0": (pid, 0, gid),
        "gid 0": (pid, uid, 0),
        "pid 0": (0, uid, gid),
        "uid -1": (pid, 0xFFFF_FFFF, gid),
    }.items():
        c.sendmsg(fd, Message([b"x"], control=credentials(*ucred)), label=label)
        receive(c, peer)


@case(kinds=PAIRS, call="sendmsg", root=True)
def forged_by_root(c):
    """Root may say that it is somebody else, but not a pid that does not exist."""
    fd, peer = c.pair()
    asking(c, peer)
    for label, ucred in {
        "uid 1000": (os.getpid(), 1000, 1001),
        "parent": (os.getppid(), 0, 0),
        "pid -1": (-1, 0, 0),
        "no such pid": ((1 << 22) - 3, 0, 0),
        "uid -1": (os.getpid(), 0xFFFF_FFFF, 0),
    }.items():
        c.sendmsg(fd, Message([b"x"], control=credentials(*ucred)), label=label)
        receive(c, peer)


@case(kinds=PAIRS, call="sendmsg")
def wrong_size(c):
    """A ucred that is too short or too long."""
    fd, peer = c.pair()
    asking(c, peer)
    for size in (0, 4, 11, 13, 16):
        c.sendmsg(fd, Message([b"x"], control=cmsg(1, 2, bytes(size))), label=f"{size} bytes")
        receive(c, peer)


@case(kinds=PAIRS, call="sendmsg")
def effective_identity(c):
    """Real and effective ids differ: what is sent."""
    fd, peer = c.pair()
    asking(c, peer)
    if os.getuid() == 0:
        os.setresgid(1001, 1002, 1003)
        os.setresuid(2001, 2002, 2003)
    c.sendto(fd, b"x")
    receive(c, peer)


@case(kinds=PAIRS, call="recvmsg")
def short_control(c):
    """Room for a part of the credentials."""
    fd, peer = c.pair()
    asking(c, peer)
    for room in (0, 8, 16, 20, 27, 28, 32):
        c.sendto(fd, b"x")
        receive(c, peer, control=room)


@case(kinds=PAIRS, call="getsockopt")
def peer_of_a_pair(c):
    """SO_PEERCRED of a pair is whoever made it, also in a child."""
    fd, peer = c.pair()
    c.peer_credentials(fd)
    c.note("child", c.in_child(lambda: c.peer_credentials(peer)))


@case(kinds=PATH, call="getsockopt")
def peer_of_sockets(c):
    """SO_PEERCRED of fresh, bound, listening and connected sockets."""
    for fd in (c.new(), c.bound("b").fd, c.server("s").fd, *c.linked(label="l")):
        c.peer_credentials(fd)


@case(kinds=(STREAM_PATH, SEQ_PATH), call="connect")
def peer_keeps_identity(c):
    """The client's identity at connect counts, not a later one."""
    server = c.server()
    (c.directory() / "s").chmod(0o666)

    def child():
        fd = c.new()
        c.connect(fd, server.address)
        c.become_nobody()
        c.peer_credentials(c.accept(server.fd).value)
        c.peer_credentials(fd)

    c.note("child", c.in_child(child))


@case(kinds=(STREAM_PATH, SEQ_PATH), call="connect")
def groups_of_the_peer(c):
    """SO_PEERGROUPS: the supplementary groups of the client."""
    server = c.server()
    if os.getuid() == 0:
        os.setgroups([10, 20, 30])
    fd = c.new()
    c.connect(fd, server.address)
    accepted = c.accept(server.fd).value
    memory, length = Memory(64), Memory((64).to_bytes(4, "little"))
    c.call("getsockopt", accepted, s.SOL_SOCKET, SO_PEERGROUPS, memory, length)
    size = int.from_bytes(length.read(), "little")
    c.note("groups", memory.read(size).hex() if os.getuid() == 0 else "not root")


@case(kinds=(STREAM_PATH, SEQ_PATH), call="connect")
def pidfd_of_the_peer(c):
    """SO_PEERPIDFD: a pidfd of the client (Linux 6.5)."""
    server = c.server()
    fd = c.new()
    c.connect(fd, server.address)
    accepted = c.accept(server.fd).value
    memory, length = Memory(4), Memory((4).to_bytes(4, "little"))
    if c.call("getsockopt", accepted, s.SOL_SOCKET, SO_PEERPIDFD, memory, length).ok:
        pidfd = c.own(int.from_bytes(memory.read(), "little"))
        fields = dict(line.split(":\t") for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines())
        c.note("pidfd", [c.fd_token(pidfd), c.pid_token(int(fields["Pid"])), os.get_inheritable(pidfd)])


@case(kinds=(DGRAM_PATH,), call="sendmsg")
def to_an_address(c):
    """sd_notify's way: sendmsg with a name and explicit credentials to a socket that asks."""
    server = c.server()
    asking(c, server.fd)
    fd = c.new()
    own = credentials(os.getpid(), os.getuid(), os.getgid())
    c.sendmsg(fd, Message([b"READY=1"], name=server.address, control=own))
    receive(c, server.fd)
    c.sendmsg(fd, Message([b"READY=1"], name=server.address), label="implicit")
    receive(c, server.fd)
    c.sendto(fd, b"READY=1", address=server.address)
    receive(c, server.fd)


@case(kinds=(DGRAM_PATH,), call="bind")
def sender_is_named(c):
    """A socket that asks for credentials binds itself to a name when it sends."""
    server = c.server()
    fd = c.new()
    asking(c, fd)
    c.sendto(fd, b"x", address=server.address)
    c.getsockname(fd)
    c.recvfrom(server.fd, length=128)
