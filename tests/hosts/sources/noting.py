"""noting.py LOG: write the pid to LOG, then the name of each signal as it comes; ends with status 7 on SIGUSR2."""

import os
import signal
import sys

log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def note(number, _frame):
    os.write(log, f"{signal.Signals(number).name}\n".encode())
    if number == signal.SIGUSR2:
        os._exit(7)


for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH", "CONT", "ALRM", "TSTP"):
    signal.signal(getattr(signal, f"SIG{name}"), note)
os.write(log, f"{os.getpid()}\n".encode())
while True:
    signal.pause()
