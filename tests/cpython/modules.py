"""Which of CPython's modules are run, with what, for how long, and what is left out of them. Data only."""

from typing import NamedTuple

PYTHON = "/usr/bin/python3"
PACKAGE = "libpython3.11-testsuite"
MODES = ("auto", "full")


class Module(NamedTuple):
    """One module of CPython's suite: seconds for all of it, and the regrtest resources its tests may use."""

    name: str
    seconds: float = 300
    resources: tuple[str, ...] = ()


TEST_SECONDS = 60.0  # of silence by one test before it is called hung; no test of these modules sleeps that long

# "network" lets most modules talk to hosts on the internet, so it stays off. test_socketserver asks for it too, but
# speaks to loopback only.
_SPECIAL = {
    "test_asyncio": Module("test_asyncio", 900),
    "test_multiprocessing_fork": Module("test_multiprocessing_fork", 900),
    "test_multiprocessing_forkserver": Module("test_multiprocessing_forkserver", 1200),
    "test_multiprocessing_spawn": Module("test_multiprocessing_spawn", 1200),
    "test_socketserver": Module("test_socketserver", resources=("network",)),
}

DEFAULT = ("test_socket", "test_socketserver", "test_selectors", "test_httplib")

# Test ids (any part of them) that are not run at all, natively or supervised, and why.
LEFT_OUT = {
    "test_socket.ThreadedVSOCKSocketStreamTest": "a vsock connection to the own CID hangs natively on virtual machines",
    "test_socket.BasicVSOCKTest": "needs a vsock transport of the machine, no part of the socket calls tested here",
}


def module(name: str) -> Module:
    """The row of a module; the default one for a module without peculiarities."""
    return _SPECIAL.get(name, Module(name))
