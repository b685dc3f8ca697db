"""Where a receive writes to: shared mappings, files, growing stacks, ends of memory, headers that cannot be written."""

import ctypes
import os
import select
import socket as s
import struct

from tests.conformance.case import case
from tests.conformance.kinds import DATAGRAM, PAIRS, PLAIN, STREAMS, TCP4, UDP4
from tests.conformance.memory import PAGE, Int, Memory, forbidden, libc
from tests.conformance.message import MMSGHDR_SIZE, MSGHDR_SIZE, Message, Vector
from tests.conformance.raw import syscall

GROWSDOWN, NORESERVE, POPULATE = 0x100, 0x4000, 0x8000
EVERY = (*PAIRS, TCP4, UDP4)


def mapped(length, protection=3, flags=0x22, fd=-1, offset=0):
    return libc.mmap(None, length, protection, flags, fd, offset)


def memfd(size):
    fd = os.memfd_create("cf")
    os.ftruncate(fd, size)
    return fd


def growing():
    """The start of a mapping that grows down; nothing else is ever mapped into the 50 pages below."""
    area = mapped(64 * PAGE, 0)
    top = libc.mmap(area + 60 * PAGE, PAGE, 3, 0x22 | 0x10 | GROWSDOWN, -1, 0)
    libc.munmap(ctypes.c_void_p(area + 10 * PAGE), 50 * PAGE)
    ctypes.memset(top, 1, 8)
    return top


def received(c, fd, address, size, label, name="recvfrom", flags=s.MSG_DONTWAIT):
    """A receive into memory that may not be readable as a Memory; what is there of it afterwards."""
    c._arrived(fd, flags)
    if name == "recvmsg":
        c.call(name, fd, Message([(address, size)]), flags, label=label)
    else:
        c.call(name, fd, address, size, flags, None, None, label=label)


def places(c):
    """Addresses of 64 writable bytes in memory of many kinds."""
    file = c.file("shared", bytes(2 * PAGE))
    secret = c.own(memfd(PAGE))
    sealed = c.own(os.memfd_create("cf", os.MFD_ALLOW_SEALING))
    os.ftruncate(sealed, PAGE)
    two = mapped(2 * PAGE)
    libc.mprotect(ctypes.c_void_p(two + PAGE), PAGE, 2)
    only_write = mapped(PAGE, 2)
    return {
        "anonymous shared": mapped(PAGE, 3, 0x21),
        "file shared": mapped(2 * PAGE, 3, 1, file),
        "file private": mapped(2 * PAGE, 3, 2, file),
        "file, last page": mapped(2 * PAGE, 3, 1, file, PAGE) + PAGE - 64,
        "memfd": mapped(PAGE, 3, 1, secret),
        "sealed memfd": mapped(PAGE, 3, 1, sealed),
        "across two mappings": two + PAGE - 2,
        "write only": only_write,
        "executable": mapped(PAGE, 7),
        "not reserved": mapped(1 << 30, 3, 0x22 | NORESERVE) + (1 << 29),
    }


@case(kinds=EVERY, call="recvfrom")
def mappings(c):
    """Every kind of mapping that can be written."""
    fd, peer = c.linked()
    for name, address in places(c).items():
        for call in ("recvfrom", "recvmsg"):
            c.sendto(fd, b"hello")
            received(c, peer, address, 64, f"{name} {call}", call)
            c.note("there", ctypes.string_at(address, 6).decode())


@case(kinds=EVERY, call="recvfrom")
def shared_file_is_changed(c):
    """Data received into a shared mapping is in the file, into a private one it is not."""
    fd, peer = c.linked()
    file = c.file("shared", b"-" * 16)
    for flags in (1, 2):
        address = mapped(PAGE, 3, flags, file)
        c.sendto(fd, b"changed")
        received(c, peer, address, 16, f"flags {flags}")
        c.note("file", os.pread(file, 16, 0).decode())


@case(kinds=EVERY, call="recvfrom")
def truncated_file(c):
    """A buffer in a mapped file that ends within the buffer, or before it."""
    for size in (PAGE, PAGE + 8):
        fd, peer = c.linked(label=f"l{c.count()}")
        file = memfd(3 * PAGE)
        address = mapped(3 * PAGE, 3, 1, c.own(file))
        os.ftruncate(file, size)
        c.sendto(fd, b"0123456789")
        received(c, peer, address + PAGE - 4, 64, f"{size}")
        received(c, peer, address + 2 * PAGE - 4, 64, f"{size}, before the end of the page")
        c.note("left", c.drain(peer))


@case(kinds=EVERY, call="recvfrom")
def growing_stack(c):
    """A buffer below the present end of memory that grows down: the kernel makes it grow."""
    fd, peer = c.linked()
    for distance in (64, PAGE, 5 * PAGE):
        top = growing()
        for call in ("recvfrom", "recvmsg"):
            c.sendto(fd, b"grow")
            top -= distance
            received(c, peer, top, 32, f"{distance} {call}", call)
            c.note("left", c.drain(peer))


@case(kinds=EVERY, call="recvmsg")
def growing_stack_of_others(c):
    """The same for name, control and length."""
    fd, peer = c.linked()
    if c.kind.unix:
        c.option(peer, s.SOL_SOCKET, s.SO_PASSCRED, 1)
    if c.kind == UDP4:
        c.option(peer, s.IPPROTO_IP, 12, 1)
    top = growing()
    for number, (label, name, control) in enumerate((("name", 1, 0), ("control", 0, 1), ("both", 1, 1))):
        below = top - (number + 1) * 2 * PAGE
        message = Message([Memory(8)], name=below if name else None, namelen=64, control=below + 256 if control else 0)
        header = bytearray(message.header.read())
        header[40:48] = struct.pack("=Q", 64)
        message.header.write(bytes(header))
        c.sendto(fd, b"grow")
        c._arrived(peer, s.MSG_DONTWAIT)
        c.call("recvmsg", peer, message, s.MSG_DONTWAIT, label=label)
        fields = message.fields()
        c.note("fields", [fields["namelen"], fields["controllen"], c.flags(fields["flags"]), c.drain(peer)])


@case(kinds=PLAIN, call="recvfrom")
def ends_after(c):
    """Memory that ends after 0 to 12 of 10 bytes, one segment or two; what was written, what is left."""
    for pieces in ((b"0123456789",), (b"01234", b"56789")):
        for present in range(13):
            fd, peer = c.linked(label=f"l{c.count()}")
            for piece in pieces:
                c.sendto(fd, piece, flags=s.MSG_EOR if c.kind == TCP4 else 0)
                c._arrived(peer, s.MSG_DONTWAIT)
            memory = Memory(present) if present else None
            address = memory.address if memory else forbidden()
            received(c, peer, address, 20, f"{len(pieces)} {present}")
            c.note("written", memory.read().hex() if memory else "")
            c.note("left", c.drain(peer))
            c.close(fd)
            c.close(peer)


@case(kinds=(*STREAMS, *DATAGRAM), call="recvfrom")
def peeked_into_bad_memory(c):
    """MSG_PEEK into memory that ends, then whether SO_PEEK_OFF has moved."""
    fd, peer = c.linked()
    for piece in (b"0123", b"4567"):
        c.sendto(fd, piece)
        c._arrived(peer, s.MSG_DONTWAIT)
    c.call("setsockopt", peer, s.SOL_SOCKET, 42, struct.pack("=i", 0), 4, label="SO_PEEK_OFF")
    for size in (4, 2, 6, 1):
        received(c, peer, Memory(size).address, 20, f"peek {size}", flags=s.MSG_PEEK | s.MSG_DONTWAIT)
        c.get_int(peer, s.SOL_SOCKET, 42, "offset")
    received(c, peer, 8, 20, "peek low", flags=s.MSG_PEEK | s.MSG_DONTWAIT)
    c.get_int(peer, s.SOL_SOCKET, 42, "offset")
    c.recvfrom(peer, flags=s.MSG_PEEK | s.MSG_DONTWAIT)
    c.get_int(peer, s.SOL_SOCKET, 42, "offset")


@case(kinds=PLAIN, call="recvmsg")
def header_in_parts(c):
    """The header lies on two pages, and one of them cannot be written."""
    for written in range(0, MSGHDR_SIZE + 1, 8):
        fd, peer = c.linked(label=f"l{c.count()}")
        pages = mapped(2 * PAGE)
        message = Message([Memory(8)], name=Memory(128), control=Memory(64), flags=0x55)
        content = message.header.read()
        address = pages + PAGE - written
        ctypes.memmove(address, content, MSGHDR_SIZE)
        libc.mprotect(ctypes.c_void_p(pages + PAGE), PAGE, 1)
        c.sendto(fd, b"data")
        c._arrived(peer, s.MSG_DONTWAIT)
        c.call("recvmsg", peer, address, s.MSG_DONTWAIT, label=f"{written} can be written")
        after = ctypes.string_at(address, MSGHDR_SIZE)
        c.note("changed", [index for index in range(0, MSGHDR_SIZE, 4) if after[index:][:4] != content[index:][:4]])
        c.note("data", message.buffers[0].read().hex())
        c.note("left", c.drain(peer))


@case(kinds=PLAIN, call="recvmmsg")
def vector_in_parts(c):
    """The array lies on two pages, and the second cannot be written: from the first entry's msg_len on, and later."""
    for written in (48, 56, 64, 96, 104, 108, 112, 120, 128):
        fd, peer = c.linked(label=f"l{c.count()}")
        pages = mapped(2 * PAGE)
        content = Vector(*(Message([Memory(2)], name=Memory(64)) for _ in range(3))).memory.read()
        address = pages + PAGE - written
        ctypes.memmove(address, content, len(content))
        libc.mprotect(ctypes.c_void_p(pages + PAGE), PAGE, 1)
        for word in (b"ab", b"cd", b"ef"):
            c.sendto(fd, word)
            c._arrived(peer, s.MSG_DONTWAIT)
        c.call("recvmmsg", peer, address, 3, s.MSG_DONTWAIT, None, label=f"{written} can be written")
        after = ctypes.string_at(address, len(content))
        lengths = [struct.unpack_from("=I", after, index * MMSGHDR_SIZE + MSGHDR_SIZE)[0] for index in range(3)]
        c.note("lengths", lengths)
        c.so_error(peer)
        c.note("left", c.drain(peer))


@case(kinds=(*PAIRS, UDP4), call="recvfrom")
def length_lies_in_the_data(c):
    """addrlen within the buffer: what is received says how long the address may be."""
    fd, peer = c.linked()
    for limit in (0, 2, 16, 200, -1):
        shared, address = Memory(64), Memory(128)
        c.sendto(fd, struct.pack("=i", limit) + b"data")
        c._arrived(peer, s.MSG_DONTWAIT)
        c.call("recvfrom", peer, shared, 64, s.MSG_DONTWAIT, address, shared, label=f"limit {limit}")
        c.note("length", struct.unpack_from("=i", shared.read())[0])
        c.note("address", "untouched" if address.untouched else address.read(2).hex())


@case(kinds=(*PAIRS, UDP4), call="recvmsg")
def data_changes_the_header(c):
    """The data is received over the header: its namelen and pointers are what they were, or what they have become."""
    fd, peer = c.linked()
    name, control = Memory(128), Memory(64)
    message = Message([], name=name, control=control)
    vector = Memory(struct.pack("=QQ", message.address, MSGHDR_SIZE))
    header = bytearray(message.header.read())
    header[16:32] = struct.pack("=QQ", vector.address, 1)
    message.header.write(bytes(header))
    c.sendto(fd, bytes(8) + struct.pack("=i", 3) + b"\x77" * 44)
    c.ready(peer, select.POLLIN)
    c.call("recvmsg", peer, message, s.MSG_DONTWAIT)
    after = bytearray(message.header.read())
    c.note("header", after.hex())
    c.note("name", "untouched" if name.untouched else name.read(2).hex())


@case(kinds=(*PAIRS, UDP4, TCP4), call="recvfrom")
def null_and_zero(c):
    """NULL with a length of 0, NULL with a length, nothing there, something there."""
    fd, peer = c.linked()
    for there in (False, True):
        for address, size in ((None, 0), (None, 4), (8, 0), (1 << 47, 0), ((1 << 47) - PAGE, 0), (1 << 63, 0)):
            if there:
                c.sendto(fd, b"data")
                c._arrived(peer, s.MSG_DONTWAIT)
            label = f"{there} {address} {size}"
            for flags in (s.MSG_PEEK, s.MSG_TRUNC, 0):
                result = syscall("recvfrom", peer, address, size, flags | s.MSG_DONTWAIT, None, Int(4))
                c.note(label, str(result))
            c.note("left", c.drain(peer))
