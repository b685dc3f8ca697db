"""Two kinds of failure that must never be confused.

`SyscallError` is an outcome of the program's call: the errno it will see, as the kernel would have given it.
`Refused` is the policy's answer. `TraceeGone` means that nobody is left to answer. Everything else that is raised
while a call is serviced is our own failure: the dispatcher answers it with the policy's errno and logs it, and it is
never an allow.
"""

import errno as _errno
from typing import Final


class SyscallError(Exception):
    """The program's call fails with `errno` (positive, as in errno(3))."""

    def __init__(self, errno: int) -> None:
        super().__init__(_errno.errorcode.get(errno, str(errno)))
        self.errno: Final = errno


class TraceeGone(Exception):  # noqa: N818 - an event, not a mistake
    """The stopped call no longer exists: its thread died or the call was interrupted. No reply is possible."""


class CannotServe(Exception):  # noqa: N818 - names what happened
    """The supervisor itself cannot do what the call needs (memory it may not read, a missing kernel feature).

    Its text says what and why; the program gets the policy's errno.
    """


class UsageError(Exception):
    """What the user asked for cannot be done as asked: one line for stderr, exit status 2."""


class StartError(Exception):
    """Nothing was started: one line for stderr, exit status 125."""
