"""Descriptors of an X server: `x_shm.py PATH` shares memory with it by a descriptor each way, and by name (MIT-SHM).

What is drawn into the root window has to arrive in the memory that was passed to the server, in the one that it made,
and in the one that it attaches because the peer's credentials allow it.
"""

import array
import ctypes
import mmap
import os
import socket
import struct
import sys

IPC_PRIVATE, IPC_RMID = 0, 0
WIDTH, HEIGHT = 64, 32
SIZE = WIDTH * HEIGHT * 4
Z_PIXMAP = 2
COLOUR = 0x123456


class Display:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.files = array.array("i")
        self.count = 0
        self.socket.sendall(struct.pack("<BxHHHHxx", ord("l"), 11, 0, 0, 0))
        ok, length = struct.unpack("<BxxxxxH", self.read(8))
        setup = self.read(length * 4)
        assert ok == 1, setup
        self.base, vendor, formats = (*struct.unpack_from("<I", setup, 4), *struct.unpack_from("<HxxxB", setup, 16))
        screen = 32 + (vendor + 3 & ~3) + 8 * formats
        self.root, self.depth = struct.unpack_from("<I", setup, screen)[0], setup[screen + 38]

    def read(self, size):
        data = b""
        while len(data) < size:
            part, control, _, _ = self.socket.recvmsg(size - len(data), 1024, socket.MSG_CMSG_CLOEXEC)
            assert part, "the server has gone"
            data += part
            for level, kind, content in control:
                assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
                self.files.frombytes(content)
        return data

    def request(self, major, minor, body=b"", files=()):
        self.count += 1
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
        body += b"\0" * (-len(body) % 4)
        message = struct.pack("<BBH", major, minor, 1 + len(body) // 4) + body
        assert self.socket.sendmsg([message], control) == len(message)

    def reply(self):
        """The reply to the last request, after its first byte."""
        head = self.read(32)
        assert head[0] == 1, f"error {head[1]}, major {head[10]}, minor {head[8]}"
        assert struct.unpack_from("<H", head, 2)[0] == self.count & 0xFFFF
        return head[1:] + self.read(4 * struct.unpack_from("<I", head, 4)[0])


def main(path):
    display = Display(path)
    display.request(98, 0, struct.pack("<Hxx7s", 7, b"MIT-SHM"))  # QueryExtension
    shm = display.reply()[8]
    display.request(shm, 0)  # QueryVersion
    print("version", struct.unpack_from("<HH", display.reply(), 7))

    gc, passed, made, named = range(display.base, display.base + 4)
    display.request(55, 0, struct.pack("<IIII", gc, display.root, 4, COLOUR))  # CreateGC
    display.request(70, 0, struct.pack("<IIhhHH", display.root, gc, 0, 0, WIDTH, HEIGHT))  # PolyFillRectangle

    memory = os.memfd_create("passed")
    os.ftruncate(memory, SIZE)
    display.request(shm, 6, struct.pack("<IBxxx", passed, 0), [memory])  # AttachFd
    print("passed", drawn(display, shm, passed, lambda: in_file(memory)))

    display.request(shm, 7, struct.pack("<IIBxxx", made, SIZE, 0))  # CreateSegment
    print("descriptors with the reply", display.reply()[0], len(display.files))
    print("made", drawn(display, shm, made, lambda: in_file(display.files[0])))
    print("closed on exec", not os.get_inheritable(display.files[0]))

    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    number = libc.shmget(IPC_PRIVATE, SIZE, 0o600)
    where = libc.shmat(number, None, 0)
    try:
        display.request(shm, 1, struct.pack("<IIBxxx", named, number, 0))  # Attach
        print("attached", drawn(display, shm, named, lambda: ctypes.string_at(where, SIZE)))
    finally:
        libc.shmctl(number, IPC_RMID, None)


def in_file(fd):
    with mmap.mmap(fd, SIZE) as memory:
        return memory[:]


def drawn(display, shm, segment, content):
    where = struct.pack("<IhhHHI", display.root, 0, 0, WIDTH, HEIGHT, 0xFFFFFFFF)
    display.request(shm, 4, where + struct.pack("<BxxxII", Z_PIXMAP, segment, 0))  # GetImage
    display.reply()
    return {pixel & 0xFFFFFF for (pixel,) in struct.iter_unpack("<I", content())} == {COLOUR}


if __name__ == "__main__":
    main(sys.argv[1])
