"""sizing.py: print the terminal's size now, and after every SIGWINCH; end on SIGINT."""

import os
import signal


def show(*_):
    size = os.get_terminal_size(0)
    os.write(1, f"size {size.columns}x{size.lines}\n".encode())


signal.signal(signal.SIGWINCH, show)
show()
while True:
    signal.pause()
