"""gigabyte.py: one send of 1 GiB over TCP, received by another thread with a buffer as large; prints both counts."""

import mmap
import socket
import threading

SIZE = 1 << 30

listener = socket.create_server(("127.0.0.1", 0))
sender = socket.create_connection(listener.getsockname())
receiver, _ = listener.accept()
sent = []


def send():
    with mmap.mmap(-1, SIZE) as memory:
        sent.append(sender.send(memory))
    sender.close()


thread = threading.Thread(target=send)
thread.start()
received = 0
with mmap.mmap(-1, SIZE) as memory:
    while count := receiver.recv_into(memory):
        received += count
thread.join()
print(sent[0], received)
