"""sendmsg(2) with SCM_RIGHTS: what may be passed, how much, what arrives."""

import os
import resource
import select
import socket as s
import struct

from tests.conformance.case import case
from tests.conformance.kinds import PAIRS, PATH, SEQ_PAIR, STREAM_PAIR, TCP, TCP4, UDP, UDP4
from tests.conformance.memory import Memory
from tests.conformance.message import Message, cmsg, rights
from tests.conformance.raw import must

CLOEXEC = s.MSG_CMSG_CLOEXEC


def receive(c, fd, control=1200, flags=0, size=64):
    c.recvmsg(fd, Message([Memory(size)], control=Memory(control)), flags=flags | s.MSG_DONTWAIT)


@case(kinds=PAIRS, call="sendmsg")
def files(c):
    """A file: the same description arrives, offset and all."""
    fd, peer = c.pair()
    file = c.file(content=b"0123456789")
    os.lseek(file, 3, os.SEEK_SET)
    c.sendmsg(fd, Message([b"file"], control=rights(file)))
    c.close(file)
    receive(c, peer)
    got = c.owned[-1]
    c.note("content", os.read(got, 4).decode())


@case(kinds=PAIRS, call="sendmsg")
def many_kinds(c):
    """Pipes, sockets, an epoll, a directory, O_PATH, /dev/null, in one message."""
    fd, peer = c.pair()
    reader, writer = c.pipe()
    server = c.server(kind=TCP4)
    with select.epoll() as epoll:
        numbers = [
            reader, writer, server.fd, c.new(UDP4), epoll.fileno(),
            c.own(os.open(c.directory(), os.O_DIRECTORY)), c.own(os.open(c.directory(), os.O_PATH)),
            c.own(os.open("/dev/null", os.O_RDWR)), c.own(os.eventfd(7)), c.own(os.memfd_create("m")), 0,
        ]  # fmt: skip
        c.sendmsg(fd, Message([b"all"], control=rights(*numbers)))
        before = len(c.owned)
        receive(c, peer)
        for sent, got in zip(numbers, c.owned[before:], strict=False):
            c.note("same", os.path.sameopenfile(sent, got))


@case(kinds=PAIRS, call="sendmsg")
def itself(c):
    """A socket that passes itself, and its peer."""
    fd, peer = c.pair()
    c.sendmsg(fd, Message([b"self"], control=rights(fd, peer)))
    receive(c, peer)


@case(kinds=PAIRS, call="sendmsg")
def same_twice(c):
    """One number several times: several new numbers."""
    fd, peer = c.pair()
    reader, _ = c.pipe()
    c.sendmsg(fd, Message([b"x"], control=rights(reader, reader, reader)))
    receive(c, peer)


@case(kinds=PAIRS, call="sendmsg")
def close_on_exec(c):
    """MSG_CMSG_CLOEXEC at the receiver decides, not the sender's flag."""
    fd, peer = c.pair()
    reader, writer = c.pipe()
    os.set_inheritable(reader, True)
    os.set_inheritable(writer, False)
    for flags in (0, CLOEXEC):
        c.sendmsg(fd, Message([b"x"], control=rights(reader, writer)))
        receive(c, peer, flags=flags)


@case(kinds=PAIRS, call="sendmsg")
def bad_numbers(c):
    """A closed number, a negative one, alone and in the middle: EBADF, nothing is sent."""
    fd, peer = c.pair()
    reader, writer = c.pipe()
    for label, numbers in {
        "closed": (999,),
        "negative": (-1,),
        "AT_FDCWD": (-100,),
        "middle": (reader, 999, writer),
        "last": (reader, -5),
    }.items():
        c.sendmsg(fd, Message([b"x"], control=rights(*numbers)), label=label)
        receive(c, peer)


@case(kinds=PAIRS, call="sendmsg")
def limits(c):
    """253 numbers pass, 254 are EINVAL."""
    fd, peer = c.pair()
    reader, _ = c.pipe()
    for count in (1, 252, 253, 254, 255, 1000):
        c.sendmsg(fd, Message([b"x"], control=rights(*[reader] * count)), label=f"{count}")
        before = len(c.owned)
        message = Message([Memory(8)], control=Memory(8192))
        result = c.call("recvmsg", peer, message, s.MSG_DONTWAIT)
        if result.ok:
            c.received(message, result.value)
        c.note("got", len(c.owned) - before)
        while len(c.owned) > before:
            c.close(c.owned[-1])


@case(kinds=PAIRS, call="sendmsg")
def several_messages(c):
    """Several SCM_RIGHTS headers in one message are joined; their sum has the same limit."""
    fd, peer = c.pair()
    reader, writer = c.pipe()
    c.sendmsg(fd, Message([b"x"], control=rights(reader) + rights(writer)), label="two")
    receive(c, peer)
    c.sendmsg(fd, Message([b"x"], control=rights(*[reader] * 200) + rights(*[writer] * 54)), label="254 together")
    c.sendmsg(fd, Message([b"x"], control=rights(reader) + rights()), label="one and none")
    receive(c, peer)
    c.sendmsg(fd, Message([b"x"], control=rights()), label="none")
    receive(c, peer)
    c.sendmsg(fd, Message([b"x"], control=rights(reader) + rights(999)), label="one good, one bad")
    receive(c, peer)


@case(kinds=PAIRS, call="sendmsg")
def odd_sizes(c):
    """A length that is no multiple of four; padding left out at the end."""
    fd, peer = c.pair()
    reader, _ = c.pipe()
    one = struct.pack("=i", reader)
    for label, control in {
        "5 bytes": cmsg(1, 1, one + b"\0"),
        "7 bytes": cmsg(1, 1, one + b"\0\0\0"),
        "3 bytes": cmsg(1, 1, one[:3]),
        "no padding": cmsg(1, 1, one)[:20],
        "cmsg_len one short": cmsg(1, 1, one, length=19),
    }.items():
        c.sendmsg(fd, Message([b"x"], control=control), label=label)
        receive(c, peer)


@case(kinds=PAIRS, call="sendmsg")
def without_data(c):
    """A message of no bytes: a stream sends nothing, a datagram carries the descriptor."""
    fd, peer = c.pair()
    reader, _ = c.pipe()
    c.sendmsg(fd, Message([b""], control=rights(reader)), label="empty iovec")
    receive(c, peer)
    c.sendmsg(fd, Message([], control=rights(reader)), label="no iovec")
    receive(c, peer)


@case(kinds=(STREAM_PAIR,), call="sendmsg")
def stream_boundaries(c):
    """On a stream a receive stops where descriptors begin."""
    fd, peer = c.pair()
    reader, writer = c.pipe()
    c.sendmsg(fd, Message([b"aaa"]))
    c.sendmsg(fd, Message([b"bbb"], control=rights(reader)))
    c.sendmsg(fd, Message([b"ccc"]))
    c.sendmsg(fd, Message([b"ddd"], control=rights(writer)))
    for _ in range(4):
        receive(c, peer)


@case(kinds=(*TCP, *UDP), call="sendmsg")
def elsewhere(c):
    """SCM_RIGHTS on inet sockets."""
    fd, peer = c.linked()
    reader, _ = c.pipe()
    c.sendmsg(fd, Message([b"x"], control=rights(reader)))
    c.sendmsg(fd, Message([b"x"], control=rights(999)), label="closed number")
    receive(c, peer)


@case(kinds=PATH, call="sendmsg")
def between_processes(c):
    """A child passes a pipe to its parent; the pipe works after the child ended."""
    fd, peer = c.linked()
    reader, writer = c.pipe()

    def child():
        inner, outer = os.pipe()
        c.sendmsg(fd, Message([b"from child"], control=rights(inner)))
        os.write(outer, b"through")

    c.note("child", c.in_child(child))
    receive(c, peer)
    c.note("content", os.read(c.owned[-1], 16).decode())
    c.close(writer)
    c.note("own pipe", os.read(reader, 1).decode())


@case(kinds=PATH, call="sendmsg")
def number_means_the_thread(c):
    """A thread with its own descriptor table passes its own file under a number that is another in the main one."""
    fd, peer = c.linked()
    file = c.file(content=b"main")

    def elsewhere_body():
        must("unshare", 0x400)
        inner, outer = os.pipe()
        os.write(outer, b"thread")
        os.dup2(inner, file)
        must("sendmsg", fd, Message([b"x"], control=rights(file)), 0)
        for number in (inner, outer, file):
            os.close(number)
        return "sent"

    c.note("thread", c.in_thread(elsewhere_body))
    receive(c, peer)
    c.note("content", os.read(c.owned[-1], 16).decode())


@case(kinds=(SEQ_PAIR,), call="sendmsg")
def too_many_in_flight(c):
    """As nobody, more descriptors in flight than RLIMIT_NOFILE: ETOOMANYREFS."""
    c.become_nobody()
    fd, peer = c.pair()
    reader, _ = c.pipe()
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    for index in range(8):
        c.sendmsg(fd, Message([b"x"], control=rights(*[reader] * 10)), label=f"{index}")
    c.note("taken", c.drain(peer))
