"""What a case needs around its call: sockets, names, servers and connections, made quietly (nothing is recorded)."""

import os
import select
import socket as s
import struct
from typing import NamedTuple

from .address import Names, family_only, in4, in6, un, with_port
from .kinds import Kind
from .memory import Int, Memory
from .raw import SetupError, must, syscall


class Server(NamedTuple):
    fd: int
    address: bytes


class World:
    """Everything made here is closed by the harness after the case. Without `kind` the case's own kind is meant."""

    kind: Kind | None
    names: Names
    owned: list[int]

    def own(self, fd: int) -> int:
        self.owned.append(fd)
        return fd

    def close(self, fd: int) -> None:
        if fd in self.owned:
            self.owned.remove(fd)
        os.close(fd)

    def pipe(self) -> tuple[int, int]:
        reader, writer = os.pipe()
        return self.own(reader), self.own(writer)

    def file(self, label: str = "file", content: bytes = b"content", flags: int = os.O_RDWR) -> int:
        path = self.names.directory / label
        path.write_bytes(content)
        return self.own(os.open(path, flags))

    def new(self, kind: Kind | None = None, flags: int = 0) -> int:
        """A fresh socket of the kind, non-blocking if the kind is."""
        kind = kind or self.kind
        flags |= s.SOCK_NONBLOCK if kind.nonblock else 0
        return self.own(must("socket", kind.family, kind.type | flags, 0))

    def pair(self, kind: Kind | None = None) -> tuple[int, int]:
        """A unix socketpair of the kind's type."""
        kind = kind or self.kind
        fds = Memory(8)
        must("socketpair", s.AF_UNIX, kind.type | (s.SOCK_NONBLOCK if kind.nonblock else 0), 0, fds)
        one, two = struct.unpack("=ii", fds.read())
        return self.own(one), self.own(two)

    def name(self, label: str = "s", kind: Kind | None = None) -> bytes:
        """An address to bind to: loopback with port 0, a path in the case's directory, an abstract name."""
        kind = kind or self.kind
        if kind.family == s.AF_INET:
            return in4()
        if kind.family == s.AF_INET6:
            return in6()
        return un(self.names.abstract(label)) if kind.naming == "abstract" else un(self.names.path(label) + "\0")

    def local(self, fd: int) -> bytes:
        """The socket's own address."""
        memory, length = Memory(128), Int(128)
        must("getsockname", fd, memory, length)
        return memory.read(length.value)

    def bound(self, label: str = "s", kind: Kind | None = None) -> Server:
        fd = self.new(kind)
        name = self.name(label, kind)
        must("bind", fd, name, len(name))
        return Server(fd, self.local(fd))

    def server(self, label: str = "s", kind: Kind | None = None, backlog: int = 16) -> Server:
        """Bound, and listening where the kind listens. A server blocks, whatever the kind says."""
        kind = (kind or self.kind)._replace(nonblock=False)
        server = self.bound(label, kind)
        if kind.connects:
            must("listen", server.fd, backlog)
        return server

    def unreachable(self, label: str = "closed", kind: Kind | None = None) -> bytes:
        """An address that refuses: bound and not listening, or a datagram socket that listens to somebody else."""
        kind = (kind or self.kind)._replace(nonblock=False)
        server = self.bound(label, kind)
        if kind.unix and not kind.connects:
            self.close(server.fd)
        elif not kind.connects:
            elsewhere = with_port(server.address, 9)
            must("connect", server.fd, elsewhere, len(elsewhere))
        return server.address

    def linked(self, kind: Kind | None = None, label: str = "s") -> tuple[int, int]:
        """Two sockets connected to each other, with the kind's blocking mode on the first."""
        kind = kind or self.kind
        if kind.naming == "pair":
            return self.pair(kind)
        blocking = kind._replace(nonblock=False)
        server = self.server(label, kind)
        if kind.connects:
            client = self.new(blocking)
            must("connect", client, server.address, len(server.address))
            accepted = self.own(must("accept", server.fd, None, None))
            self.close(server.fd)
        else:
            client = self.bound(label + "c", blocking).fd
            address = self.local(client)
            must("connect", client, server.address, len(server.address))
            must("connect", server.fd, address, len(address))
            accepted = server.fd
        if kind.nonblock:
            os.set_blocking(client, False)
        return client, accepted

    def dissolve(self, fd: int) -> None:
        name = family_only(s.AF_UNSPEC)
        must("connect", fd, name, len(name))

    def option(self, fd: int, level: int, name: int, value: int | bytes) -> None:
        data = value if isinstance(value, bytes) else struct.pack("=i", value)
        must("setsockopt", fd, level, name, data, len(data))

    def timeout(self, fd: int, name: int, milliseconds: int) -> None:
        """SO_RCVTIMEO or SO_SNDTIMEO."""
        self.option(fd, s.SOL_SOCKET, name, struct.pack("=qq", milliseconds // 1000, milliseconds % 1000 * 1000))

    def ready(self, fd: int, events: int, milliseconds: int = 4000) -> int:
        """Wait until poll says something, or fail: never a sleep."""
        poller = select.poll()
        poller.register(fd, events)
        found = poller.poll(milliseconds)
        if not found:
            raise SetupError(f"poll({events}) found nothing")
        return found[0][1]

    def fill_backlog(self, server: Server, kind: Kind | None = None) -> list[int]:
        """Connect until a unix listener's queue is full."""
        kind = (kind or self.kind)._replace(nonblock=True)
        made = []
        while True:
            fd = self.new(kind)
            result = syscall("connect", fd, server.address, len(server.address))
            if not result.ok:
                self.close(fd)
                return made
            made.append(fd)

    def fill(self, fd: int, chunk: bytes = b"f" * 4096) -> int:
        """Send until the socket takes no more, and still takes no more later (TCP moves on by itself); the bytes."""
        total = 0
        while True:
            before = total
            while (result := syscall("sendto", fd, chunk, len(chunk), s.MSG_DONTWAIT | s.MSG_NOSIGNAL, None, 0)).ok:
                total += result.value
            if total == before:
                return total
            if self.of_family(fd) != s.AF_UNIX:
                select.select([], [], [], 0.05)

    def of_family(self, fd: int) -> int:
        return int.from_bytes(self.local(fd)[:2], "little")

    def take(self, fd: int, count: int) -> None:
        """Receive exactly so many bytes, waiting for them."""
        memory = Memory(1 << 16)
        while count > 0:
            count -= must("recvfrom", fd, memory, min(count, memory.size), 0, None, None)

    def drain(self, fd: int) -> int:
        """Receive what is there without waiting; the number of bytes."""
        memory = Memory(1 << 16)
        total = 0
        while (
            result := syscall("recvfrom", fd, memory, memory.size, s.MSG_DONTWAIT, None, None)
        ).ok and result.value > 0:
            total += result.value
        return total

    def become_nobody(self) -> None:
        """Drop root for good, if there is any to drop: from here on the kernel refuses what it refuses to users."""
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
