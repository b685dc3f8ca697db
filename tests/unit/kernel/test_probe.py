"""What is found here, and what would be found on lesser machines."""

import ctypes.util
import errno
import importlib.util
import os

import pytest

from supervisor.cli.doctor import REQUIREMENTS
from supervisor.errors import SyscallError
from supervisor.kernel import libc, probe, process, seccomp, uring
from supervisor.kernel.listener import Listener
from supervisor.kernel.trial import in_child
from tests.unit.kernel.puppet import NOBODY, Puppet, Trapped, become, missing, needs_root


def listener():
    return probe._probe_listener(5.0)


def one(body, name):
    return in_child(body, (name,), 5.0)[name]


def refuse(code, name="refused"):
    def call(*_args, **_kwargs):
        raise OSError(code, os.strerror(code), name)

    return call


def test_every_requirement_is_probed():
    assert {*probe.probe(), "architecture", "kernel"} == {requirement.key for requirement in REQUIREMENTS}


@pytest.mark.parametrize("name", [requirement.key for requirement in REQUIREMENTS[2:] if requirement.key != "yama"])
def test_this_machine_has_it(name, found_here):
    if found_here[name].state == "missing":
        missing(f"{name}: {found_here[name].found}")


@pytest.fixture(scope="module")
def found_here():
    return probe.probe()


# Inside a listener.


def test_inside_a_listener():
    with Trapped() as program:
        found = program.do(listener)
    assert found["no-other-listener"] == ("missing", "this process is inside a seccomp listener")
    assert {finding.state for name, finding in found.items() if name != "no-other-listener"} == {"limited"}


# Older kernels, played by refusing what they do not know. The children are forked from here, and play along.


def test_no_user_notification(monkeypatch):
    monkeypatch.setattr(seccomp, "load_filter", refuse(errno.EINVAL))
    found = listener()
    assert found["notification"] == ("missing", "seccomp(2): Invalid argument")
    assert found["addfd-send"].state == "missing"
    assert found["no-other-listener"].state == "ok"


def test_no_addfd_with_send(monkeypatch):
    monkeypatch.setattr(Listener, "install", refuse(errno.EINVAL))
    found = listener()
    assert found["addfd-send"] == ("missing", "SECCOMP_IOCTL_NOTIF_ADDFD: Invalid argument")
    assert found["notification"].state == "ok"


def test_no_wait_killable(monkeypatch):
    monkeypatch.setattr(seccomp, "has_filter_flag", lambda _: False)
    assert listener()["wait-killable"] == ("missing", "the flag is unknown")


def test_a_flag_without_an_effect(monkeypatch):
    monkeypatch.setattr(seccomp, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 0)
    assert listener()["wait-killable"] == ("missing", "the flag is known, but a signal cancelled a received call")


def test_no_sync_wake_up(monkeypatch):
    monkeypatch.setattr(Listener, "_set_sync_wake_up", lambda _: False)
    assert listener()["sync-wake-up"] == ("missing", "no")


def test_a_listener_that_never_hears(monkeypatch):
    monkeypatch.setattr(probe, "_STEP_LIMIT", 0.05)
    monkeypatch.setattr(probe, "trap_one_call", lambda _: bytes.fromhex("060000000000ff7f"))
    assert listener()["notification"] == ("missing", "the probe failed: OSError: [Errno 62] no notification came")


def test_no_thread_pidfds(monkeypatch):
    monkeypatch.setattr(process, "open_pidfd", refuse(errno.EINVAL))
    found = one(probe._reach_a_threads_table, "thread-pidfd")
    assert found == ("missing", "pidfd_open(PIDFD_THREAD): Invalid argument")


def test_thread_pidfds_that_lead_elsewhere(monkeypatch):
    open_pidfd = process.open_pidfd
    monkeypatch.setattr(process, "open_pidfd", lambda _pid, _flags: open_pidfd(os.getpid()))
    assert one(probe._reach_a_threads_table, "thread-pidfd") == ("missing", "it leads to another table")


def test_no_unsharing_in_a_container(monkeypatch):
    monkeypatch.setattr(libc, "unshare", lambda _: -1)
    assert one(probe._reach_a_threads_table, "thread-pidfd").state in ("ok", "missing")
    assert one(probe._enter_a_user_namespace, "user-namespace").state == "missing"


def test_no_network_in_a_user_namespace(monkeypatch):
    unshare = libc.unshare
    monkeypatch.setattr(libc, "unshare", lambda flags: -1 if flags == probe._CLONE_NEWNET else unshare(flags))
    assert one(probe._enter_a_user_namespace, "user-namespace").state in ("limited", "missing")


@pytest.mark.parametrize(("switch", "text"), [("2\n", " (kernel.io_uring_disabled=2)"), ("0\n", ""), (None, "")])
def test_no_io_uring(monkeypatch, tmp_path, switch, text):
    if switch is not None:
        (tmp_path / "switch").write_text(switch)
    monkeypatch.setattr(probe, "_URING_DISABLED", str(tmp_path / "switch"))
    monkeypatch.setattr(probe, "Ring", refuse(errno.EPERM))
    found = one(probe._use_a_ring, "io_uring")
    assert found == ("missing", f"io_uring_setup: Operation not permitted{text}")


def test_a_ring_that_waits_in_accept(monkeypatch):
    monkeypatch.setattr(uring.Ring, "_probe_dontwait", lambda _: False)
    if one(probe._use_a_ring, "io_uring").state == "missing":
        missing("io_uring")
    assert one(probe._use_a_ring, "io_uring") == ("limited", "connects; no IORING_ACCEPT_DONTWAIT")


def test_a_ring_that_does_not_connect(monkeypatch):
    monkeypatch.setattr(uring, "IORING_OP_CONNECT", 255)
    assert one(probe._use_a_ring, "io_uring").state == "missing"


# Looking into others.


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        ("take_fd", OSError(errno.EPERM, "x"), "pidfd_getfd: EPERM"),
        ("take_fd", SyscallError(errno.EBADF), "pidfd_getfd: EBADF"),
        ("read_memory", OSError(errno.EPERM, "x"), "process_vm_readv: EPERM"),
    ],
)
def test_not_even_into_a_child(monkeypatch, call, error, text):
    def fail(*_):
        raise error

    monkeypatch.setattr(process, call, fail)
    assert one(probe._look_into_others, "ptrace") == ("missing", f"not even into a child: {text}")


def test_memory_that_is_not_the_childs(monkeypatch):
    monkeypatch.setattr(process, "read_memory", lambda *_: b"before")
    assert one(probe._look_into_others, "ptrace").found.endswith("process_vm_readv gave b'before'")


def test_children_only(monkeypatch):
    monkeypatch.setattr(probe, "_look_from_beside", lambda *_: "pidfd_getfd: EPERM")
    assert one(probe._look_into_others, "ptrace") == ("limited", "children only: pidfd_getfd: EPERM")


def look_as_nobody(dumpable):
    become(NOBODY)
    libc.prctl(seccomp.PR_SET_DUMPABLE, dumpable, 0, 0, 0)
    return one(probe._look_into_others, "ptrace"), probe.ptrace_capability()


@needs_root
def test_without_privilege():
    with Puppet() as puppet:
        looking, capability = puppet.do(look_as_nobody, 1)
    assert looking.state in ("ok", "limited")
    assert capability == ("limited", "not held")


@needs_root
def test_undumpable_children_without_privilege():
    with Puppet() as puppet:
        looking, _ = puppet.do(look_as_nobody, 0)
    assert looking == ("missing", "not even into a child: pidfd_getfd: EPERM")


@pytest.mark.parametrize(
    ("mode", "capable", "state"),
    [
        (None, False, "ok"), ("0", False, "ok"), ("1", False, "limited"), ("1", True, "ok"), ("2", False, "missing"),
        ("2", True, "ok"), ("3", True, "missing"), ("nonsense", False, "ok"),
    ],
)
def test_yama(monkeypatch, tmp_path, mode, capable, state):
    monkeypatch.setattr(probe, "_YAMA", str(tmp_path / "ptrace_scope"))
    monkeypatch.setattr(probe, "effective_capabilities", lambda: 1 << 19 if capable else 0)
    if mode is not None:
        (tmp_path / "ptrace_scope").write_text(f"{mode}\n")
    assert probe.yama().state == state


# The rest.


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (7, ("ok", "ABI 7")), (6, ("ok", "ABI 6")), (5, ("limited", "ABI 5: no scopes")),
        (OSError(errno.EOPNOTSUPP, "x"), ("missing", "not enabled at boot")),
        (OSError(errno.ENOSYS, "Function not implemented"), ("missing", "Function not implemented")),
    ],
)
def test_landlock(monkeypatch, answer, finding):
    def syscall(number, *arguments):
        assert (number, arguments) == (444, (0, 0, 1))
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(libc, "syscall", syscall)
    assert probe.landlock() == finding


def test_libseccomp_is_not_there(monkeypatch):
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: None)
    assert probe.libseccomp().state == "missing"


def test_libseccomp_is_something_else(monkeypatch):
    monkeypatch.setattr(ctypes.util, "find_library", lambda _: "libc.so.6")
    assert "seccomp_version" in probe.libseccomp().found


def test_pyseccomp_is_not_there(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert probe.libseccomp() == ("missing", "the Python package pyseccomp is not installed")


def test_libseccomp_is_too_old(monkeypatch):
    monkeypatch.setattr(probe, "_OLDEST_NOTIFYING_LIBSECCOMP", (99, 0, 0))
    assert probe.libseccomp().state == "missing"
