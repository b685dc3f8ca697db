"""who.py: what a process in a pid namespace is told of others, with its own and its child's pid by name."""

import os
import socket
import struct

ours, theirs = socket.socketpair()
for end in (ours, theirs):
    end.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
names = {os.getpid(): "me"}


def tell(label, raw):
    pid, *ids = struct.unpack("3i", raw)
    print(label, names.get(pid, pid), *ids)


def receive(label):
    _, control, flags, _ = theirs.recvmsg(1, 200)
    for _, _, data in control:
        tell(f"{label} {flags:#x}", data)


ours.send(b"x")
receive("sent")
tell("peer", ours.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
child = os.fork()
if child == 0:
    ours.send(b"y")
    ours.sendmsg([b"z"], [(socket.SOL_SOCKET, 2, struct.pack("3i", os.getpid(), os.getuid(), os.getgid()))])
    os._exit(0)
os.waitpid(child, 0)
names[child] = "child"
receive("by a child")
receive("stated by a child")
reading, writing = os.pipe()
socket.send_fds(ours, [b"f"], [writing])
_, numbers, _, _ = socket.recv_fds(theirs, 9, 16)
for number in numbers:
    os.write(number, b"1")
print("descriptors", len(numbers), os.read(reading, 9) if numbers else b"")
print("pid", os.getpid())
