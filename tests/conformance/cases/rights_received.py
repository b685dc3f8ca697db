"""recvmsg(2) with SCM_RIGHTS: room, truncation, limits, numbers."""

import os
import resource
import select
import socket as s

from tests.conformance.case import case
from tests.conformance.kinds import PAIRS
from tests.conformance.memory import Memory
from tests.conformance.message import Message, rights

CLOEXEC = s.MSG_CMSG_CLOEXEC


def receive(c, fd, control=1200, flags=0, size=64):
    c.recvmsg(fd, Message([Memory(size)], control=Memory(control)), flags=flags | s.MSG_DONTWAIT)


@case(kinds=PAIRS, call="recvmsg")
def short_control(c):
    """Room for none, one, two of three descriptors: the rest is closed, MSG_CTRUNC."""
    fd, peer = c.pair()
    reader, _ = c.pipe()
    for room in (1, 15, 16, 19, 20, 23, 24, 28, 32, 64):
        c.sendmsg(fd, Message([b"x"], control=rights(reader, reader, reader)), label=f"room {room}")
        receive(c, peer, control=room)


@case(kinds=PAIRS, call="recvmsg")
def no_control(c):
    """Received without room for control data, by recvmsg, recvfrom and read: they are closed."""
    fd, peer = c.pair()
    reader, writer = c.pipe()
    for way in ("recvmsg", "recvfrom", "read"):
        c.sendmsg(fd, Message([b"x"], control=rights(writer)), label=way)
        if way == "recvmsg":
            c.recvmsg(peer, Message([Memory(8)]))
        elif way == "recvfrom":
            c.recvfrom(peer)
        else:
            c.note("read", os.read(peer, 8).decode())
    c.close(writer)
    c.poll(reader, select.POLLHUP)


@case(kinds=PAIRS, call="recvmsg")
def peek(c):
    """MSG_PEEK gives descriptors too, and again at the real receive."""
    fd, peer = c.pair()
    reader, _ = c.pipe()
    c.sendmsg(fd, Message([b"peek"], control=rights(reader)))
    receive(c, peer, flags=s.MSG_PEEK)
    receive(c, peer)


@case(kinds=PAIRS, call="recvmsg")
def descriptor_limit(c):
    """The receiver's table is full after the first: one arrives, MSG_CTRUNC."""
    fd, peer = c.pair()
    reader, writer = c.pipe()
    c.sendmsg(fd, Message([b"x"], control=rights(reader, writer, reader)))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (writer + 2, hard))
    receive(c, peer)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@case(kinds=PAIRS, call="recvmsg")
def descriptor_limit_none(c):
    """The receiver's table is full: none arrives, the data does."""
    fd, peer = c.pair()
    reader, writer = c.pipe()
    c.sendmsg(fd, Message([b"x"], control=rights(reader)))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (writer + 1, hard))
    receive(c, peer)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@case(kinds=PAIRS, call="recvmsg")
def lowest_numbers(c):
    """The new numbers are the lowest free ones, in order."""
    fd, peer = c.pair()
    reader, writer = c.pipe()
    gaps = [c.own(os.dup(reader)) for _ in range(4)]
    c.close(gaps[2])
    c.close(gaps[0])
    c.sendmsg(fd, Message([b"x"], control=rights(writer, reader, writer)))
    receive(c, peer)
