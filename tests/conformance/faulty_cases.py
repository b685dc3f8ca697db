"""Cases that misbehave on purpose: what the harness has to notice. Not part of the suite."""

import os
import signal
import socket as s

from tests.conformance.case import case
from tests.conformance.kinds import TCP4
from tests.conformance.raw import must


@case()
def behaves(c):
    fd = c.new(TCP4)
    c.getsockname(fd)


@case()
def depends(c):
    """Differs when the environment does."""
    c.note("value", os.environ.get("FAULTY", "usual"))


@case()
def hangs(c):
    server = c.server(kind=TCP4)
    c.note("before", "hanging")
    c.accept(server.fd)


@case()
def dies(c):
    c.note("before", "dying")
    os.kill(os.getpid(), signal.SIGKILL)


@case()
def raises(c):
    raise ValueError("on purpose")


@case()
def leaks(c):
    must("socket", s.AF_INET, s.SOCK_STREAM, 0)


@case()
def closes(c):
    os.close(0)


@case()
def leaves_a_process(c):
    if os.fork() == 0:
        signal.pause()


@case()
def setup_fails(c):
    must("connect", -1, b"", 0)


@case()
def writes_too_far(c):
    """Output beyond what the length allowed is seen."""
    from tests.conformance.context import Out

    out = Out(4)
    out.memory.write(b"12345678")
    c.note("out", out.describe(c.names.address))
