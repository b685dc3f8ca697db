"""What kernel headers say, in the kernel's own spelling: constants and layouts, nothing that runs."""
