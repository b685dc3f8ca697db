"""What a service manager hears.

    notified.py serve PATH          receives at PATH (@name: abstract) and prints what came and from whom
    notified.py tell                says READY=1 and more at NOTIFY_SOCKET, as sd_notify(3) does, with its own pid

A message with SAYS_PID=n is from process n, or the receiver says that it is not.
"""

import array
import os
import signal
import socket
import struct
import sys


def address(name):
    return "\0" + name[1:] if name.startswith("@") else name


def serve(name):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    receiver.bind(address(name))
    while True:
        data, control, flags, _ = receiver.recvmsg(4096, 1024)
        files, sender = array.array("i"), None
        for level, kind, content in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                sender = struct.unpack("iii", content)
            elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                files.frombytes(content)
        said = dict(line.split("=", 1) for line in data.decode().splitlines())
        if pid := said.pop("SAYS_PID", None):
            said["from"] = "the one who says so" if int(pid) == sender[0] else f"{sender[0]}, and it says {pid}"
        # systemd-notify waits until its pipe is closed; a store gets the content of its file.
        stored = [os.read(fd, 100) for fd in files] if "FDSTORE" in said else []
        for fd in files:
            os.close(fd)
        print(sorted(said.items()), sender[1:], len(files), stored, flags & socket.MSG_CTRUNC, flush=True)


def tell():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(address(os.environ["NOTIFY_SOCKET"]))
        sender.sendall(b"READY=1\nSTATUS=plain send\nSAYS_PID=%d" % os.getpid())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        where = address(os.environ["NOTIFY_SOCKET"])
        sender.sendto(b"STATUS=sendto\nSAYS_PID=%d" % os.getpid(), where)
        own = struct.pack("iii", os.getpid(), os.getuid(), os.getgid())
        credentials = (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, own)
        sender.sendmsg([b"STATUS=credentials\nSAYS_PID=%d" % os.getpid()], [credentials], 0, where)
        reader, writer = os.pipe()
        os.write(writer, b"what is stored")
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [reader]))
        sender.sendmsg([b"FDSTORE=1\nSAYS_PID=%d" % os.getpid()], [rights], 0, where)
    if (child := os.fork()) == 0:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"STATUS=child\nSAYS_PID=%d" % os.getpid(), where)
        os._exit(0)
    os.waitpid(child, 0)


if __name__ == "__main__":
    {"serve": serve, "tell": tell}[sys.argv[1]](*sys.argv[2:])
