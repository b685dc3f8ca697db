"""Which of CPython's modules are run, with what, for how long, and what is left out of them. Data only."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PYTHON = "/usr/bin/python3"
PACKAGE = "libpython3.11-testsuite"
MODES = ("auto", "full")


RECORD = Path(__file__).with_name("record.py")


class Module(NamedTuple):
    """What is run as one process: the script that keeps the record, its arguments, and seconds for all of it.

    `group` is the row of the table it is counted in. `left_out` are test ids (any part of them) that are not run at
    all, natively or supervised, and why.
    """

    name: str
    group: str
    arguments: tuple[str, ...]
    seconds: float = 300
    script: Path = RECORD
    env: tuple[tuple[str, str], ...] = ()
    left_out: Mapping[str, str] = {}


TEST_SECONDS = 60.0  # of silence by one test before it is called hung; no test of these modules sleeps that long

DEFAULT = ("test_socket", "test_socketserver", "test_selectors", "test_httplib")

ALL = (
    *DEFAULT, "test_asyncio", "test_ssl", "test_ftplib", "test_smtplib", "test_imaplib", "test_poplib", "test_asyncore",
    "test_asynchat", "test_epoll", "test_poll", "test_select", "test_subprocess", "test_signal", "test_eintr",
    "test_timeout", "test_logging", "test_httpservers", "test_xmlrpc", "test_concurrent_futures",
    "test_multiprocessing_fork", "test_multiprocessing_forkserver", "test_multiprocessing_spawn",
)

_SECONDS = {
    "test_asyncio": 900,
    "test_multiprocessing_fork": 900,
    "test_multiprocessing_forkserver": 1200,
    "test_multiprocessing_spawn": 1200,
}

# "network" lets most modules talk to hosts on the internet, so it stays off. test_socketserver asks for it too, but
# speaks to loopback only.
_RESOURCES = {"test_socketserver": ("network",)}

_LEFT_OUT = {
    "test_socket.ThreadedVSOCKSocketStreamTest": "a vsock connection to the own CID hangs natively on virtual machines",
    "test_socket.BasicVSOCKTest": "needs a vsock transport of the machine, no part of the socket calls tested here",
}


def module(name: str) -> Module:
    """A module of CPython's suite, with its peculiarities."""
    arguments = (f"test.{name}", "--resources", *_RESOURCES.get(name, ()))
    return Module(name, name, arguments, _SECONDS.get(name, 300), left_out=_LEFT_OUT)
