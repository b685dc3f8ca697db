"""Forked children that do what a test tells them, and never outlive it."""

import os
import pickle
import platform
import signal
import socket
import struct
import time
import traceback
import warnings
from contextlib import suppress

import pytest

from supervisor.kernel import libc, process, seccomp
from supervisor.kernel.listener import Listener

STRICT = os.environ.get("CI") == "true"
LIMIT = 5.0
GETPPID = {"x86_64": 110, "aarch64": 173}.get(platform.machine(), 0)
NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def missing(feature):
    """End the test: the kernel lacks `feature`. Where CI says that it has everything, this is a failure."""
    (pytest.fail if STRICT else pytest.skip)(f"this kernel has no {feature}")


class Failed(Exception):  # noqa: N818 - an event in the child
    """What a function raised in the child: `kind` is the name of its class, `errno` its errno where it has one."""

    def __init__(self, kind, errno, text):
        super().__init__(kind, errno, text)
        self.kind, self.errno = kind, errno


class Puppet:
    """A forked child that runs one function after the other. Functions are sent by name: of a module, not local."""

    def __init__(self):
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside the closer's thread
            self.pid = os.fork()
        if self.pid == 0:
            self._channel.close()
            _obey(theirs)
        theirs.close()
        self._channel.settimeout(LIMIT)
        self._alive = True

    def start(self, function, *arguments):
        """Let it begin; `result` is for later."""
        self._channel.send(pickle.dumps((function, arguments)))

    def result(self):
        """What the function that was started returned. Raises Failed."""
        fine, value = pickle.loads(self._channel.recv(1 << 20))
        if not fine:
            raise Failed(*value)
        return value

    def do(self, function, *arguments):
        """Run a function there."""
        self.start(function, *arguments)
        return self.result()

    def state(self, tid=0):
        """The state letter of its main thread, or of another."""
        with open(f"/proc/{self.pid}/task/{tid or self.pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1].decode()

    def wait_for_state(self, letter, tid=0):
        """Wait until the kernel has put it into a state."""
        until(lambda: self.state(tid) == letter)

    def kill(self):
        """Kill and reap it."""
        if self._alive:
            self._alive = False
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def become_zombie(self):
        """Kill it, and do not reap it yet."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self._channel.close()


class Trapped(Puppet):
    """A puppet whose getppid(2) is trapped; `listener` answers it."""

    def __init__(self):
        super().__init__()
        self.listener = None
        number = self.do(load_trap)
        with process.open_pidfd(self.pid) as pidfd:
            self.listener = Listener(process.take_fd(pidfd, number))
        self.do(os.close, number)

    def call(self, *arguments):
        """Let it make the trapped call, and receive the notification."""
        self.start(getppid, *arguments)
        return self.receive()

    def receive(self):
        until(self.listener.ready)
        received = self.listener.receive()
        assert received is not None
        return received[0]

    def __exit__(self, *exception):
        super().__exit__(*exception)
        if self.listener is not None:
            self.listener.close()


def _obey(channel):
    try:
        while message := channel.recv(1 << 20):
            function, arguments = pickle.loads(message)
            try:
                answer = True, function(*arguments)
            except BaseException as error:
                answer = False, (type(error).__name__, getattr(error, "errno", None), traceback.format_exc())
            channel.send(pickle.dumps(answer))
    finally:
        os._exit(0)


def until(condition):
    """Wait for something that takes microseconds, and not longer than the limit."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.0002)


# What puppets are told to do.


def trap(number):
    """A filter that traps one call: ld nr; jeq number; ret USER_NOTIF; ret ALLOW."""
    return b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in ((0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x7FC00000), (0x06, 0, 0, 0x7FFF0000))
    )


def load_trap():
    """Load the filter; the listener's number."""
    seccomp.set_no_new_privs()
    return seccomp.load_filter(trap(GETPPID)).detach()


def getppid(*arguments):
    """The trapped call: its value, or its negative errno."""
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    value = libc.syscall6(GETPPID, *padded)
    return value if value >= 0 else -libc.get_errno()


def become(uid, groups=()):
    """Be another user, for good."""
    os.setgroups(groups)
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    libc.prctl(seccomp.PR_SET_DUMPABLE, 1, 0, 0, 0)
