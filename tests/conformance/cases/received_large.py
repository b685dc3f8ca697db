"""Receives of 256 KiB and more, into one part and many; the largest datagrams."""

import hashlib
import socket as s
import threading

from tests.conformance.case import case
from tests.conformance.kinds import CONNECTED, DATAGRAM, DGRAM_PAIR, PAIRS, SEQ_PAIR, STREAM_PAIR, STREAMS, TCP4, UDP
from tests.conformance.memory import Memory
from tests.conformance.message import Message, Vector
from tests.conformance.raw import must, syscall

K = 1024
SIZES = (256 * K - 1, 256 * K, 256 * K + 1, K * K, 4 * K * K)
NOW = s.MSG_DONTWAIT


def pattern(size):
    block = bytes(range(251)) * 17
    return (block * (size // len(block) + 1))[:size]


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def sending(fd, size):
    """Send a pattern of so many bytes from another thread, and close."""

    def run():
        data = Memory(pattern(size))
        done = 0
        while done < size:
            done += must("sendto", fd, data.address + done, size - done, 0, None, 0)
        must("shutdown", fd, s.SHUT_WR)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@case(kinds=STREAMS, call="recvfrom")
def stream(c):
    """4 MiB of a stream, in receives of every size: all bytes in order."""
    for size in SIZES:
        fd, peer = c.linked(label=f"l{c.count()}")
        thread = sending(fd, 4 * K * K)
        memory, total = Memory(size), hashlib.sha256()
        while (count := must("recvfrom", peer, memory, size, 0, None, None)) > 0:
            total.update(memory.read(count))
        thread.join()
        c.note(f"{size}", total.hexdigest()[:16])
        c.close(fd)
        c.close(peer)


@case(kinds=(TCP4, STREAM_PAIR), call="recvmsg")
def stream_in_parts(c):
    """The same by recvmsg in uneven parts and by recvmmsg; MSG_WAITALL gets all at once."""
    for label in ("recvmsg", "recvmmsg", "WAITALL"):
        fd, peer = c.linked(label=f"l{c.count()}")
        thread = sending(fd, 4 * K * K)
        total = hashlib.sha256()
        if label == "WAITALL":
            whole = Memory(4 * K * K)
            c.call("recvfrom", peer, whole, whole.size, s.MSG_WAITALL, None, None)
            total.update(whole.read())
        while label == "recvmsg":
            parts = [Memory(size) for size in (1, 300_000, 3, 100_000, 4096)]
            count = must("recvmsg", peer, Message(parts), 0)
            total.update(b"".join(part.read() for part in parts)[:count])
            if not count:
                break
        done = label != "recvmmsg"
        while not done:
            batch = Vector(*(Message([Memory(300_000)]) for _ in range(3)))
            got = must("recvmmsg", peer, batch, 3, 0x10000, None)
            for message, length in list(zip(batch.messages, batch.lengths(), strict=True))[:got]:
                total.update(message.buffers[0].read(length))
                done = done or not length
        thread.join()
        c.note(label, total.hexdigest()[:16])


@case(kinds=STREAMS, call="recvfrom")
def large_room(c):
    """Little there, and a buffer of 4 MiB; peeked, received."""
    fd, peer = c.linked()
    for _ in range(2):
        c.sendto(fd, b"little")
        for flags in (s.MSG_PEEK, 0):
            c._arrived(peer, NOW)
            memory = Memory(4 * K * K)
            c.call("recvfrom", peer, memory, memory.size, flags | NOW, None, None)
            c.note("got", [memory.read(6).decode(), memory.read(1, 6).hex()])


def datagram(c, fd, peer, size):
    data = Memory(pattern(size))
    for room in (size - 1, size, size + 1, 256 * K, 256 * K + 1, 4 * K * K):
        result = syscall("sendto", fd, data, size, 0, None, 0)
        c.note(f"send {size}", str(result))
        if not result.ok:
            return
        for flags in (s.MSG_PEEK, s.MSG_PEEK | s.MSG_TRUNC, s.MSG_TRUNC if room % 2 else 0):
            c._arrived(peer, NOW)
            memory = Memory(room)
            message = Message([(memory.address, 1000), (memory.address + 1000, room - 1000)])
            result = syscall("recvmsg", peer, message, flags | NOW)
            got = max(0, min(result.value, room))
            c.note(f"{room} {flags:#x}", [str(result), c.flags(message.fields()["flags"]), digest(memory.read(got))])
            c.note("beyond", memory.read(room - got, got)[:4].hex())


@case(kinds=UDP, call="recvmsg")
def largest_of_udp(c):
    """65507 bytes over IPv4, 65487 over IPv6, one more, into buffers of every size."""
    fd, peer = c.linked()
    for size in (65506, 65507, 65508, 65487, 65488, 65527, 65528):
        datagram(c, fd, peer, size)


@case(kinds=(DGRAM_PAIR, SEQ_PAIR), call="recvmsg")
def large_unix(c):
    """What fits in a send buffer of the usual size."""
    fd, peer = c.pair()
    for size in (100_000, 160_000, 212_000, 213_000):
        datagram(c, fd, peer, size)


@case(kinds=(DGRAM_PAIR, SEQ_PAIR), call="recvmsg", root=True)
def largest_of_unix(c):
    """1 MiB and 3 MiB as one datagram, with SO_SNDBUFFORCE."""
    fd, peer = c.pair()
    c.option(fd, s.SOL_SOCKET, 32, 8 * K * K)
    for size in (256 * K, 256 * K + 1, K * K, 3 * K * K):
        datagram(c, fd, peer, size)


@case(kinds=(DGRAM_PAIR, SEQ_PAIR), call="recvmmsg", root=True)
def batch_of_large(c):
    """Three of 1 MiB in one recvmmsg."""
    fd, peer = c.pair()
    c.option(fd, s.SOL_SOCKET, 32, 16 * K * K)
    data = Memory(pattern(K * K))
    for size in (K * K, 300_000, K * K - 1):
        c.note("send", str(syscall("sendto", fd, data, size, 0, None, 0)))
    batch = Vector(*(Message([Memory(K * K)]) for _ in range(4)))
    c.call("recvmmsg", peer, batch, 4, NOW, None)
    c.note("lengths", batch.lengths())
    for message, length in zip(batch.messages, batch.lengths(), strict=True):
        c.note("digest", digest(message.buffers[0].read(min(length, K * K))))


@case(kinds=(*CONNECTED, *DATAGRAM), call="recvfrom")
def huge_room(c):
    """A size far beyond the memory that is there."""
    fd, peer = c.linked()
    for size in (1 << 20, 1 << 30, (1 << 31) - 4096, (1 << 47) - (1 << 40)):
        for flags in (s.MSG_PEEK, 0):
            if flags:
                c.sendto(fd, b"data")
            c._arrived(peer, NOW)
            memory = Memory(64)
            c.call("recvfrom", peer, memory, size, flags | NOW, None, None, label=f"{size:#x}")
            c.note("got", memory.read(6).hex())
        c.drain(peer)


@case(kinds=PAIRS, call="recvmsg")
def sum_of_parts(c):
    """Parts whose lengths together are too large."""
    fd, peer = c.pair()
    memory = Memory(64)
    for lengths in (((1 << 63) - 1, 1), (1 << 62, 1 << 62), (0x7FFF_F000, 4), (4, 0x7FFF_F000), (1 << 63, 0)):
        c.sendto(fd, b"data")
        message = Message([(memory.address, length) for length in lengths])
        c.call("recvmsg", peer, message, NOW, label=f"{lengths}")
        c.note("left", c.drain(peer))
