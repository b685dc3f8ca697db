"""The only code that speaks to the kernel by hand: ctypes, ioctl, raw system calls. It decides nothing."""
