"""What this machine can do. Every answer comes from trying, because distributions carry features back and containers
take them away.

What changes a process (a filter, a namespace, a descriptor table) is tried in a forked child.
"""

import ctypes
import ctypes.util
import errno
import importlib.util
import json
import os
import signal
import socket
import struct
import threading
import time
from typing import Any, Final

from supervisor.abi.seccomp import (
    SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
    SECCOMP_RET_ALLOW,
    SECCOMP_RET_USER_NOTIF,
    Notification,
)
from supervisor.errors import SyscallError, TraceeGone
from supervisor.kernel import libc, process, seccomp
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.identity import effective_capabilities
from supervisor.kernel.listener import Listener
from supervisor.kernel.trial import Finding, forked, in_child, limited, missing, ok, read_all, readable
from supervisor.kernel.uring import Ring

PROBE_LIMIT: Final = 10.0
"""Seconds until a probe is given up: each takes some milliseconds where nothing is wrong."""

_STEP_LIMIT: Final = 2.0
_CAP_SYS_PTRACE: Final = 19
_CLONE_FILES: Final = 0x400
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_LANDLOCK_CREATE_RULESET_VERSION: Final = 1
_LANDLOCK_SCOPES: Final = 6
_OLDEST_NOTIFYING_LIBSECCOMP: Final = (2, 5, 0)
_YAMA: Final = "/proc/sys/kernel/yama/ptrace_scope"
_URING_DISABLED: Final = "/proc/sys/kernel/io_uring_disabled"

# The call that a probe's filter traps: one that nothing else in the child makes, and that every container allows.
_TRAPPED: Final = libc.number("shutdown")
_BPF_LOAD_WORD: Final = 0x20
_BPF_JUMP_EQUAL: Final = 0x15
_BPF_RETURN: Final = 0x06


def probe(limit: float = PROBE_LIMIT) -> dict[str, Finding]:
    """Everything that can be tried, by the names that `supervise doctor` explains."""
    return {
        **_probe_listener(limit),
        **in_child(_look_into_others, ("ptrace",), limit),
        **in_child(_reach_a_threads_table, ("thread-pidfd",), limit),
        **in_child(_use_a_ring, ("io_uring",), limit),
        **in_child(_enter_a_user_namespace, ("user-namespace",), limit),
        "landlock": landlock(),
        "yama": yama(),
        "cap-sys-ptrace": ptrace_capability(),
        "libseccomp": libseccomp(),
    }


# The listener.

_LISTENER: Final = ("notification", "no-other-listener", "addfd-send", "wait-killable", "sync-wake-up")
_ANSWER: Final = 41


def _probe_listener(limit: float) -> dict[str, Finding]:
    return in_child(_use_a_listener, _LISTENER, limit)


def trap_one_call(number: int) -> bytes:
    """A filter that traps one system call and allows everything else."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in (
        (_BPF_LOAD_WORD, 0, 0, 0), (_BPF_JUMP_EQUAL, 0, 1, number), (_BPF_RETURN, 0, 0, SECCOMP_RET_USER_NOTIF),
        (_BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW),
    ))


def _use_a_listener() -> dict[str, Finding]:
    here, there = socket.socketpair()
    with here, there, forked(lambda: _be_trapped(there)) as pid:
        there.close()
        here.settimeout(_STEP_LIMIT)
        message, numbers, _, _ = socket.recv_fds(here, 4096, 1)
        if not numbers:
            return _without_a_listener(json.loads(message)["errno"])
        listener = Listener(HostFd(numbers[0]))
        try:
            return {
                "notification": _answer_with_value(listener, here),
                "no-other-listener": ok("none"),
                "addfd-send": _install(listener, here),
                "wait-killable": _interrupt(listener, here, pid),
                "sync-wake-up": ok("yes") if listener.sync_wake_up else missing("no"),
            }
        finally:
            listener.close()


def _be_trapped(there: socket.socket) -> None:
    """The child under the filter: makes the trapped call, again and again, and tells what it returned."""
    signal.signal(signal.SIGUSR1, lambda *_: None)
    seccomp.set_no_new_privs()
    try:
        listener = seccomp.load_filter(trap_one_call(_TRAPPED))
    except OSError as error:
        there.send(json.dumps({"errno": error.errno}).encode())
        return
    socket.send_fds(there, [b"{}"], [listener.fileno()])
    listener.close()
    while True:
        value = libc.syscall6(_TRAPPED, 0, 0, 0, 0, 0, 0)
        code = libc.get_errno() if value < 0 else 0
        try:
            link = os.readlink(f"/proc/self/fd/{value}")
        except OSError:
            link = ""
        there.send(json.dumps({"value": value, "errno": code, "link": link}).encode())


def _without_a_listener(code: int) -> dict[str, Finding]:
    known = seccomp.has_user_notification()
    if code == errno.EBUSY:
        untried = limited("not tried: a listener is there already")
        return {
            **dict.fromkeys(_LISTENER, untried),
            "notification": untried if known else missing("SECCOMP_RET_USER_NOTIF is unknown"),
            "no-other-listener": missing("this process is inside a seccomp listener"),
        }
    reason = f"seccomp(2): {os.strerror(code)}"
    return {
        **dict.fromkeys(_LISTENER, missing("no listener")), "notification": missing(reason),
        "no-other-listener": ok("none"),
    }


def _next(listener: Listener) -> Notification:
    if not readable(listener.fileno(), _STEP_LIMIT):
        raise OSError(errno.ETIME, "no notification came")
    received = listener.receive()
    if received is None:
        raise OSError(errno.ENOENT, "the trapped call went away")
    return received[0]


def _outcome(here: socket.socket) -> dict[str, Any]:
    return dict(json.loads(here.recv(4096)))


def _answer_with_value(listener: Listener, here: socket.socket) -> Finding:
    listener.answer_value(_next(listener).id, _ANSWER)
    said = _outcome(here)
    return ok("answered a trapped call") if said["value"] == _ANSWER else missing(f"answered {_ANSWER}, came as {said}")


def _install(listener: Listener, here: socket.socket) -> Finding:
    call = _next(listener)
    with HostFd(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)) as fd:
        try:
            number = listener.install(call.id, fd, os.O_CLOEXEC)
        except OSError as error:
            listener.answer_error(call.id, errno.EPERM)
            _outcome(here)
            return missing(f"SECCOMP_IOCTL_NOTIF_ADDFD: {error.strerror}")
    said = _outcome(here)
    worked = said["value"] == number and said["link"] == os.devnull
    return ok("installed a descriptor") if worked else missing(f"installed {number}, came as {said}")


def _interrupt(listener: Listener, here: socket.socket, pid: int) -> Finding:
    """A signal with a handler, while the call is with us: with the flag, the call stays until it is answered."""
    if not seccomp.has_filter_flag(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV):
        return missing("the flag is unknown")
    call = _next(listener)
    os.kill(pid, signal.SIGUSR1)
    deadline = time.monotonic() + _STEP_LIMIT
    # D is the sign that the signal has come and the call waits on; without the flag the call is gone instead.
    while _state_of(pid) != "D" and listener.valid(call.id):
        if time.monotonic() > deadline:
            return missing("a signal was not noticed")
        time.sleep(0.001)
    try:
        listener.answer_value(call.id, _ANSWER)
    except TraceeGone:
        return missing("the flag is known, but a signal cancelled a received call")
    return ok("a signal left a received call alone") if _outcome(here)["value"] == _ANSWER else missing("EINTR came")


def _state_of(pid: int) -> str:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b") ")[2][:1].decode()


# Other processes.

_SECRET: Final = ctypes.create_string_buffer(b"before", 8)
_SEEN_IN_CHILD: Final = b"within"


def _look_into_others() -> dict[str, Finding]:
    """Take a descriptor and read memory: of a child, then of a process that is not a descendant."""
    ready, child_end = os.pipe()

    def be_looked_at() -> None:
        _SECRET.value = _SEEN_IN_CHILD
        os.write(child_end, b"!")
        signal.pause()

    with forked(be_looked_at) as child:
        if not readable(ready, _STEP_LIMIT):
            return {"ptrace": missing("the child did not start")}
        problem = _look_into(child, ready)
        if problem:
            return {"ptrace": missing(f"not even into a child: {problem}")}
        problem = _look_from_beside(child, ready)
    return {"ptrace": limited(f"children only: {problem}") if problem else ok("any process of this user")}


def _look_into(pid: int, number: int) -> str:
    """What keeps us from looking into a process, or ""."""
    try:
        with process.open_pidfd(pid) as pidfd:
            process.take_fd(pidfd, number).close()
    except (OSError, SyscallError) as error:
        return f"pidfd_getfd: {errno.errorcode.get(error.errno or 0, error.errno)}"
    try:
        data = process.read_memory(pid, ctypes.addressof(_SECRET), len(_SEEN_IN_CHILD))
    except OSError as error:
        return f"process_vm_readv: {errno.errorcode.get(error.errno or 0, error.errno)}"
    return "" if data == _SEEN_IN_CHILD else f"process_vm_readv gave {data!r}"


def _look_from_beside(pid: int, number: int) -> str:
    answers, child_end = os.pipe()
    with forked(lambda: _write_text(child_end, _look_into(pid, number))):
        os.close(child_end)
        text = read_all(answers, time.monotonic() + _STEP_LIMIT)
    os.close(answers)
    return "no answer" if text is None else text.decode()


def _write_text(number: int, text: str) -> None:
    os.write(number, text.encode())


def _reach_a_threads_table() -> dict[str, Finding]:
    """Take a descriptor that only one thread has, through that thread's pidfd."""
    opened, done = threading.Event(), threading.Event()
    at: dict[str, int] = {}

    def thread() -> None:
        alone = libc.unshare(_CLONE_FILES) == 0  # container profiles may forbid it: then only the flag is tried
        at.update(tid=threading.get_native_id(), alone=alone, fd=os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        opened.set()
        done.wait()

    threading.Thread(target=thread, daemon=True).start()
    opened.wait(_STEP_LIMIT)
    try:
        with process.open_pidfd(at["tid"], process.PIDFD_THREAD) as pidfd, process.take_fd(pidfd, at["fd"]) as taken:
            if os.readlink(f"/proc/self/fd/{taken.fileno()}") != os.devnull:
                return {"thread-pidfd": missing("it leads to another table")}
    except OSError as error:
        return {"thread-pidfd": missing(f"pidfd_open(PIDFD_THREAD): {error.strerror}")}
    except SyscallError:
        return {"thread-pidfd": missing("it leads to another table")}
    finally:
        done.set()
    return {"thread-pidfd": ok("reached a thread's own table" if at["alone"] else "opened a thread")}


def yama() -> Finding:
    """The mode of the Yama security module, seen with this process's capabilities."""
    mode = _read_number(_YAMA)
    if mode is None:
        return ok("not active")
    if mode == 0:
        return ok("mode 0")
    if mode < 3 and _may_trace_all():
        return ok(f"mode {mode}, and CAP_SYS_PTRACE")
    return limited("mode 1: descendants only") if mode == 1 else missing(f"mode {mode}: nobody without CAP_SYS_PTRACE")


def ptrace_capability() -> Finding:
    """CAP_SYS_PTRACE in this process's effective set."""
    return ok("held") if _may_trace_all() else limited("not held")


def _may_trace_all() -> bool:
    return bool(effective_capabilities() >> _CAP_SYS_PTRACE & 1)


def _read_number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


# The rest.


def landlock() -> Finding:
    """The Landlock ABI, as landlock_create_ruleset(2) tells it."""
    try:
        abi = libc.syscall(libc.number("landlock_create_ruleset"), 0, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    except OSError as error:
        return missing("not enabled at boot" if error.errno == errno.EOPNOTSUPP else f"{error.strerror}")
    return ok(f"ABI {abi}") if abi >= _LANDLOCK_SCOPES else limited(f"ABI {abi}: no scopes")


class _Version(ctypes.Structure):
    """struct scmp_version."""

    _fields_ = (("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint))


def libseccomp() -> Finding:
    """libseccomp, found in the way that pyseccomp finds it."""
    if importlib.util.find_spec("pyseccomp") is None:
        return missing("the Python package pyseccomp is not installed")
    name = ctypes.util.find_library("seccomp")
    if name is None:
        return missing("no libseccomp.so is known to the dynamic linker")
    try:
        function = ctypes.CDLL(name).seccomp_version
    except (OSError, AttributeError) as error:
        return missing(str(error))
    function.restype = ctypes.POINTER(_Version)
    found = function().contents
    version = (found.major, found.minor, found.micro)
    text = ".".join(map(str, version))
    return ok(text) if version >= _OLDEST_NOTIFYING_LIBSECCOMP else missing(f"{text} cannot notify: 2.5 is needed")


def _use_a_ring() -> dict[str, Finding]:
    """Connect through a ring of our own, and ask whether it accepts without waiting."""
    try:
        ring = Ring()
    except OSError as error:
        switch = _read_number(_URING_DISABLED)
        why = f" (kernel.io_uring_disabled={switch})" if switch else ""
        return {"io_uring": missing(f"io_uring_setup: {error.strerror}{why}")}
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(b"")
        listener.listen()
        address = struct.pack("=H", socket.AF_UNIX) + listener.getsockname()
        with HostFd(os.dup(client.fileno())) as fd:
            result = ring.connect(fd, address).result
    if result != 0:
        return {"io_uring": missing(f"connect ended with {result}")}
    if not ring.accepts_without_waiting:
        return {"io_uring": limited("connects; no IORING_ACCEPT_DONTWAIT")}
    return {"io_uring": ok("connects, and accepts without waiting")}


def _enter_a_user_namespace() -> dict[str, Finding]:
    """Enter one, and use what it is entered for: AppArmor lets a process in and then takes its capabilities."""
    if libc.unshare(_CLONE_NEWUSER):
        return {"user-namespace": missing(f"unshare: {libc.fail().strerror}")}
    if libc.unshare(_CLONE_NEWNET):
        return {"user-namespace": limited(f"entered, but no network namespace in it: {libc.fail().strerror}")}
    return {"user-namespace": ok("entered one, with a network of its own")}
