"""A supervisor for the socket calls of unmodified programs."""

__version__ = "0.1.0"
