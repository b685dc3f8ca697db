"""What a case gets: calls that record what came back, around a World that prepares quietly."""

import json
import os
import select
import socket as s
import struct
from collections.abc import Callable
from pathlib import Path

from .address import Names
from .case import Case
from .memory import FILL, Int, Memory
from .message import Message, Vector, parse_control
from .raw import Result, syscall
from .waiting import Waiting
from .world import World

_POLL = {name: getattr(select, name) for name in ("POLLIN", "POLLPRI", "POLLOUT", "POLLERR", "POLLHUP", "POLLRDHUP")}
_FLAGS = {
    getattr(s, name): name
    for name in ("MSG_OOB", "MSG_CTRUNC", "MSG_TRUNC", "MSG_EOR", "MSG_ERRQUEUE", "MSG_CMSG_CLOEXEC")
}


def open_fds() -> set[int]:
    """The numbers in use now; the one that reads the directory is left out."""
    found = {int(name) for name in os.listdir("/proc/self/fd")}
    return {fd for fd in found if _is_open(fd)}


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


class Out:
    """Output memory with its length; `describe` says what was written, and what was written too far."""

    def __init__(self, length: int = 128, capacity: int = 256) -> None:
        self.given = length
        self.memory = Memory(capacity)
        self.length = Int(length)

    def describe(self, text: Callable[[bytes], str]) -> str:
        data = self.memory.read()
        used = max(0, min(max(self.given, 0), self.length.value, len(data)))
        beyond = data[used:].rstrip(bytes([FILL]))
        body = "untouched" if self.memory.untouched else text(data[:used])
        return f"{self.length.value}: {body}" + (f" OVERRUN {beyond.hex()}" if beyond else "")


class Context(World, Waiting):
    """One run of one case."""

    def __init__(self, case: Case, names: Names, emit: Callable[[str], None]) -> None:
        self.case, self.kind, self.variant, self.names = case, case.kind, case.variant, names
        self.owned: list[int] = []
        self.signals: list[str] = []
        self._emit, self._count = emit, 0
        self._before = open_fds()
        self._free = [fd for fd in range(4096) if fd not in self._before]
        self._pids = {os.getpid(): "self", os.getppid(): "parent", 0: "0"}

    # --- recording -----------------------------------------------------------------------------------------------
    def note(self, label: str, value: object = "") -> None:
        self._emit(json.dumps([label, value]))

    def count(self) -> int:
        """1, 2, 3, ...: for names that must differ within a case."""
        self._count += 1
        return self._count

    def fd_token(self, fd: int) -> str:
        """fd+0 is the lowest number that was free when the case began, and so on: the kernel promises the lowest."""
        return f"fd+{self._free.index(fd)}" if fd in self._free else f"fd {fd}"

    def pid_token(self, pid: int) -> str:
        return self._pids.setdefault(pid, f"pid{len(self._pids) - 2}")

    def call(self, name: str, *arguments, label: str | None = None) -> Result:
        """Any call, raw; its result is recorded."""
        result = syscall(name, *arguments)
        self.note(label or name, str(result))
        return result

    def leftovers(self) -> None:
        """Close what the case owns, then record what is open that was not before, and what was closed."""
        for fd in self.owned:
            try:
                os.close(fd)
            except OSError as error:
                self.note("close", f"{self.fd_token(fd)} {error.strerror}")
        self.owned.clear()
        after = open_fds()
        if after != self._before:
            left = [self._link(fd) for fd in sorted(after - self._before)]
            self.note("descriptors", {"left": left, "lost": sorted(self._before - after)})
        self.note("signals", self.signals)

    def _link(self, fd: int) -> str:
        kind = os.readlink(f"/proc/self/fd/{fd}").partition(":")[0]
        return f"{self.fd_token(fd)} {self.names.text(kind.encode())}"

    # --- calls that make descriptors -----------------------------------------------------------------------------
    def _made(self, label: str, result: Result, *more: str) -> Result:
        value = self.fd_token(self.own(result.value)) if result.ok else str(result)
        self.note(label, [value, *more] if more else value)
        return result

    def socket(self, family: int, kind: int, protocol: int = 0, label: str = "socket") -> Result:
        return self._made(label, syscall("socket", family, kind, protocol))

    def socketpair(self, family: int, kind: int, protocol: int = 0, label: str = "socketpair") -> tuple[int, int]:
        fds = Memory(8)
        result = syscall("socketpair", family, kind, protocol, fds)
        if not result.ok:
            written = "untouched" if fds.untouched else [self.fd_token(fd) for fd in struct.unpack("=ii", fds.read())]
            self.note(label, [str(result), written])
            return (-1, -1)
        one, two = struct.unpack("=ii", fds.read())
        self.owned += [one, two]
        self.note(label, [str(result), self.fd_token(one), self.fd_token(two)])
        return one, two

    def accept(self, fd: int, length: int | None = 128, flags: int | None = None, label: str | None = None) -> Result:
        """accept, or accept4 when flags are given; without length the address is NULL."""
        name, last = ("accept", ()) if flags is None else ("accept4", (flags,))
        out = None if length is None else Out(length)
        result = syscall(name, fd, *((None, None) if out is None else (out.memory, out.length)), *last)
        return self._made(label or name, result, *([] if out is None else [out.describe(self.names.address)]))

    def accept_pointers(self, fd: int, address, length, label: str = "accept") -> Result:
        """accept with pointers of the case's own."""
        return self._made(label, syscall("accept", fd, address, length))

    # --- calls with an address -----------------------------------------------------------------------------------
    def bind(self, fd: int, address, length: int | None = None, label: str = "bind") -> Result:
        return self.call("bind", fd, address, len(address) if length is None else length, label=label)

    def connect(self, fd: int, address, length: int | None = None, label: str = "connect") -> Result:
        return self.call("connect", fd, address, len(address) if length is None else length, label=label)

    def listen(self, fd: int, backlog: int = 16, label: str = "listen") -> Result:
        return self.call("listen", fd, backlog, label=label)

    def getsockname(self, fd: int, length: int = 128, label: str = "getsockname") -> Result:
        return self._named("getsockname", fd, length, label)

    def getpeername(self, fd: int, length: int = 128, label: str = "getpeername") -> Result:
        return self._named("getpeername", fd, length, label)

    def _named(self, name: str, fd: int, length: int, label: str) -> Result:
        out = Out(length)
        result = syscall(name, fd, out.memory, out.length)
        self.note(label, [str(result), out.describe(self.names.address)])
        return result

    # --- calls with data -----------------------------------------------------------------------------------------
    def sendto(self, fd: int, data, flags: int = 0, address=None, length=None, label: str = "sendto") -> Result:
        size = 0 if address is None else len(address)
        return self.call("sendto", fd, data, len(data), flags, address, size if length is None else length, label=label)

    def sendto_memory(self, fd: int, memory: Memory, flags: int = 0, label: str = "sendto") -> Result:
        """All of a Memory, without copying it."""
        return self.call("sendto", fd, memory, memory.size, flags, None, 0, label=label)

    def sendmsg(self, fd: int, message: Message, flags: int = 0, label: str = "sendmsg") -> Result:
        return self.call("sendmsg", fd, message, flags, label=label)

    def sendmmsg(self, fd: int, vector: Vector, flags: int = 0, count=None, label: str = "sendmmsg") -> Result:
        result = syscall("sendmmsg", fd, vector, len(vector.messages) if count is None else count, flags)
        self.note(label, [str(result), vector.lengths() if len(vector.messages) < 20 else "many"])
        return result

    def _arrived(self, fd: int, flags: int) -> None:
        """Before a receive that does not wait: give what was sent over the loopback interface a moment to arrive."""
        if flags & s.MSG_DONTWAIT and not flags & (s.MSG_OOB | s.MSG_ERRQUEUE) and not (self.kind and self.kind.unix):
            poller = select.poll()
            poller.register(fd & 0xFFFF_FFFF, select.POLLIN)
            poller.poll(8)

    def recvfrom(self, fd: int, size: int = 64, flags: int = 0, length=None, label: str = "recvfrom") -> Result:
        data = Memory(size)
        out = None if length is None else Out(length)
        self._arrived(fd, flags)
        result = syscall(
            "recvfrom", fd, data, size, flags, *((None, None) if out is None else (out.memory, out.length))
        )
        seen = [str(result), self.names.text(data.read(max(0, min(result.value, size))))]
        self.note(label, seen + ([] if out is None else [out.describe(self.names.address)]))
        return result

    def recvmsg(self, fd: int, message: Message, flags: int = 0, label: str = "recvmsg") -> Result:
        self._arrived(fd, flags)
        result = syscall("recvmsg", fd, message, flags)
        self.note(label, [str(result), *self.received(message, result.value if result.ok else -1)])
        return result

    def recvmmsg(self, fd, vector: Vector, flags=0, count=None, timeout=None, label: str = "recvmmsg") -> Result:
        size = len(vector.messages) if count is None else count
        self._arrived(fd, flags)
        result = syscall("recvmmsg", fd, vector, size, flags, timeout)
        lengths = vector.lengths()
        vector.refresh()
        got = [self.received(vector.messages[index], lengths[index]) for index in range(max(0, result.value))]
        self.note(label, [str(result), lengths, got])
        return result

    # --- what a received message says ----------------------------------------------------------------------------
    def received(self, message: Message, length: int) -> list:
        """The message's fields after recvmsg, readable; descriptors in it become the case's own."""
        fields = message.fields()
        if length < 0:
            return [f"namelen {fields['namelen']} controllen {fields['controllen']} flags {fields['flags']:#x}"]
        data = b"".join(buffer.read() for buffer in message.buffers if isinstance(buffer, Memory))
        seen = ["data " + self.names.text(data[:length]), "flags " + self.flags(fields["flags"])]
        if isinstance(message.name, Memory):
            size = fields["namelen"]
            room = max(0, min(size, message.name_room, message.name.size))
            seen.append(f"name {size}: " + self.names.address(message.name.read(room)))
        elif fields["namelen"]:
            seen.append(f"namelen {fields['namelen']}")
        if isinstance(message.control, Memory):
            control = message.control.read(min(fields["controllen"], message.control.size))
            seen.append([f"controllen {fields['controllen']}", *map(self._control, parse_control(control))])
        return seen

    def flags(self, flags: int) -> str:
        names = [name for bit, name in _FLAGS.items() if flags & bit]
        rest = flags & ~sum(bit for bit in _FLAGS if flags & bit)
        return "|".join(names + ([f"{rest:#x}"] if rest or not names else []))

    def _control(self, entry: tuple[int, int, bytes]) -> str:
        level, kind, data = entry
        if (level, kind) == (s.SOL_SOCKET, s.SCM_RIGHTS):
            fds = struct.unpack(f"={len(data) // 4}i", data[: len(data) // 4 * 4])
            self.owned += [fd for fd in fds if fd >= 0 and _is_open(fd)]
            return "rights " + " ".join(f"{self.fd_token(fd)}{self._cloexec(fd)}" for fd in fds)
        if (level, kind) == (s.SOL_SOCKET, s.SCM_CREDENTIALS) and len(data) >= 4:
            pid, rest = int.from_bytes(data[:4], "little", signed=True), data[4:]
            ids = " ".join(map(str, struct.unpack("=II", rest))) if len(rest) == 8 else rest.hex()
            return f"credentials {self.pid_token(pid)} {ids}"
        return f"cmsg {level} {kind} {data.hex()}"

    def _cloexec(self, fd: int) -> str:
        return "" if not _is_open(fd) or os.get_inheritable(fd) else "(cloexec)"

    # --- looking at a socket -------------------------------------------------------------------------------------
    def poll(self, fd: int, events: int, milliseconds: int = 4000, label: str = "poll") -> int:
        """Wait for events and record which came."""
        poller = select.poll()
        poller.register(fd, events)
        found = poller.poll(milliseconds)
        got = found[0][1] if found else 0
        self.note(label, "|".join(name for name, bit in _POLL.items() if got & bit))
        return got

    def get_int(self, fd: int, level: int, name: int, label: str) -> int:
        """An option of four bytes, recorded."""
        out = Out(4)
        result = syscall("getsockopt", fd, level, name, out.memory, out.length)
        value = int.from_bytes(out.memory.read(4), "little", signed=True)
        self.note(label, value if result.ok else str(result))
        return value

    def so_error(self, fd: int) -> int:
        return self.get_int(fd, s.SOL_SOCKET, s.SO_ERROR, "SO_ERROR")

    def peer_credentials(self, fd: int) -> None:
        out = Out(12)
        result = syscall("getsockopt", fd, s.SOL_SOCKET, s.SO_PEERCRED, out.memory, out.length)
        pid, uid, gid = struct.unpack("=iII", out.memory.read(12))
        self.note("SO_PEERCRED", f"{self.pid_token(pid)} {uid} {gid}" if result.ok else str(result))

    def flags_of(self, fd: int) -> None:
        """Close-on-exec and non-blocking, as fcntl shows them."""
        self.note("fcntl", {"cloexec": not os.get_inheritable(fd), "nonblock": not os.get_blocking(fd)})

    def directory(self) -> Path:
        return self.names.directory
