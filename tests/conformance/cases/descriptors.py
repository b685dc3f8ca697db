"""The first argument of the calls that take one: closed, no socket, O_PATH; and which complaint comes first."""

import fcntl
import os
import select
import socket as s
import struct
import threading

from tests.conformance.case import case
from tests.conformance.kinds import DGRAM_PATH, STREAM_PATH, TCP4, UDP4
from tests.conformance.memory import Int, Memory
from tests.conformance.message import Message, Vector
from tests.conformance.raw import CALLS, GARBAGE, WORD, must, syscall

GOOD = {
    "bind": lambda c: (c.name(kind=TCP4), 16),
    "connect": lambda c: (c.name(kind=TCP4), 16),
    "listen": lambda c: (1,),
    "accept": lambda c: (Memory(128), Int(128)),
    "accept4": lambda c: (Memory(128), Int(128), 0),
    "getsockname": lambda c: (Memory(128), Int(128)),
    "getpeername": lambda c: (Memory(128), Int(128)),
    "sendto": lambda c: (b"data", 4, s.MSG_DONTWAIT, None, 0),
    "sendmsg": lambda c: (Message([b"data"]), s.MSG_DONTWAIT),
    "sendmmsg": lambda c: (Vector(Message([b"data"])), 1, s.MSG_DONTWAIT),
    "recvfrom": lambda c: (Memory(64), 64, s.MSG_DONTWAIT, None, None),
    "recvmsg": lambda c: (Message([Memory(64)]), s.MSG_DONTWAIT),
    "recvmmsg": lambda c: (Vector(Message([Memory(64)])), 1, s.MSG_DONTWAIT, None),
    "getsockopt": lambda c: (s.SOL_SOCKET, s.SO_TYPE, Memory(4), Int(4)),
    "setsockopt": lambda c: (s.SOL_SOCKET, s.SO_KEEPALIVE, struct.pack("=i", 1), 4),
    "shutdown": lambda c: (s.SHUT_RDWR,),
}
"""Right arguments after the descriptor."""

WRONG = {
    "bind": {"pointer": (8, 16), "length": (8, -1), "long": (8, 129), "empty": (0, 0)},
    "connect": {"pointer": (8, 16), "length": (8, -1), "long": (8, 129), "empty": (0, 0)},
    "listen": {"backlog": (-1,)},
    "accept": {"pointers": (8, 8), "address": (8, 0)},
    "accept4": {"pointers": (8, 8, 0), "flags": (0, 0, 1), "both": (8, 8, -1)},
    "getsockname": {"pointers": (8, 8), "NULL": (0, 0)},
    "getpeername": {"pointers": (8, 8), "NULL": (0, 0)},
    "sendto": {"buffer": (8, 4, 0, 0, 0), "length": (8, WORD, 0, 0, 0), "address": (0, 0, 0, 8, 16),
               "address length": (0, 0, 0, 8, -1), "flags": (8, 4, -1, 0, 0)},
    "sendmsg": {"pointer": (8, 0), "NULL": (0, 0), "flags": (8, -1), "compat": (8, 1 << 31)},
    "sendmmsg": {"pointer": (8, 1, 0), "none": (8, 0, 0), "many": (8, -1, 0), "compat": (8, 1, 1 << 31)},
    "recvfrom": {"buffer": (8, 4, 0, 0, 0), "length": (8, WORD, 0, 0, 0), "flags": (8, 4, -1, 0, 0)},
    "recvmsg": {"pointer": (8, 0), "NULL": (0, 0), "compat": (8, 1 << 31)},
    "recvmmsg": {"pointer": (8, 1, 0, 0), "none": (8, 0, 0, 0), "timeout": (8, 1, 0, 8), "compat": (8, 1, 1 << 31, 0)},
    "getsockopt": {"pointers": (1, 3, 8, 8), "NULL": (1, 3, 0, 0), "level": (99, 99, 8, 8)},
    "setsockopt": {"pointer": (1, 9, 8, 4), "length": (1, 9, 8, -1), "level": (99, 99, 8, 4)},
    "shutdown": {"how": (3,), "negative": (-1,)},
}  # fmt: skip
"""Wrong arguments after the descriptor."""


def strangers(c):
    """Numbers that are open or not, and are no sockets."""
    reader, writer = c.pipe()
    c.bound("bound", DGRAM_PATH)
    closed = fcntl.fcntl(reader, fcntl.F_DUPFD, 900)
    os.close(closed)
    directory = c.own(os.open(c.directory(), os.O_DIRECTORY))
    with select.epoll() as epoll:
        epoll_fd = c.own(os.dup(epoll.fileno()))
    return {
        "-1": -1,
        "AT_FDCWD": -100,
        "INT_MIN": -(1 << 31),
        "INT_MAX": (1 << 31) - 1,
        "closed": closed,
        "closed with garbage": closed | GARBAGE,
        "1 << 20": 1 << 20,
        "1 << 32": 1 << 40 | closed,
        "pipe": reader,
        "pipe, writing": writer,
        "file": c.file(),
        "directory": directory,
        "O_PATH file": c.own(os.open(c.directory() / "file", os.O_PATH)),
        "O_PATH directory": c.own(os.open(c.directory(), os.O_PATH)),
        "O_PATH socket": c.own(os.open(c.directory() / "bound", os.O_PATH)),
        "/dev/null": c.own(os.open("/dev/null", os.O_RDWR)),
        "epoll": epoll_fd,
        "eventfd": c.own(os.eventfd(0)),
        "memfd": c.own(os.memfd_create("m")),
        "pidfd": c.own(os.pidfd_open(os.getpid())),
        "proc": c.own(os.open("/proc/self/status", os.O_RDONLY)),
    }


WITH_DESCRIPTOR = tuple(call for call in CALLS if call in GOOD)


def for_each_call(body):
    """Register the body once a call, each counted for its own call."""
    for call in WITH_DESCRIPTOR:
        case(call, call=call)(body)
    return body


@for_each_call
def not_a_socket(c):
    """EBADF and ENOTSOCK, with right arguments."""
    arguments = GOOD[c.variant](c)
    for name, fd in strangers(c).items():
        c.call(c.variant, fd, *arguments, label=name)


@for_each_call
def not_a_socket_and_wrong_arguments(c):
    """EBADF and ENOTSOCK against EFAULT and EINVAL."""
    found = strangers(c)
    for wrong, arguments in WRONG[c.variant].items():
        for name in ("-1", "closed", "pipe", "file", "O_PATH file", "O_PATH socket"):
            c.call(c.variant, found[name], *arguments, label=f"{name}, {wrong}")


@for_each_call
def socket_and_wrong_arguments(c):
    """The same wrong arguments on sockets of several kinds and states."""
    stream, _ = c.linked(TCP4, "a")
    datagram, _ = c.linked(UDP4, "b")
    unix, _ = c.linked(STREAM_PATH, "c")
    fresh = {"tcp": c.new(TCP4), "udp": c.new(UDP4), "unix stream": c.new(STREAM_PATH), "unix dgram": c.new(DGRAM_PATH)}
    sockets = {**fresh, "tcp, linked": stream, "udp, linked": datagram, "unix, linked": unix}
    for wrong, arguments in WRONG[c.variant].items():
        for name, fd in sockets.items():
            if c.variant.startswith("recv"):
                os.set_blocking(fd, False)
            c.call(c.variant, fd, *arguments, label=f"{name}, {wrong}")


@for_each_call
def number_zero(c):
    """Descriptor 0 is a descriptor like any other."""
    saved = c.own(os.dup(0))
    fd = c.new(TCP4)
    os.dup2(fd, 0)
    c.call(c.variant, 0, *GOOD[c.variant](c), label="a fresh socket")
    os.dup2(saved, 0)


@for_each_call
def high_number(c):
    """A number far up in the table."""
    fd = c.new(UDP4)
    os.dup2(fd, 1000)
    c.own(1000)
    c.call(c.variant, 1000, *GOOD[c.variant](c))


@for_each_call
def number_reused(c):
    """The number was a pipe, then a socket, then nothing."""
    reader, _ = c.pipe()
    c.call(c.variant, reader, *GOOD[c.variant](c), label="pipe")
    fd = c.new(TCP4)
    os.dup2(fd, reader)
    c.call(c.variant, reader, *GOOD[c.variant](c), label="socket")
    c.close(reader)
    c.call(c.variant, reader, *GOOD[c.variant](c), label="closed")


@for_each_call
def table_of_a_thread(c):
    """In a thread with its own descriptor table (unshare CLONE_FILES) the number means that thread's socket."""
    fd = c.new(TCP4)

    def elsewhere():
        must("unshare", 0x400)
        reader, writer = os.pipe()
        os.dup2(reader, fd)
        results = [str(syscall(c.variant, fd, *GOOD[c.variant](c)))]
        own = must("socket", s.AF_INET, s.SOCK_DGRAM, 0)
        os.dup2(own, fd)
        results.append(str(syscall(c.variant, fd, *GOOD[c.variant](c))))
        os.close(fd)
        results.append(str(syscall(c.variant, fd, *GOOD[c.variant](c))))
        for number in (reader, writer, own):
            os.close(number)
        return results

    c.note("pipe, udp, closed", c.in_thread(elsewhere))
    c.call(c.variant, fd, *GOOD[c.variant](c), label="main: tcp")


@for_each_call
def leader_gone(c):
    """The first thread of the process has ended, another one makes the call."""
    fd = c.new(UDP4)
    arguments = GOOD[c.variant](c)

    def child():
        leader = os.getpid()

        def late():
            c.until_zombie(leader)
            c.call(c.variant, fd, *arguments)
            os._exit(0)

        threading.Thread(target=late).start()
        c.end_thread()

    c.note("child", c.in_child(child))
