"""Flags of a receive: peeking with an offset, truncation, waiting for all, urgent data, low-water marks, zero bytes."""

import array
import fcntl
import select
import socket as s
import struct

from tests.conformance.case import case
from tests.conformance.kinds import ALL, DATAGRAM, PAIRS, PLAIN, STREAM_PAIR, STREAMS, TCP, both
from tests.conformance.memory import Memory
from tests.conformance.message import Message
from tests.conformance.raw import must, syscall

NOW = s.MSG_DONTWAIT
SIOCATMARK, FIONREAD, PEEK_OFF = 0x8905, 0x541B, 42
MARKED = (*TCP, STREAM_PAIR)


def filled(c, *words, kind=None):
    fd, peer = c.linked(kind=kind, label=f"l{c.count()}")
    for number, word in enumerate(words):
        must("sendto", fd, word, len(word), 0, None, 0)
        until(c, peer, sum(map(len, words[: number + 1])))
    return fd, peer


def until(c, fd, count):
    """Wait until so many bytes of a stream, or any of a datagram socket, have arrived."""
    c.ready(fd, select.POLLIN)
    for _ in range(20):
        if not c.kind.connects or c.kind.unix or asked(fd, FIONREAD) >= count:
            break
        select.select([], [], [], 0.001)  # FIONREAD does not count beyond urgent data


def asked(fd, request):
    answer = array.array("i", [0])
    try:
        fcntl.ioctl(fd, request, answer)
    except OSError as error:
        return error.strerror
    return answer[0]


def urgent(c, fd, peer, byte=b"!"):
    c.sendto(fd, byte, flags=s.MSG_OOB)
    c.ready(peer, select.POLLPRI)


@case(kinds=ALL, call="recvmsg")
def peek_offset(c):
    """SO_PEEK_OFF: peeks that move it, reads that move it back, the end, negative again; by both calls."""
    _, peer = filled(c, b"0123", b"4567", b"89")
    for offset in (0, 1, 5, 9, 10, 11, 100, -1):
        c.call("setsockopt", peer, s.SOL_SOCKET, PEEK_OFF, struct.pack("=i", offset), 4, label=f"offset {offset}")
        for size in (0, 3, 64):
            c.recvfrom(peer, size=size, flags=s.MSG_PEEK | NOW)
            c.get_int(peer, s.SOL_SOCKET, PEEK_OFF, "now")
            c.recvmsg(peer, Message([Memory(2)], control=Memory(64)), flags=s.MSG_PEEK | NOW)
            c.get_int(peer, s.SOL_SOCKET, PEEK_OFF, "now")
    c.call("setsockopt", peer, s.SOL_SOCKET, PEEK_OFF, struct.pack("=i", 6), 4)
    for _ in range(4):
        c.recvfrom(peer, size=3, flags=NOW)
        c.get_int(peer, s.SOL_SOCKET, PEEK_OFF, "now")
        c.recvfrom(peer, size=2, flags=s.MSG_PEEK | s.MSG_TRUNC | NOW)
        c.get_int(peer, s.SOL_SOCKET, PEEK_OFF, "now")


@case(kinds=ALL, call="recvmsg")
def truncation(c):
    """MSG_TRUNC with sizes below, at and beyond what is there, with MSG_PEEK, without a buffer."""
    for flags in (s.MSG_TRUNC, s.MSG_TRUNC | s.MSG_PEEK, s.MSG_TRUNC | s.MSG_WAITALL):
        for size in (0, 1, 5, 6, 64):
            _, peer = filled(c, b"12345", b"678")
            message = Message([Memory(size)])
            c.call("recvmsg", peer, message, flags | NOW, label=f"{flags:#x} {size}")
            c.note("got", [message.buffers[0].read().hex(), c.flags(message.fields()["flags"])])
            memory = Memory(size)
            c.call("recvfrom", peer, memory, size, flags | NOW, None, None)
            c.note("got", memory.read().hex())
            c.call("recvfrom", peer, None, 2, flags | NOW, None, None, label="NULL")
            c.note("left", c.drain(peer))


@case(kinds=both(STREAMS), call="recvfrom")
def all_of_it(c):
    """MSG_WAITALL, with MSG_PEEK too, where all is there, less, more; not waiting."""
    for size in (1, 4, 5, 8, 9):
        for flags in (s.MSG_WAITALL, s.MSG_WAITALL | s.MSG_PEEK):
            _, peer = filled(c, b"1234", b"5678")
            c.recvfrom(peer, size=size, flags=flags | (NOW if size == 9 else 0), label=f"{size} {flags:#x}")
            c.note("left", c.drain(peer))


@case(kinds=STREAMS, call="recvfrom")
def all_of_it_at_the_end(c):
    """MSG_WAITALL where the peer has closed: the rest."""
    for flags in (0, s.MSG_PEEK):
        fd, peer = filled(c, b"1234")
        c.call("shutdown", fd, s.SHUT_WR)
        for _ in range(3):
            c.recvfrom(peer, size=6, flags=s.MSG_WAITALL | flags)


@case(kinds=STREAMS, call="recvfrom")
def low_water(c):
    """SO_RCVLOWAT where enough is there, too little, more than is asked; not waiting, waiting a little."""
    for least in (0, 1, 3, 4, 5, 100, -1):
        for size in (2, 4, 64):
            _, peer = filled(c, b"12", b"34")
            c.call("setsockopt", peer, s.SOL_SOCKET, s.SO_RCVLOWAT, struct.pack("=i", least), 4, label=f"{least}")
            c.recvfrom(peer, size=size, flags=s.MSG_PEEK | NOW, label=f"peek {size}")
            enough = min(size, least) <= 4 or c.kind.unix
            c.recvfrom(peer, size=size, flags=0 if enough and 0 <= least < 5 else NOW, label=f"{size}")
            c.note("left", c.drain(peer))


@case(kinds=STREAMS, call="recvfrom")
def low_water_times_out(c):
    """SO_RCVLOWAT that is not reached within SO_RCVTIMEO: what there is."""
    for flags in (0, s.MSG_PEEK, s.MSG_WAITALL):
        _, peer = filled(c, b"1234")
        c.option(peer, s.SOL_SOCKET, s.SO_RCVLOWAT, 10)
        c.timeout(peer, s.SO_RCVTIMEO, 50)
        c.recvfrom(peer, size=20, flags=flags)
        c.recvfrom(peer, size=20, flags=flags)


@case(kinds=ALL, call="recvfrom")
def every_bit(c):
    """Each of the 32 bits of flags by itself, and all of them, with data there."""
    for bit in range(32):
        _, peer = filled(c, b"1234", b"5678")
        for name in ("recvfrom", "recvmsg"):
            bits = 1 << bit | NOW
            if name == "recvfrom":
                c.recvfrom(peer, size=3, flags=bits, label=f"{name} {bits:#x}")
            else:
                message = Message([Memory(3)], control=Memory(32))
                c.call("recvmsg", peer, message, bits, label=f"{name} {bits:#x}")
                c.note("got", [message.buffers[0].read().hex(), c.flags(message.fields()["flags"])])
        c.note("left", c.drain(peer))
        c.close(peer)
    _, peer = filled(c, b"1234")
    c.recvfrom(peer, size=3, flags=-1, label="all")
    c.recvfrom(peer, size=3, flags=0x7FFF_FFFF, label="all but one")


@case(kinds=both(PLAIN), call="recvfrom")
def zero_length(c):
    """Zero bytes from an empty queue, from one with data, at the end."""
    fd, peer = filled(c, b"12", b"34")
    for flags in (s.MSG_PEEK, s.MSG_WAITALL, s.MSG_TRUNC | s.MSG_PEEK, 0):
        wait = 0 if c.kind in STREAMS else NOW
        c.recvfrom(peer, size=0, flags=flags | wait, length=128)
        c.recvmsg(peer, Message([], control=Memory(64)), flags=flags | wait | s.MSG_PEEK)
        c.recvmsg(peer, Message([Memory(0), Memory(0)], name=Memory(64)), flags=flags | NOW)
        c.note("there", asked(peer, FIONREAD))
    c.drain(peer)
    c.recvfrom(peer, size=0, flags=NOW, label="empty")
    c.timeout(peer, s.SO_RCVTIMEO, 40)
    c.recvfrom(peer, size=0, label="empty, waiting")
    c.recvmsg(peer, Message([]), label="empty, waiting")
    if c.kind.connects:
        c.call("shutdown", fd, s.SHUT_WR)
        c.recvfrom(peer, size=0, label="end")


@case(kinds=DATAGRAM, call="recvfrom")
def empty_datagrams(c):
    """Datagrams of no bytes between others: each takes one receive, whatever its size."""
    fd, peer = c.linked()
    for word in (b"", b"a", b"", b"", b"b"):
        c.sendto(fd, word)
        c._arrived(peer, NOW)
    for size, flags in ((0, s.MSG_PEEK), (0, 0), (0, 0), (4, s.MSG_PEEK), (4, 0), (4, s.MSG_TRUNC), (4, 0), (4, 0)):
        message = Message([Memory(size)], name=Memory(128))
        c.recvmsg(peer, message, flags=flags | NOW, label=f"{size} {flags}")


@case(kinds=MARKED, call="recvfrom")
def urgent_byte(c):
    """MSG_OOB: twice, peeked, with no size, past the mark; SIOCATMARK before and after each."""
    for sizes in ((10, 10), (1, 10), (2, 10), (0, 10)):
        fd, peer = filled(c, b"ab")
        urgent(c, fd, peer)
        c.sendto(fd, b"cd")
        until(c, peer, 4)
        c.note("mark", asked(peer, SIOCATMARK))
        c.recvfrom(peer, size=1, flags=s.MSG_OOB | s.MSG_PEEK, label="peek")
        c.recvfrom(peer, size=0, flags=s.MSG_OOB, label="no size")
        c.recvfrom(peer, size=4, flags=s.MSG_OOB | s.MSG_WAITALL, label="urgent")
        c.recvfrom(peer, size=4, flags=s.MSG_OOB, label="again")
        for size in sizes:
            c.recvfrom(peer, size=size, flags=NOW)
            c.note("mark", asked(peer, SIOCATMARK))
            c.recvfrom(peer, size=1, flags=s.MSG_OOB | s.MSG_TRUNC, label="urgent")
        c.note("left", c.drain(peer))


@case(kinds=MARKED, call="recvfrom")
def urgent_not_taken(c):
    """The urgent byte is not read: peeks, reads, waits for all across the mark; a second one."""
    for flags in (0, s.MSG_PEEK, s.MSG_WAITALL, s.MSG_PEEK | s.MSG_WAITALL, s.MSG_TRUNC):
        fd, peer = filled(c, b"ab")
        urgent(c, fd, peer)
        c.sendto(fd, b"cd")
        until(c, peer, 4)
        for _ in range(2):
            c.recvfrom(peer, size=4, flags=flags | NOW, label=f"{flags:#x}")
            c.note("mark", [asked(peer, SIOCATMARK), asked(peer, FIONREAD)])
        urgent(c, fd, peer, b"xy")
        c.recvfrom(peer, size=10, flags=flags | NOW)
        c.recvmsg(peer, Message([Memory(4)], control=Memory(32), name=Memory(32)), flags=s.MSG_OOB | NOW)
        c.note("left", c.drain(peer))


@case(kinds=MARKED, call="recvfrom")
def urgent_wait_for_all(c):
    """A blocking MSG_WAITALL whose bytes are there, but beyond the mark."""
    fd, peer = filled(c, b"ab")
    urgent(c, fd, peer)
    c.sendto(fd, b"cd")
    until(c, peer, 4)
    c.timeout(peer, s.SO_RCVTIMEO, 50)
    for size in (4, 2):
        c.recvfrom(peer, size=size, flags=s.MSG_WAITALL)
        c.note("mark", asked(peer, SIOCATMARK))
    c.recvfrom(peer, size=1, flags=s.MSG_OOB)


@case(kinds=MARKED, call="recvfrom")
def urgent_inline(c):
    """SO_OOBINLINE, set before and after the byte has come."""
    for when in ("before", "after", "off again"):
        fd, peer = filled(c, b"ab")
        if when != "after":
            c.option(peer, s.SOL_SOCKET, s.SO_OOBINLINE, 1)
        urgent(c, fd, peer)
        c.sendto(fd, b"cd")
        until(c, peer, 4)
        c.option(peer, s.SOL_SOCKET, s.SO_OOBINLINE, int(when != "off again"))
        c.recvfrom(peer, size=1, flags=s.MSG_OOB, label=when)
        for flags in (s.MSG_PEEK, 0, s.MSG_PEEK, 0, 0):
            c.recvfrom(peer, size=10, flags=flags | NOW)
            c.note("mark", asked(peer, SIOCATMARK))


@case(kinds=PAIRS, call="recvmsg")
def credentials_divide_a_stream(c):
    """Bytes with and without descriptors, waited for as one: a stream is not glued together over them."""
    fd, peer = c.pair()
    reader, _ = c.pipe()
    rights = struct.pack("=Qiii4x", 20, 1, 1, reader)
    for flags in (s.MSG_PEEK, s.MSG_WAITALL, 0):
        for control in (None, rights, None, rights):
            c.sendmsg(fd, Message([b"abc"], control=control))
        for _ in range(5):
            c.recvmsg(peer, Message([Memory(5)], control=Memory(64)), flags=flags | NOW)
        c.note("left", c.drain(peer))


@case(kinds=both(ALL), call="recvfrom")
def nothing_to_receive(c):
    """An empty queue and every combination of flags that could matter."""
    _, peer = c.linked()
    c.option(peer, s.SOL_SOCKET, s.SO_RCVLOWAT, 1)
    for flags in (0, s.MSG_PEEK, s.MSG_TRUNC, s.MSG_WAITALL, s.MSG_OOB, s.MSG_ERRQUEUE, s.MSG_ERRQUEUE | s.MSG_PEEK):
        c.note(f"{flags:#x}", str(syscall("recvfrom", peer, Memory(4), 4, flags | NOW, None, None)))
        c.recvmsg(peer, Message([Memory(4)], name=Memory(32), control=Memory(32)), flags=flags | NOW)
