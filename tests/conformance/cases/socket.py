"""socket(2): families, types, flags, protocols, numbers, limits."""

import os
import resource
import socket as s

from tests.conformance.case import case
from tests.conformance.context import Out
from tests.conformance.kinds import PLAIN
from tests.conformance.raw import GARBAGE, syscall

FLAGS = {
    "none": 0,
    "cloexec": s.SOCK_CLOEXEC,
    "nonblock": s.SOCK_NONBLOCK,
    "both": s.SOCK_CLOEXEC | s.SOCK_NONBLOCK,
}
BAD_FLAGS = (0x10, 0x100, 0x400, 0x10000, 0x100000, 0x1000000, 0x40000000, 0x80000000)
SO_TYPE, SO_PROTOCOL, SO_DOMAIN = 3, 38, 39


def identify(c, fd):
    """What the kernel says the socket is."""
    for name, label in ((SO_DOMAIN, "SO_DOMAIN"), (SO_TYPE, "SO_TYPE"), (SO_PROTOCOL, "SO_PROTOCOL")):
        c.get_int(fd, s.SOL_SOCKET, name, label)


@case(kinds=PLAIN)
def flags(c):
    """Close-on-exec and non-blocking, each alone and both."""
    for name, bits in FLAGS.items():
        fd = c.socket(c.kind.family, c.kind.type | bits, label=name).value
        c.flags_of(fd)
        identify(c, fd)


@case(kinds=PLAIN)
def wrong_flags(c):
    """Bits of type that mean nothing are EINVAL."""
    for bits in BAD_FLAGS:
        c.socket(c.kind.family, c.kind.type | bits, label=f"{bits:#x}")
    c.socket(c.kind.family, -1, label="-1")
    c.socket(c.kind.family, -(1 << 31), label="INT_MIN")


@case(kinds=PLAIN)
def garbage_in_upper_halves(c):
    """The upper halves of all three registers do not matter."""
    fd = c.socket(c.kind.family | GARBAGE, c.kind.type | GARBAGE, GARBAGE).value
    identify(c, fd)


@case("unix", "inet", "inet6")
def types(c):
    """Every type number of the family, with protocol 0."""
    family = {"unix": s.AF_UNIX, "inet": s.AF_INET, "inet6": s.AF_INET6}[c.variant]
    c.become_nobody()
    for number in range(16):
        result = c.socket(family, number, label=f"type {number}")
        if result.ok:
            identify(c, result.value)


@case("unix", "inet", "inet6")
def protocols(c):
    """Every small protocol number with every common type, as nobody."""
    family = {"unix": s.AF_UNIX, "inet": s.AF_INET, "inet6": s.AF_INET6}[c.variant]
    c.become_nobody()
    for kind in (s.SOCK_STREAM, s.SOCK_DGRAM, s.SOCK_RAW, s.SOCK_SEQPACKET):
        for protocol in (-1, 0, 1, 2, 6, 17, 33, 58, 132, 136, 255, 256, 263, 1 << 30):
            if protocol in (132, 136):
                continue  # SCTP and UDP-Lite come and go with modules
            result = c.socket(family, kind, protocol, label=f"type {kind} protocol {protocol}")
            if result.ok:
                c.close(result.value)


@case()
def families(c):
    """Family numbers that do not exist, by range."""
    for family in (-1, 46, 47, 64, 255, 256, 65536, 65537, -(1 << 31), (1 << 31) - 1):
        c.socket(family, s.SOCK_STREAM, label=f"family {family}")
    c.socket(0, s.SOCK_STREAM, label="AF_UNSPEC")


@case()
def order_of_checks(c):
    """Wrong flags before wrong family, wrong type before wrong protocol."""
    c.socket(-1, 0x100, label="family and flags")
    c.socket(s.AF_INET, 0x10F, 77, label="flags and type")
    c.socket(s.AF_INET, 15, -1, label="type and protocol")
    c.socket(s.AF_INET, s.SOCK_STREAM, 17, label="tcp with UDP")
    c.socket(s.AF_INET, s.SOCK_DGRAM, 6, label="udp with TCP")


@case()
def packet_type(c):
    """SOCK_PACKET on AF_INET is the old name of AF_PACKET, as nobody."""
    c.become_nobody()
    c.socket(s.AF_INET, 10, label="inet")
    c.socket(s.AF_UNIX, 10, label="unix")
    c.socket(s.AF_INET6, 10, label="inet6")


@case()
def privileged_for_users(c):
    """Raw and packet sockets as nobody."""
    c.become_nobody()
    c.socket(s.AF_INET, s.SOCK_RAW, 1, label="raw ICMP")
    c.socket(s.AF_INET6, s.SOCK_RAW, 58, label="raw ICMPv6")
    c.socket(s.AF_PACKET, s.SOCK_RAW, 0, label="packet")
    c.socket(s.AF_PACKET, s.SOCK_DGRAM, 0, label="packet, cooked")


@case(root=True)
def privileged_for_root(c):
    """Raw and packet sockets as root."""
    c.socket(s.AF_INET, s.SOCK_RAW, 1, label="raw ICMP")
    c.socket(s.AF_INET6, s.SOCK_RAW, 58, label="raw ICMPv6")
    c.socket(s.AF_PACKET, s.SOCK_RAW, 0, label="packet")
    c.socket(s.AF_INET, 10, label="SOCK_PACKET")


@case()
def netlink(c):
    """Netlink sockets by protocol; an unbound one has no port, an autobound one has the pid."""
    for protocol in (0, 4, 9, 15, 16, 31, 32, -1):
        c.socket(s.AF_NETLINK, s.SOCK_RAW, protocol, label=f"protocol {protocol}")
    fd = c.socket(s.AF_NETLINK, s.SOCK_DGRAM, 0).value
    c.bind(fd, (16).to_bytes(2, "little") + bytes(10))
    out = Out(12)
    syscall("getsockname", fd, out.memory, out.length)
    c.note("port is the pid", int.from_bytes(out.memory.read(4, 4), "little") == os.getpid())


@case(kinds=PLAIN)
def lowest_number(c):
    """The lowest free number is used, and used again after close."""
    first = c.socket(c.kind.family, c.kind.type).value
    second = c.socket(c.kind.family, c.kind.type).value
    c.socket(c.kind.family, c.kind.type)
    c.close(second)
    c.close(first)
    c.socket(c.kind.family, c.kind.type, label="into the gap")
    c.socket(c.kind.family, c.kind.type, label="and the next")


@case(kinds=PLAIN)
def descriptor_limit(c):
    """RLIMIT_NOFILE reached: EMFILE, and wrong arguments are found before it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    used = c.new()
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
    c.socket(c.kind.family, c.kind.type, label="full")
    c.socket(c.kind.family, c.kind.type | 0x100, label="full, wrong flags")
    c.socket(c.kind.family, 15, label="full, wrong type")
    c.close(used)
    c.socket(c.kind.family, c.kind.type, label="one free")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@case(kinds=PLAIN)
def owner(c):
    """The socket's inode belongs to the caller."""
    fd = c.new()
    info = os.fstat(fd)
    c.note("fstat", [info.st_uid, info.st_gid, oct(info.st_mode)])
    c.become_nobody()
    info = os.fstat(c.new())
    c.note("as nobody", [info.st_uid == os.geteuid(), info.st_gid == os.getegid(), oct(info.st_mode)])


@case(kinds=PLAIN)
def closed_on_exec(c):
    """After exec a close-on-exec socket is gone, another is there."""
    kept = c.socket(c.kind.family, c.kind.type).value
    gone = c.socket(c.kind.family, c.kind.type | s.SOCK_CLOEXEC).value
    script = f"test -e /proc/self/fd/{kept} && ! test -e /proc/self/fd/{gone}"
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", script], {})
    c.note("status", os.waitpid(pid, 0)[1])
