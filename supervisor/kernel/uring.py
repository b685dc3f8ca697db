"""An io_uring of our own, for the two calls that may wait on a socket whose flags are not ours: connect and accept.

Fact: whether connect(2) or accept(2) blocks is decided by O_NONBLOCK of the open file description, which the program
shares with us and can change at any moment. Setting the flag ourselves would be seen by every other user of the
socket; reading it and then calling is a race that a hostile program wins, and the daemon would hang in its call.
Consequence: no plain connect or accept on a stream socket of a program, ever.
Decision: IORING_OP_CONNECT behaves as connect(2) does on this file, blocking or not, without occupying a thread of
ours; IORING_OP_ACCEPT with IORING_ACCEPT_DONTWAIT never waits. Cancelling a connect leaves TCP in SYN_SENT, as an
interrupted native call does.
Cost: about 8 us more than the plain call from Python, and a kernel that has io_uring enabled; `doctor` tells, and
`syscalls.waiting` has threads instead.

The ring belongs to one thread. Completions are announced on `eventfd`; call `reap` when it is readable.
"""

import ctypes
import errno
import mmap
import os
import struct
from collections.abc import Callable
from typing import Final

from supervisor.abi.socket import SOCKADDR_STORAGE_SIZE
from supervisor.abi.uring import (
    CQE,
    IORING_ACCEPT_DONTWAIT,
    IORING_FEAT_NODROP,
    IORING_FEAT_SINGLE_MMAP,
    IORING_OFF_SQ_RING,
    IORING_OFF_SQES,
    IORING_OP_ACCEPT,
    IORING_OP_ASYNC_CANCEL,
    IORING_OP_CONNECT,
    IORING_REGISTER_EVENTFD,
    IORING_SETUP_CQSIZE,
    PARAMS,
    SQE,
)
from supervisor.kernel import libc
from supervisor.kernel.hostfd import HostFd

_SQ_ENTRIES: Final = 64
_CQ_ENTRIES: Final = 8192
_U32: Final = struct.Struct("=I")


class Pending:
    """One operation under way. `result` is None until it ends: then a value of 0 or more, or a negative errno.

    `on_done`, when set, is called once as it ends.
    """

    __slots__ = ("ident", "keep", "on_done", "result")

    def __init__(self, ident: int, keep: object) -> None:
        self.ident = ident
        self.keep = keep  # buffers that the kernel writes to until the end
        self.result: int | None = None
        self.on_done: Callable[[], None] | None = None


class Ring:
    """A ring, or OSError where io_uring is missing or disabled (ENOSYS, EPERM)."""

    def __init__(self) -> None:
        params = bytearray(PARAMS.size)
        PARAMS.pack_into(params, 0, 0, _CQ_ENTRIES, IORING_SETUP_CQSIZE, *[0] * 25)
        self.fd = HostFd(libc.syscall(libc.number("io_uring_setup"), _SQ_ENTRIES, libc.address_of(params)))
        try:
            self._map(params)
            self.eventfd = HostFd(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
            number = ctypes.c_int(self.eventfd.fileno())
            libc.syscall(
                libc.number("io_uring_register"), self.fd.fileno(), IORING_REGISTER_EVENTFD, ctypes.addressof(number), 1
            )
        except BaseException:
            self.fd.close()
            raise
        self._enter = libc.number("io_uring_enter")
        self._pending: dict[int, Pending] = {}
        self._next = 1
        self.accepts_without_waiting = self._probe_dontwait()

    def _map(self, params: bytearray) -> None:
        offsets = PARAMS.parse(params)
        if not (offsets.features & IORING_FEAT_SINGLE_MMAP and offsets.features & IORING_FEAT_NODROP):
            raise OSError(errno.ENOSYS, "io_uring of this kernel is too old")
        size = max(offsets.sq_array + offsets.sq_entries * 4, offsets.cq_cqes + offsets.cq_entries * CQE.size)
        self._rings = mmap.mmap(self.fd.fileno(), size, offset=IORING_OFF_SQ_RING)
        self._sqes = mmap.mmap(self.fd.fileno(), offsets.sq_entries * SQE.size, offset=IORING_OFF_SQES)
        self._off = offsets
        self._sq_mask = offsets.sq_entries - 1
        self._cq_mask = offsets.cq_entries - 1

    def _probe_dontwait(self) -> bool:
        """IORING_ACCEPT_DONTWAIT is of 6.10: a kernel without it refuses the entry with EINVAL before it looks."""
        pending = self._submit(IORING_OP_ACCEPT, -1, ioprio=IORING_ACCEPT_DONTWAIT)
        self.reap()
        return pending.result == -errno.EBADF

    @property
    def in_flight(self) -> int:
        return len(self._pending)

    def connect(self, fd: HostFd, address: bytes) -> Pending:
        """Start connect(2) on `fd`: as the file's own O_NONBLOCK says. Often ended on return."""
        buffer = ctypes.create_string_buffer(address, max(len(address), 1))
        return self._submit(
            IORING_OP_CONNECT, fd.fileno(), off=len(address), addr=ctypes.addressof(buffer), keep=buffer
        )

    def accept(self, fd: HostFd, flags: int) -> tuple[Pending, bytes]:
        """accept4(2) that never waits: ended on return, with a descriptor or a negative errno; and the peer's name."""
        name = ctypes.create_string_buffer(SOCKADDR_STORAGE_SIZE)
        length = ctypes.c_uint(SOCKADDR_STORAGE_SIZE)
        pending = self._submit(
            IORING_OP_ACCEPT, fd.fileno(), off=ctypes.addressof(length), addr=ctypes.addressof(name), op_flags=flags,
            ioprio=IORING_ACCEPT_DONTWAIT, keep=(name, length),
        )
        return pending, name.raw[: length.value]

    def cancel(self, pending: Pending) -> None:
        """Ask for the end of an operation. It ends with -ECANCELED, or with what it had reached: wait for it."""
        self._submit(IORING_OP_ASYNC_CANCEL, -1, addr=pending.ident)

    def _submit(
        self, opcode: int, fd: int, *, off: int = 0, addr: int = 0, op_flags: int = 0, ioprio: int = 0,
        keep: object = None,
    ) -> Pending:
        pending = Pending(self._next, keep)
        self._next += 1
        self._pending[pending.ident] = pending
        (tail,) = _U32.unpack_from(self._rings, self._off.sq_tail)
        slot = tail & self._sq_mask
        SQE.pack_into(
            self._sqes, slot * SQE.size, opcode, 0, ioprio, fd, off, addr, 0, op_flags, pending.ident, 0, 0, 0, 0, 0
        )
        _U32.pack_into(self._rings, self._off.sq_array + 4 * slot, slot)
        # The kernel reads the tail inside the call below, on this CPU: program order is all that is needed.
        _U32.pack_into(self._rings, self._off.sq_tail, (tail + 1) & 0xFFFFFFFF)
        while True:
            try:
                libc.syscall(self._enter, self.fd.fileno(), 1, 0, 0, 0, 0)
            except InterruptedError:
                continue
            except OSError:
                # Not taken: it must not be taken by the next call, when its descriptor may be another.
                _U32.pack_into(self._rings, self._off.sq_tail, tail)
                del self._pending[pending.ident]
                raise
            break
        self.reap()
        return pending

    def reap(self) -> None:
        """Take every completion that is there."""
        rings, off = self._rings, self._off
        (head,) = _U32.unpack_from(rings, off.cq_head)
        while head != _U32.unpack_from(rings, off.cq_tail)[0]:
            ident, result, _ = CQE.parse(rings, off.cq_cqes + (head & self._cq_mask) * CQE.size)  # type: ignore[arg-type]
            head = (head + 1) & 0xFFFFFFFF
            _U32.pack_into(rings, off.cq_head, head)
            pending = self._pending.pop(ident, None)
            if pending is not None:
                pending.result, pending.keep = result, None
                if pending.on_done is not None:
                    pending.on_done()

    def clear_event(self) -> None:
        """Reset the eventfd, before `reap`, so that a completion between the two is announced again."""
        try:
            os.eventfd_read(self.eventfd.fileno())
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Give the ring back; what is under way is cancelled by the kernel."""
        self._sqes.close()
        self._rings.close()
        self.eventfd.close()
        self.fd.close()
