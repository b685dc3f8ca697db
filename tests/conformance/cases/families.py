"""Families beside inet and unix: netlink, packet, raw, vsock, AF_ALG, unknown ones. All on the loopback interface."""

import os
import socket as s
import struct

from tests.conformance.case import case
from tests.conformance.memory import Memory
from tests.conformance.message import Message, Vector
from tests.conformance.raw import syscall

NOW = s.MSG_DONTWAIT
GETLINK, GETADDR, GETROUTE = 18, 22, 26
DUMP = 0x301


def netlink(c, protocol=0, kind=s.SOCK_RAW, groups=0):
    fd = c.socket(s.AF_NETLINK, kind, protocol).value
    c.bind(fd, struct.pack("=HHII", s.AF_NETLINK, 0, 0, groups))
    return fd


def ask(c, fd, kind, flags=DUMP, address=None):
    body = struct.pack("=IHHIIB3x", 20, kind, flags, 7, 0, 0)
    return c.sendto(fd, body, address=address)


def kinds_of(data):
    """The types of the netlink messages in a datagram; NLMSG_DONE is 3, an error 2."""
    found, at = [], 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        found.append(kind)
        at += max(16, -(-length // 4) * 4)
    return found


@case(call="recvmsg")
def route_dump(c):
    """Links, addresses, routes: multi-part answers by recvfrom, recvmsg and recvmmsg, the size asked for first."""
    fd = netlink(c)
    for request in (GETLINK, GETADDR, GETROUTE):
        ask(c, fd, request)
        seen, done = set(), False
        while not done:
            size = syscall("recvfrom", fd, None, 0, s.MSG_PEEK | s.MSG_TRUNC, None, None)
            memory, name = Memory(max(size.value, 16)), Memory(16)
            message = Message([memory], name=name, control=Memory(64))
            result = syscall("recvmsg", fd, message, 0)
            seen.update(kinds_of(memory.read(max(0, result.value))))
            done = not result.ok or 3 in seen or 2 in seen
        fields = message.fields()
        c.note(f"{request}", [sorted(seen), result.value == size.value, fields["namelen"], fields["controllen"]])
        c.note("name", name.read(12).hex())
    ask(c, fd, GETLINK)
    message = Message([Memory(3)])
    c.note("cut", [syscall("recvmsg", fd, message, 0).value, c.flags(message.fields()["flags"])])
    batch = Vector(*(Message([Memory(1 << 16)]) for _ in range(8)))
    c.note("batch", syscall("recvmmsg", fd, batch, 8, NOW, None).ok)


@case(call="recvmsg")
def netlink_answers(c):
    """An error, an acknowledgement, somebody else's answer, groups, packet information, an address given."""
    fd = netlink(c)
    address = struct.pack("=HHII", s.AF_NETLINK, 0, 0, 0)
    ask(c, fd, 9999, flags=1, address=address)
    memory = Memory(64)
    c.call("recvfrom", fd, memory, 64, 0, None, None)
    c.note("answer", [kinds_of(memory.read(16)), struct.unpack_from("=i", memory.read(), 16)[0]])
    c.call("setsockopt", fd, 270, 3, struct.pack("=i", 1), 4, label="NETLINK_PKTINFO")
    ask(c, fd, GETLINK, flags=5)
    message = Message([Memory(8192)], control=Memory(64))
    c.note("received", syscall("recvmsg", fd, message, 0).ok)
    c.note("control", [message.fields()["controllen"], message.control.read(24).hex()])
    c.recvfrom(netlink(c, groups=1), flags=NOW, label="nothing for the group")
    for level, option in ((270, 1), (270, 5), (270, 10), (270, 99), (1, 3), (1, 16)):
        c.call("setsockopt", fd, level, option, struct.pack("=i", 1), 4, label=f"{level} {option}")
    for level, option in ((270, 9), (1, 3), (1, 38), (1, 39)):
        value, size = Memory(8), Memory(struct.pack("=i", 8))
        c.call("getsockopt", fd, level, option, value, size)
        c.note("value", [value.read().hex(), size.read().hex()])


@case("root", "nobody", call="socket", root=True)
def privileged(c):
    """Packet and raw sockets; receiving from them what was sent over loopback."""
    if c.variant == "nobody":
        c.become_nobody()
    for family, kind, protocol in (
        (s.AF_PACKET, s.SOCK_RAW, 0), (s.AF_PACKET, s.SOCK_DGRAM, 0x0300), (s.AF_PACKET, s.SOCK_STREAM, 0),
        (s.AF_INET, s.SOCK_RAW, 253), (s.AF_INET6, s.SOCK_RAW, 253), (s.AF_INET, s.SOCK_RAW, 255),
        (s.AF_INET, s.SOCK_RAW, 0), (s.AF_KEY, s.SOCK_RAW, 2), (s.AF_NETLINK, s.SOCK_RAW, 9),
    ):  # fmt: skip
        fd = c.socket(family, kind, protocol, label=f"{family} {kind} {protocol}").value
        if fd >= 0:
            c.recvfrom(fd, flags=NOW, length=128) if protocol in (0, 253, 255) else None
            for number in (3, 38, 39, 8):
                c.get_int(fd, s.SOL_SOCKET, number, f"{number}")
    sender = syscall("socket", s.AF_INET, s.SOCK_RAW, 254)
    if sender.ok:
        receiver = c.socket(s.AF_INET, s.SOCK_RAW, 254).value
        c.own(sender.value)
        c.sendto(sender.value, b"payload", address=struct.pack("=HHI8x", 2, 0, 0x0100007F))
        memory, name, length = Memory(64), Memory(16), Memory(struct.pack("=i", 16))
        c.call("recvfrom", receiver, memory, 64, 0, name, length)
        c.note("packet", [memory.read(1).hex(), memory.read(7, 20).decode(), name.read().hex(), length.read().hex()])
        c.call("recvmsg", receiver, Message([Memory(4)], control=Memory(64)), NOW)


@case("root", "nobody", call="socket", root=True)
def every_family(c):
    """Every family with every type, plain and with flags: which exist, and what they answer without an address."""
    if c.variant == "nobody":
        c.become_nobody()
    modules = {4, 5, 6, 9, 11, 12, *range(19, 24), *range(25, 32), 33, 35, 36, 37, 39, *range(41, 46)}
    for family in sorted(set(range(48)) - modules):
        for kind in (0, 1, 2, 3, 4, 5, 6, 10, 11):
            for flags in (0, s.SOCK_CLOEXEC, s.SOCK_NONBLOCK | s.SOCK_CLOEXEC, 0x100):
                result = syscall("socket", family, kind | flags, 0)
                state = ""
                if result.ok:
                    state = f"{os.get_inheritable(result.value)} {os.get_blocking(result.value)}"
                    os.close(result.value)
                c.note(f"{family} {kind} {flags:#x}", "made " + state if result.ok else str(result))


@case(call="socket")
def vsock(c):
    """AF_VSOCK is only made and bound, never connected."""
    for kind in (s.SOCK_STREAM, s.SOCK_SEQPACKET, s.SOCK_DGRAM):
        fd = c.socket(40, kind).value
        if fd >= 0:
            c.recvfrom(fd, flags=NOW)
            c.get_int(fd, 40, 0, "buffer")
            c.get_int(fd, s.SOL_SOCKET, 39, "domain")
            c.call("setsockopt", fd, 40, 0, struct.pack("=q", 65536), 8)
            c.call("listen", fd, 1)


@case(call="socket")
def algorithms(c):
    """AF_ALG, where it is there: a hash, bound, accepted, read."""
    fd = c.socket(38, s.SOCK_SEQPACKET).value
    if fd < 0:
        return
    c.call("recvfrom", fd, Memory(8), 8, NOW, None, None)
    name = struct.pack("=H14sII64s", 38, b"hash", 0, 0, b"sha256")
    if c.bind(fd, name).ok:
        made = c.accept(fd, length=None)
        c.sendto(made.value, b"abc")
        c.recvfrom(made.value, size=32)
        c.recvmsg(made.value, Message([Memory(8)], control=Memory(32), name=Memory(16)))
