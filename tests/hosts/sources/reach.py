"""reach.py RESULT PORT[=GATE] ...: connect to each port of 127.0.0.1, after its gate exists; one line of RESULT each.

A line is "PORT ok" or "PORT ERRNO"; the first line is the Seccomp mode of /proc/self/status.
"""

import os
import socket
import sys
import time

with open("/proc/self/status") as status:
    mode = next(line.split()[1] for line in status if line.startswith("Seccomp:"))
result = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
os.write(result, f"seccomp {mode}\n".encode())
for argument in sys.argv[2:]:
    port, _, gate = argument.partition("=")
    while gate and not os.path.exists(gate):
        time.sleep(0.005)
    try:
        with socket.socket() as s:
            s.connect(("127.0.0.1", int(port)))
        answer = "ok"
    except OSError as error:
        answer = str(error.errno)
    os.write(result, f"{port} {answer}\n".encode())
