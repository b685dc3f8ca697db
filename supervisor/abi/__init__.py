"""What kernel headers say, in the kernel's own spelling. Constants and layouts only: standard library, no system calls."""
