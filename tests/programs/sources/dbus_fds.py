"""Descriptors over a bus: `serve` and `call FILE COUNT`, at DBUS_SESSION_BUS_ADDRESS. Needs jeepney.

The service answers `Swap` with the files it was passed and, for each, a new one with the content reversed.
"""

import os
import signal
import sys
import tempfile

from jeepney import DBusAddress, MessageType, new_method_call, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection

NAME = "org.example.Swap"
ADDRESS = DBusAddress("/org/example/Swap", NAME, NAME)


def content(fd):
    return os.pread(fd, 1 << 20, 0)


def identity(fd):
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def open_bus():
    return open_dbus_connection(os.environ["DBUS_SESSION_BUS_ADDRESS"], enable_fds=True)


def serve(ready):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with open_bus() as bus:
        bus.send_and_get_reply(message_bus.RequestName(NAME))
        with open(ready, "w"):
            pass
        while True:
            message = bus.receive()
            if message.header.message_type is not MessageType.method_call:
                continue
            passed = [wrapped.to_raw_fd() for wrapped in message.body[0]]
            made = []
            for fd in passed:
                made.append(os.memfd_create("reversed"))
                os.write(made[-1], content(fd)[::-1])
            bus.send(new_method_return(message, "ahah", (passed, made)))
            for fd in passed + made:
                os.close(fd)


def call(path, count):
    with open_bus() as bus, tempfile.TemporaryDirectory() as folder:
        for number in (1, int(count)):
            files = [os.open(path, os.O_RDONLY)]
            while len(files) < number:
                name = os.path.join(folder, str(len(files)))
                with open(name, "w") as file:
                    file.write(f"file {len(files)}")
                files.append(os.open(name, os.O_RDONLY))
            before = len(os.listdir("/proc/self/fd"))
            reply = bus.send_and_get_reply(new_method_call(ADDRESS, "Swap", "ah", (files,)), timeout=20)
            same, made = ([one.to_raw_fd() for one in some] for some in reply.body)
            print("new descriptors", len(os.listdir("/proc/self/fd")) - before)
            print("the same files", [identity(fd) for fd in same] == [identity(fd) for fd in files])
            print("reversed", [content(fd)[::-1] for fd in made] == [content(fd) for fd in files], len(made))
            print("closed on exec", {os.get_inheritable(fd) for fd in same + made})
            print(content(made[0]))
            for fd in files + same + made:
                os.close(fd)


if __name__ == "__main__":
    {"serve": serve, "call": call}[sys.argv[1]](*sys.argv[2:])
