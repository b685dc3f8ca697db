"""recvmsg(2): the control buffer byte by byte, also what is not written of it; what ends up in the descriptor table."""

import os
import resource
import socket as s
import struct

from tests.conformance.case import case
from tests.conformance.context import open_fds
from tests.conformance.kinds import DATAGRAM, DGRAM_PAIR, PAIRS, PLAIN, TCP, TCP4, UDP, UDP4
from tests.conformance.memory import BAD, FILL, Memory, read_only, straddling
from tests.conformance.message import Message, exact_control, rights
from tests.conformance.raw import syscall

PASSPIDFD, PEERPIDFD, RXQ_OVFL = 76, 77, 40


def exact(c, fd, room, flags=0, control=None, size=8, label=""):
    """recvmsg with every byte of the control buffer; new descriptors are closed again."""
    before = open_fds()
    memory = Memory(200) if control is None else control
    message = Message([Memory(size)], control=memory, controllen=room)
    c._arrived(fd, flags | s.MSG_DONTWAIT)
    result = syscall("recvmsg", fd, message, flags | s.MSG_DONTWAIT)
    fields = message.fields()
    seen = [str(result), f"controllen {fields['controllen']} flags {c.flags(fields['flags'])}"]
    if isinstance(memory, Memory):
        seen.append(exact_control(memory.read(), fields["controllen"], lambda number: number_of(c, number)))
    seen.append(message.buffers[0].read().rstrip(bytes([FILL])).decode())
    seen.append(made(c, before))
    c.note(label or f"room {room}", seen)


def number_of(c, fd):
    return 0xFD00 + c._free.index(fd) if fd in c._free else fd


def made(c, before):
    """Descriptors that have come since, closed again: their tokens."""
    new = sorted(open_fds() - before)
    tokens = [c.fd_token(fd) + ("" if os.get_inheritable(fd) else "(cloexec)") for fd in new]
    for fd in new:
        os.close(fd)
    return tokens


def asking(c, fd, *options):
    for option in options:
        c.option(fd, s.SOL_SOCKET, option, 1)


@case(kinds=PAIRS, call="recvmsg")
def rights_in_every_length(c):
    """One to three descriptors, control buffers of 0 to 48 bytes."""
    fd, peer = c.pair()
    reader, writer = c.pipe()
    for count in (1, 2, 3):
        for room in range(49):
            c.sendmsg(fd, Message([b"x"], control=rights(*(reader, writer, reader)[:count])), label=f"{count}")
            exact(c, peer, room, flags=s.MSG_CMSG_CLOEXEC if room & 1 else 0)


@case(kinds=PAIRS, call="recvmsg")
def credentials_and_rights(c):
    """Credentials and one to three descriptors, control buffers of 0 to 72 bytes."""
    fd, peer = c.pair()
    asking(c, peer, s.SO_PASSCRED)
    reader, writer = c.pipe()
    for count in (0, 1, 2, 3):
        for room in range(73):
            control = rights(*(reader, writer, reader)[:count]) if count else None
            c.sendmsg(fd, Message([b"x"], control=control), label=f"{count}")
            exact(c, peer, room)


@case(kinds=PAIRS, call="recvmsg")
def pidfd_in_every_length(c):
    """SO_PASSPIDFD with credentials, SO_PASSSEC and a descriptor, control buffers of 0 to 112 bytes."""
    fd, peer = c.pair()
    asking(c, peer, PASSPIDFD)
    reader, _ = c.pipe()
    for also in (False, True):
        if also:
            asking(c, peer, s.SO_PASSCRED, 34)
        for room in range(0, 113, 1 if also else 4):
            c.sendmsg(fd, Message([b"x"], control=rights(reader)), label="send")
            exact(c, peer, room, flags=s.MSG_CMSG_CLOEXEC if room & 2 else 0)


@case(kinds=PAIRS, call="recvmsg")
def pidfd_means_the_sender(c):
    """The pidfd of a child that lives, and of one that has been reaped."""
    fd, peer = c.pair()
    asking(c, peer, PASSPIDFD)
    for label in ("reaped", "self"):
        if label == "reaped":
            c.note("child", c.in_child(lambda: c.sendto(fd, b"x")))
        else:
            c.sendto(fd, b"x")
        memory = Memory(64)
        c.call("recvmsg", peer, Message([Memory(8)], control=memory), 0, label=label)
        number = struct.unpack_from("=i", memory.read(), 16)[0]
        if number < 0:
            c.note("number", number)
            continue
        with open(f"/proc/self/fdinfo/{number}") as file:
            pid = next(int(line.split()[1]) for line in file if line.startswith("Pid:"))
        c.note("pid", "self" if pid == os.getpid() else pid)
        os.close(number)


@case(kinds=PAIRS, call="recvmsg")
def limit_in_the_middle(c):
    """RLIMIT_NOFILE after none, one, two of three descriptors, with credentials before and a pidfd after."""
    fd, peer = c.pair()
    reader, writer = c.pipe()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for options in ((), (s.SO_PASSCRED,), (s.SO_PASSCRED, PASSPIDFD)):
        asking(c, peer, *options)
        for left in range(5):
            c.sendmsg(fd, Message([b"x"], control=rights(reader, writer, reader)), label=f"{options} {left}")
            memory = Memory(120)
            message = Message([Memory(8)], control=memory)
            before = open_fds()
            resource.setrlimit(resource.RLIMIT_NOFILE, (writer + 1 + left, hard))
            result = syscall("recvmsg", peer, message, 0)
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            fields = message.fields()
            text = exact_control(memory.read(), fields["controllen"], lambda number: number_of(c, number))
            c.note(f"left {left}", [str(result), fields["controllen"], c.flags(fields["flags"]), text, made(c, before)])


@case(kinds=PAIRS, call="recvmsg")
def holes(c):
    """Holes in the table are filled from below, also below the sockets themselves."""
    low = [c.own(os.dup(0)) for _ in range(6)]
    fd, peer = c.pair()
    reader, writer = c.pipe()
    for number in (4, 2, 0):
        c.close(low[number])
    c.sendmsg(fd, Message([b"x"], control=rights(writer, reader, writer, reader)))
    exact(c, peer, 64)


@case(kinds=PAIRS, call="recvmsg")
def peeked_twice(c):
    """MSG_PEEK with descriptors twice, then the real receive: new numbers each time."""
    fd, peer = c.pair()
    asking(c, peer, s.SO_PASSCRED)
    reader, _ = c.pipe()
    c.sendmsg(fd, Message([b"abcd"], control=rights(reader, reader)))
    for room in (100, 16, 60, 56):
        exact(c, peer, room, flags=s.MSG_PEEK, size=2)
    exact(c, peer, 100, size=2)
    exact(c, peer, 100)


@case(kinds=PAIRS, call="recvmsg")
def bad_control(c):
    """Control buffers that cannot be written, with nothing to write, credentials, descriptors, both."""
    fd, peer = c.pair()
    reader, _ = c.pipe()
    pointers = {**BAD, "read-only": lambda: read_only(64).address, "half": lambda: straddling(bytes(40), 40)}
    for on in (0, 1):
        c.option(peer, s.SOL_SOCKET, s.SO_PASSCRED, on)
        for count in (0, 2):
            for name, make in pointers.items():
                control = rights(reader, reader) if count else None
                c.sendmsg(fd, Message([b"x"], control=control), label=f"{on} {count}")
                exact(c, peer, 64, control=make(), label=name)


@case(kinds=(*UDP, *TCP), call="recvmsg")
def bad_control_inet(c):
    """The same where it says the destination and a time."""
    fd, peer = c.linked()
    v4 = c.kind.family == s.AF_INET
    if c.kind.type == s.SOCK_DGRAM:
        c.option(peer, *((s.IPPROTO_IP, 8) if v4 else (s.IPPROTO_IPV6, 49)), 1)
        c.option(peer, *((s.IPPROTO_IP, 12) if v4 else (s.IPPROTO_IPV6, 51)), 1)
    else:
        c.option(peer, s.IPPROTO_TCP, 36, 1)
    pointers = {**BAD, "read-only": lambda: read_only(64).address}
    pointers |= {f"{size} bytes": lambda size=size: straddling(bytes(size), size) for size in (8, 20, 28, 40, 52, 60)}
    for name, make in pointers.items():
        for flags in (s.MSG_PEEK, 0):
            if flags:
                c.sendto(fd, b"x")
            exact(c, peer, 128, control=make(), flags=flags, label=name)


@case(kinds=PLAIN, call="recvmsg")
def control_lengths(c):
    """msg_controllen that is huge, with a buffer and without; nothing to say."""
    fd, peer = c.linked()
    for length in (1, 8, 15, 17, 65536, 65537, 1 << 20, 1 << 31, 1 << 32, (1 << 64) - 1):
        for control in (None, 200):
            c.sendto(fd, b"x")
            c._arrived(peer, s.MSG_DONTWAIT)
            message = Message([Memory(4)], control=control and Memory(control), controllen=length)
            c.call("recvmsg", peer, message, s.MSG_DONTWAIT, label=f"{length:#x} {control}")
            c.note("left", [message.fields()["controllen"], c.flags(message.fields()["flags"])])


@case(kinds=PAIRS, call="recvmsg")
def bad_data_with_rights(c):
    """Data, name or header that cannot be written: do descriptors arrive, is the control buffer written?"""
    for label, parts, more in (
        ("data", [(8, 4)], {}), ("second part", [Memory(1), (8, 4)], {}), ("read-only", [read_only(4)], {}),
        ("name", [Memory(4)], {"name": 8, "namelen": 64}), ("header", [Memory(4)], {}),
    ):  # fmt: skip
        for flags in (s.MSG_PEEK, 0):
            fd, peer = c.pair()
            asking(c, peer, s.SO_PASSCRED)
            reader, _ = c.pipe()
            c.sendmsg(fd, Message([b"abcd"], control=rights(reader)))
            before = open_fds()
            message = Message(parts, control=Memory(96), **more)
            if label == "header":
                message.header.protect()
            c.call("recvmsg", peer, message, flags | s.MSG_DONTWAIT, label=f"{label} {flags}")
            text = exact_control(message.control.read(), 96, lambda number: number_of(c, number))
            c.note("control", [message.fields()["controllen"], message.fields()["flags"], text])
            c.note("made", made(c, before))
            exact(c, peer, 96, label="afterwards")


@case(kinds=DATAGRAM, call="recvmsg")
def overlapping(c):
    """Data, name, control and header in the same memory: who writes last."""
    for label in ("name is control", "name is data", "control is data", "control is header", "name is header"):
        fd, peer = c.linked(label=f"l{c.count()}")
        if c.kind.unix:
            asking(c, peer, s.SO_PASSCRED)
        else:
            c.option(peer, *((s.IPPROTO_IP, 12) if c.kind.family == s.AF_INET else (s.IPPROTO_IPV6, 51)), 1)
        data, shared = Memory(16), Memory(128)
        parts, name, control = [data], Memory(128), Memory(64)
        if label == "name is control":
            name = control = shared
        elif label == "name is data":
            name, parts = shared, [shared]
        elif label == "control is data":
            control, parts = shared, [shared]
        message = Message(parts, name=name, control=control, namelen=128, controllen=64)
        packed = bytearray(message.header.read())
        if label == "control is header":
            packed[32:40] = struct.pack("=Q", message.address)
        if label == "name is header":
            packed[0:8] = struct.pack("=Q", message.address)
        message.header.write(bytes(packed))
        c.sendto(fd, b"0123456789abcdef")
        c._arrived(peer, s.MSG_DONTWAIT)
        c.call("recvmsg", peer, message, s.MSG_DONTWAIT, label=label)
        fields = message.fields()
        c.note("fields", [fields["controllen"], fields["flags"], shared.read(2).hex()])
        if label == "name is header" and c.kind.naming != "pair":
            c.note("header", c.names.address(message.header.read(28 if c.kind.family == s.AF_INET6 else 16)))
        elif label != "name is header":
            c.note("header", [fields["namelen"], message.header.read(12).hex() if "header" in label else ""])


@case(kinds=(*PAIRS, UDP4, TCP4), call="recvmsg")
def name_lies_in_control(c):
    """The name is written over control messages that have come before."""
    fd, peer = c.linked()
    if c.kind.unix:
        asking(c, peer, s.SO_PASSCRED)
    if c.kind == UDP4:
        c.option(peer, s.IPPROTO_IP, 8, 1)
    for offset in (0, 8, 16, 24):
        control = Memory(64)
        message = Message([Memory(16)], name=control.address + offset, namelen=40, control=control)
        c.sendto(fd, b"x")
        c._arrived(peer, s.MSG_DONTWAIT)
        c.call("recvmsg", peer, message, s.MSG_DONTWAIT, label=f"at {offset}")
        data = bytearray(control.read())
        if c.kind == UDP4:
            data[offset + 2 : offset + 4] = b"PP"
        c.note("control", [exact_control(bytes(data), 64, lambda number: number), message.fields()["namelen"]])


@case(kinds=(DGRAM_PAIR,), call="recvmsg")
def misaligned(c):
    """Header, name, vector and control at odd addresses."""
    fd, peer = c.pair()
    asking(c, peer, s.SO_PASSCRED)
    reader, _ = c.pipe()
    for shift in range(1, 8):
        inner = Message([Memory(9)], control=Memory(64), name=Memory(32))
        vector = Memory(inner.iovecs.read() + bytes(shift))
        control = Memory(64 + shift)
        message = Message([], iovecs=vector, iovlen=1, control=control.address, controllen=64, name=inner.name)
        message.header = Memory(message.header.read() + bytes(shift))
        c.sendmsg(fd, Message([b"odd"], control=rights(reader)), label="send")
        before = open_fds()
        c.call("recvmsg", peer, message, 0, label=f"shift {shift}")
        c.note("control", exact_control(control.read(64), 64, lambda number: number_of(c, number)))
        c.note("made", made(c, before))
