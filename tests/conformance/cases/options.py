"""getsockopt(2) and setsockopt(2): lengths, pointers, levels, options with special values."""

import select
import socket as s
import struct

from tests.conformance.case import ENFORCING, case
from tests.conformance.context import Out
from tests.conformance.kinds import ALL, CONNECTED, INET, PAIRS, PLAIN, TCP, TCP4, TCP6, UDP, UDP4, UDP6
from tests.conformance.memory import BAD, Int, Memory, read_only, straddling
from tests.conformance.raw import GARBAGE, syscall

SOCKET_OPTIONS = {
    "REUSEADDR": 2, "TYPE": 3, "ERROR": 4, "DONTROUTE": 5, "BROADCAST": 6, "SNDBUF": 7, "RCVBUF": 8, "KEEPALIVE": 9,
    "OOBINLINE": 10, "PRIORITY": 12, "LINGER": 13, "REUSEPORT": 15, "PASSCRED": 16, "RCVLOWAT": 18, "SNDLOWAT": 19,
    "RCVTIMEO": 20, "SNDTIMEO": 21, "BINDTODEVICE": 25, "TIMESTAMP": 29, "ACCEPTCONN": 30, "PASSSEC": 34, "MARK": 36,
    "PROTOCOL": 38, "DOMAIN": 39, "RXQ_OVFL": 40, "PEEK_OFF": 42, "LOCK_FILTER": 44, "SELECT_ERR_QUEUE": 45,
    "BUSY_POLL": 46, "INCOMING_CPU": 49, "ZEROCOPY": 60, "unknown 200": 200, "unknown -1": -1,
}  # fmt: skip

TCP_OPTIONS = {
    "NODELAY": 1, "MAXSEG": 2, "CORK": 3, "KEEPIDLE": 4, "KEEPINTVL": 5, "KEEPCNT": 6, "SYNCNT": 7, "LINGER2": 8,
    "DEFER_ACCEPT": 9, "WINDOW_CLAMP": 10, "QUICKACK": 12, "CONGESTION": 13, "USER_TIMEOUT": 18, "FASTOPEN": 23,
    "FASTOPEN_CONNECT": 30, "unknown": 999,
}  # fmt: skip

IP_OPTIONS = {
    "TOS": 1, "TTL": 2, "OPTIONS": 4, "RECVOPTS": 6, "PKTINFO": 8, "MTU_DISCOVER": 10, "RECVERR": 11, "RECVTTL": 12,
    "MTU": 14, "FREEBIND": 15, "TRANSPARENT": 19, "BIND_ADDRESS_NO_PORT": 24, "MULTICAST_TTL": 33,
    "MULTICAST_LOOP": 34, "unknown": 250,
}  # fmt: skip

IPV6_OPTIONS = {
    "UNICAST_HOPS": 16, "MULTICAST_HOPS": 18, "MULTICAST_LOOP": 19, "MTU": 24, "RECVERR": 25, "V6ONLY": 26,
    "RECVPKTINFO": 49, "RECVHOPLIMIT": 51, "TCLASS": 67, "unknown": 250,
}  # fmt: skip


def read(c, fd, level, option, label, length=64):
    out = Out(length)
    result = syscall("getsockopt", fd, level, option, out.memory, out.length)
    size = max(0, min(out.length.value, 64))
    c.note(label, [str(result), out.length.value, "untouched" if out.memory.untouched else out.memory.read(size).hex()])


def write(c, fd, level, option, value, label, length=None):
    data = struct.pack("=i", value) if isinstance(value, int) else value
    c.call("setsockopt", fd, level, option, data, len(data) if length is None else length, label=label)


@case(kinds=PLAIN, call="getsockopt")
def socket_level(c):
    """Every SOL_SOCKET option of a fresh socket."""
    fd = c.new()
    for name, option in SOCKET_OPTIONS.items():
        read(c, fd, s.SOL_SOCKET, option, name)


@case(kinds=INET, call="getsockopt")
def protocol_levels(c):
    """Every option of IP, IPv6 and TCP, on sockets of every protocol."""
    fd = c.new()
    for level, options in ((s.IPPROTO_TCP, TCP_OPTIONS), (s.IPPROTO_IP, IP_OPTIONS), (s.IPPROTO_IPV6, IPV6_OPTIONS)):
        for name, option in options.items():
            read(c, fd, level, option, f"{level} {name}")


@case(kinds=PLAIN, call="setsockopt")
def socket_level_set(c):
    """Every SOL_SOCKET option set to 1 as nobody, and read back."""
    c.become_nobody()
    for name, option in SOCKET_OPTIONS.items():
        if name in ("SNDBUF", "RCVBUF", "LOCK_FILTER", "ZEROCOPY"):
            continue
        fd = c.new()
        write(c, fd, s.SOL_SOCKET, option, 1, name)
        read(c, fd, s.SOL_SOCKET, option, f"{name} after")


@case(kinds=INET, call="setsockopt", differs=ENFORCING, because="the daemon sends copies: programs must fall back")
def zero_copy(c):
    """SO_ZEROCOPY: whether a program may ask for completions."""
    fd = c.new()
    write(c, fd, s.SOL_SOCKET, 60, 1, "SO_ZEROCOPY")
    read(c, fd, s.SOL_SOCKET, 60, "after")


@case(kinds=PAIRS, call="setsockopt")
def zero_copy_unix(c):
    """SO_ZEROCOPY on unix sockets, which have none."""
    fd, _ = c.linked()
    write(c, fd, s.SOL_SOCKET, 60, 1, "SO_ZEROCOPY")
    read(c, fd, s.SOL_SOCKET, 60, "after")


@case(kinds=INET, call="setsockopt")
def protocol_levels_set(c):
    """Every option of the levels set to 1 as nobody, and read back."""
    c.become_nobody()
    for level, options in ((s.IPPROTO_TCP, TCP_OPTIONS), (s.IPPROTO_IP, IP_OPTIONS), (s.IPPROTO_IPV6, IPV6_OPTIONS)):
        for name, option in options.items():
            if name != "OPTIONS":
                fd = c.new()
                write(c, fd, level, option, 1, f"{level} {name}")
                read(c, fd, level, option, f"{level} {name} after")


@case(kinds=PLAIN, call="getsockopt")
def lengths(c):
    """Lengths 0 to 8, negative, huge."""
    fd = c.new()
    for length in (0, 1, 2, 3, 4, 5, 8, -1, -(1 << 31), (1 << 31) - 1):
        read(c, fd, s.SOL_SOCKET, s.SO_TYPE, f"SO_TYPE {length}", length)
        read(c, fd, s.SOL_SOCKET, s.SO_LINGER, f"SO_LINGER {length}", length)


@case(kinds=PLAIN, call="setsockopt")
def lengths_set(c):
    """Lengths 0 to 8, negative, huge, garbage above."""
    fd = c.new()
    for length in (0, 1, 2, 3, 4, 5, 8, -1, -(1 << 31), (1 << 31) - 1, GARBAGE | 4):
        write(c, fd, s.SOL_SOCKET, s.SO_KEEPALIVE, struct.pack("=iiii", 1, 0, 0, 0), f"KEEPALIVE {length:#x}", length)
        write(c, fd, s.SOL_SOCKET, s.SO_LINGER, struct.pack("=iiii", 1, 2, 0, 0), f"LINGER {length:#x}", length)
    read(c, fd, s.SOL_SOCKET, s.SO_KEEPALIVE, "KEEPALIVE")
    read(c, fd, s.SOL_SOCKET, s.SO_LINGER, "LINGER")


@case(kinds=PLAIN, call="getsockopt")
def bad_pointers(c):
    """Bad and read-only pointers for value and length."""
    fd = c.new()
    for name, make in {**BAD, "read-only": lambda: read_only(struct.pack("=i", 4))}.items():
        size = Int(4)
        c.call("getsockopt", fd, s.SOL_SOCKET, s.SO_TYPE, make(), size, label=f"{name} value")
        c.note("length", size.value)
        memory = Memory(4)
        c.call("getsockopt", fd, s.SOL_SOCKET, s.SO_TYPE, memory, make(), label=f"{name} length")
        c.note("value untouched", memory.untouched)
    c.call("getsockopt", fd, s.SOL_SOCKET, s.SO_TYPE, straddling(bytes(4), 2), Int(4), label="half a value")


@case(kinds=PLAIN, call="setsockopt")
def bad_pointers_set(c):
    """Bad pointers for the value, with length 0 and more."""
    fd = c.new()
    for name, make in BAD.items():
        for length in (0, 3, 4, 100):
            c.call("setsockopt", fd, s.SOL_SOCKET, s.SO_KEEPALIVE, make(), length, label=f"{name} {length}")
    c.call("setsockopt", fd, s.SOL_SOCKET, s.SO_KEEPALIVE, straddling(bytes(4), 2), 4, label="half a value")


@case(kinds=ALL, call="getsockopt")
def unknown_levels(c):
    """Levels that the socket does not have."""
    fd, _ = c.linked()
    for level in (2, 6, 17, 41, 58, 99, 255, 263, 270, 271, 999, -1, GARBAGE | 1):
        read(c, fd, level, 3, f"get {level:#x}")
        write(c, fd, level, 77, 1, f"set {level:#x}")


@case(kinds=PLAIN, call="setsockopt")
def buffers(c):
    """SO_SNDBUF and SO_RCVBUF are doubled and have a least value."""
    fd = c.new()
    for value in (0, 1, 1000, 5000, 100_000, -1):
        for name, option in (("SNDBUF", s.SO_SNDBUF), ("RCVBUF", s.SO_RCVBUF)):
            write(c, fd, s.SOL_SOCKET, option, value, f"{name} {value}")
            read(c, fd, s.SOL_SOCKET, option, name)


@case(kinds=PLAIN, call="setsockopt")
def timeouts(c):
    """SO_RCVTIMEO: whole, rounded, zero, negative, wrong microseconds, short."""
    fd = c.new()
    for seconds, microseconds in ((1, 0), (0, 1), (0, 123456), (0, 0), (-1, 0), (0, -1), (0, 1_000_000), (1 << 40, 0)):
        label = f"{seconds} {microseconds}"
        write(c, fd, s.SOL_SOCKET, s.SO_RCVTIMEO, struct.pack("=qq", seconds, microseconds), label)
        read(c, fd, s.SOL_SOCKET, s.SO_RCVTIMEO, "after")
    write(c, fd, s.SOL_SOCKET, s.SO_RCVTIMEO, bytes(8), "8 bytes")


@case(kinds=PLAIN, call="setsockopt")
def for_root_only(c):
    """As nobody: options that need a capability."""
    c.become_nobody()
    fd = c.new()
    for name, option in {"MARK": 36, "PRIORITY 7": 12, "DEBUG": 1, "SNDBUFFORCE": 32, "RCVBUFFORCE": 33}.items():
        write(c, fd, s.SOL_SOCKET, option, 7, name)
    write(c, fd, s.SOL_SOCKET, 25, b"lo\0", "BINDTODEVICE")
    write(c, fd, s.SOL_SOCKET, 25, b"none\0", "BINDTODEVICE none")


@case(kinds=TCP, call="getsockopt")
def error_is_taken(c):
    """SO_ERROR gives the error once."""
    fd = c.new(c.kind._replace(nonblock=True))
    c.connect(fd, c.unreachable())
    c.ready(fd, select.POLLERR)
    c.so_error(fd)
    c.so_error(fd)


@case(kinds=UDP, call="getsockopt")
def error_of_udp(c):
    """SO_ERROR of a refused UDP socket."""
    fd = c.new()
    c.connect(fd, c.unreachable())
    c.sendto(fd, b"x")
    c.ready(fd, select.POLLERR)
    c.so_error(fd)
    c.sendto(fd, b"x")


@case(kinds=TCP, call="getsockopt")
def tcp_information(c):
    """TCP_INFO: the state, and the length that was asked for."""
    fd, _ = c.linked()
    out = Out(1)
    c.call("getsockopt", fd, s.IPPROTO_TCP, 11, out.memory, out.length)
    c.note("state", [out.memory.read(1).hex(), out.length.value])


@case(kinds=(TCP4, TCP6), call="setsockopt")
def congestion(c):
    """TCP_CONGESTION takes a name."""
    fd = c.new()
    for name in (b"cubic", b"reno", b"none-such", b"", b"cubic\0rubbish", b"c" * 40):
        write(c, fd, s.IPPROTO_TCP, 13, name, name.decode("latin-1"))
    read(c, fd, s.IPPROTO_TCP, 13, "after")


@case(kinds=(TCP6, UDP6), call="setsockopt")
def only_v6(c):
    """IPV6_V6ONLY before and after bind."""
    fd = c.new()
    write(c, fd, s.IPPROTO_IPV6, s.IPV6_V6ONLY, 1, "before")
    c.bind(fd, c.name())
    write(c, fd, s.IPPROTO_IPV6, s.IPV6_V6ONLY, 0, "after")


@case(kinds=(UDP4, TCP4, *PAIRS), call="setsockopt")
def socket_filter(c):
    """SO_ATTACH_FILTER: a program that drops all, one that is wrong, bad pointers inside."""
    fd, peer = c.linked()
    program = Memory(struct.pack("=HBBI", 6, 0, 0, 0))
    write(c, peer, s.SOL_SOCKET, 26, struct.pack("=H6xQ", 1, program.address), "attach")
    c.sendto(fd, b"dropped", flags=s.MSG_DONTWAIT)
    write(c, peer, s.SOL_SOCKET, 27, 0, "detach")
    write(c, peer, s.SOL_SOCKET, 27, 0, "detach again")
    write(c, peer, s.SOL_SOCKET, 26, struct.pack("=H6xQ", 1, 8), "bad pointer")
    write(c, peer, s.SOL_SOCKET, 26, struct.pack("=H6xQ", 0, program.address), "no instructions")
    wrong = Memory(struct.pack("=HBBI", 0xFFFF, 0, 0, 0))
    write(c, peer, s.SOL_SOCKET, 26, struct.pack("=H6xQ", 1, wrong.address), "wrong instruction")
    write(c, peer, s.SOL_SOCKET, 26, bytes(8), "short")


@case(kinds=(UDP4, TCP4), call="setsockopt")
def membership(c):
    """IP_ADD_MEMBERSHIP with wrong groups and lengths."""
    fd = c.new()
    for label, value in {
        "no multicast": s.inet_aton("127.0.0.1") * 2,
        "short": s.inet_aton("239.1.2.3"),
        "no such interface": s.inet_aton("239.1.2.3") + s.inet_aton("203.0.113.9"),
    }.items():
        write(c, fd, s.IPPROTO_IP, 35, value, label)


@case(kinds=CONNECTED, call="setsockopt")
def linger(c):
    """SO_LINGER is read back as it was set."""
    fd, _ = c.linked()
    for on, seconds in ((1, 0), (1, 30), (0, 5), (-1, -1)):
        write(c, fd, s.SOL_SOCKET, s.SO_LINGER, struct.pack("=ii", on, seconds), f"{on} {seconds}")
        read(c, fd, s.SOL_SOCKET, s.SO_LINGER, "after")
    write(c, fd, s.SOL_SOCKET, s.SO_LINGER, struct.pack("=ii", 0, 0), "off")


@case(kinds=TCP, call="setsockopt")
def fast_open_connect(c):
    """TCP_FASTOPEN_CONNECT: connect returns at once, the first send connects."""
    server = c.server()
    fd = c.new()
    write(c, fd, s.IPPROTO_TCP, 30, 1, "TCP_FASTOPEN_CONNECT")
    c.connect(fd, server.address)
    c.getpeername(fd)
    c.sendto(fd, b"first")
    c.recvfrom(c.accept(server.fd).value)
