"""The compiled filters, run by an interpreter of BPF: what becomes of every call, and of those made to get around."""

import errno
import os
import platform
import stat
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim import filter as module
from shim.filter import compile_filter
from supervisor.abi.numbers import ARCHITECTURES, COMMON
from supervisor.errors import StartError
from supervisor.policy.config import parse_config
from supervisor.policy.engine import ALLOW_ALL
from supervisor.syscalls.plan import LOW, Condition, FilterRule, Plan, plan_for
from supervisor.syscalls.table import ROWS
from tests.unit.shim.bpf import disassemble, run

if platform.machine() not in ARCHITECTURES:
    pytest.skip(f"{platform.machine()} is not supported", allow_module_level=True)
HERE = ARCHITECTURES[platform.machine()]
FOREIGN = {"i386": 0x40000003, "arm": 0x40000028, "x86_64": 0xC000003E, "aarch64": 0xC00000B7, "none": 0}
NUMBERS = HERE.calls | COMMON
X32 = 0x40000000

KILL_PROCESS, NOTIFY, ALLOW = 0x80000000, 0x7FC00000, 0x7FFF0000
GARBAGE = 0xDEADBEEF << 32
HIGH = 1 << 32

POLICIES = """
[policy.connect]
default = "allow"
connect.deny = ["10.0.0.0/8:*"]

[policy.everything]
default = "deny"
socket.allow = ["inet", "unix"]
connect.allow = ["127.0.0.1:80", "unix:/run/x"]
bind.allow = ["127.0.0.1:*"]
accept.allow = ["127.0.0.1:*"]

[policy.accept]
default = "allow"
accept.deny = ["10.0.0.1:*"]

[policy.send]
default = "allow"
send.deny = ["udp:10.0.0.1:53"]
errno = "ENETUNREACH"

[policy.socket]
default = "allow"
socket.deny = ["netlink", "inet:raw"]

[policy.dumpable]
default = "allow"
keep_dumpable = true

[policy.continued]
default = "allow"
connect.deny = ["10.0.0.1:*"]
unix = "continue"

[policy.performed]
default = "allow"
connect.deny = ["10.0.0.1:*"]
unix = "perform"
"""


def policies():
    config = parse_config(POLICIES, "test.toml")
    return {"nothing": ALLOW_ALL} | {name: config.policy(name) for name in config.policies}


PLANS = {
    (name, mediation): plan_for(policy, mediation)
    for name, policy in policies().items() for mediation in ("auto", "full")
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Every plan, compiled now: nothing comes from the cache of the installation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CACHE", str(tmp_path_factory.mktemp("cache")))
        return {key: compile_filter(plan) for key, plan in PLANS.items()}


each_plan = pytest.mark.parametrize("key", PLANS, ids="-".join)


def refuse(code):
    return 0x00050000 | code


def expected(plan, name, arguments):
    """What the plan says of a call, read from its rules."""
    registers = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    actions = {
        NOTIFY if rule.errno is None else refuse(rule.errno)
        for rule in plan.rules if rule.call == name and all(holds(c, registers[c.arg]) for c in rule.conditions)
    }
    assert len(actions) <= 1, "two rules contradict each other"
    return actions.pop() if actions else ALLOW


def holds(condition, value):
    return value != 0 if condition.test == "set" else value & condition.mask == condition.value


def act(programs, key, name, *arguments):
    return run(programs[key], HERE, NUMBERS[name], arguments)


# Every call of every plan, against the plan.


interesting = st.sampled_from([
    0, 1, 2, 3, 4, 7, 8, 0x400, 0x10000, 0x10400, 0x50F00, 0x20000000, 57, 60, 41, LOW, HIGH, GARBAGE, GARBAGE | 1,
    GARBAGE | 4, GARBAGE | 8, GARBAGE | 0x400, GARBAGE | 0x20000000, (1 << 64) - 1,
]) | st.integers(0, 2**64 - 1)


@given(st.data())
def test_a_filter_does_what_its_plan_says(programs, data):
    key = data.draw(st.sampled_from(list(PLANS)))
    name = data.draw(st.sampled_from(sorted(NUMBERS)))
    arguments = tuple(data.draw(st.lists(interesting, min_size=6, max_size=6)))
    assert act(programs, key, name, *arguments) == expected(PLANS[key], name, arguments)


@each_plan
def test_every_rule_catches_what_it_describes_and_lets_go_what_it_does_not(programs, key):
    plan = PLANS[key]
    for rule in plan.rules:
        action = NOTIFY if rule.errno is None else refuse(rule.errno)
        caught = matching(rule)
        assert act(programs, key, rule.call, *caught) == action
        for condition in rule.conditions:
            if condition.mask <= LOW and condition.test == "eq":
                assert act(programs, key, rule.call, *changed(caught, condition, GARBAGE)) == action
            missed = changed(caught, condition, condition.mask & -condition.mask if condition.test == "eq" else None)
            assert act(programs, key, rule.call, *missed) == expected(plan, rule.call, missed)
            assert not all(holds(each, missed[each.arg]) for each in rule.conditions)


def matching(rule):
    registers = [0] * 6
    for condition in rule.conditions:
        registers[condition.arg] |= condition.value if condition.test == "eq" else HIGH
    return registers


def changed(registers, condition, difference):
    copy = list(registers)
    copy[condition.arg] = 0 if difference is None else copy[condition.arg] ^ difference
    return copy


@each_plan
def test_integers_are_compared_as_the_kernel_cuts_them(key):
    """A rule on all 64 bits of an int is passed by garbage above it. PR_SET_DUMPABLE's argument is a whole long."""
    for rule in PLANS[key].rules:
        for condition in rule.conditions:
            whole = condition.mask > LOW or condition.test == "set"
            assert not whole or (rule.call, condition.arg) in {("sendto", 4), ("prctl", 1)}
            assert condition.value & ~condition.mask == 0


# What holds under every policy.


@each_plan
def test_another_architecture_kills(programs, key):
    for audit in FOREIGN.values():
        if audit != HERE.audit:
            for number in (0, 1, 102, NUMBERS["connect"], 359, 400):
                assert run(programs[key], audit, number) == KILL_PROCESS


@pytest.mark.skipif(HERE.machine != "x86_64", reason="x32 is of x86-64")
@each_plan
def test_x32_kills(programs, key):
    for number in (0, NUMBERS["connect"], NUMBERS["io_uring_enter"], 512, 520, 547, 0x3FFFFFFF):
        assert run(programs[key], HERE, X32 | number) == KILL_PROCESS
    # -1 is what a tracer leaves to skip a call, and ENOSYS otherwise.
    assert run(programs[key], HERE, LOW) in (ALLOW, KILL_PROCESS)


@each_plan
def test_rings_are_not_there(programs, key):
    for name in ("io_uring_setup", "io_uring_enter", "io_uring_register"):
        for arguments in ((), (1, 2, 3, 4, 5, 6), (GARBAGE,)):
            assert act(programs, key, name, *arguments) == refuse(errno.ENOSYS)


@each_plan
@pytest.mark.parametrize(
    ("operation", "flags", "action"),
    [
        (1, 8, refuse(errno.EBUSY)),
        (1, 8 | 16 | 32, refuse(errno.EBUSY)),
        (1 | GARBAGE, 8 | GARBAGE, refuse(errno.EBUSY)),
        (1 | HIGH, LOW, refuse(errno.EBUSY)),
        (1, 0, ALLOW),
        (1, GARBAGE, ALLOW),
        (1, 1 | 2 | 4, ALLOW),
        (0, 8, ALLOW),
        (2, 8, ALLOW),
    ],
)
def test_the_program_gets_no_listener_of_its_own(programs, key, operation, flags, action):
    assert act(programs, key, "seccomp", operation, flags, 0x7FFF0000) == action


@each_plan
def test_calls_without_a_rule_are_left_alone(programs, key):
    named = {NUMBERS[rule.call] for rule in PLANS[key].rules}
    for number in set(range(500)) - named:
        assert run(programs[key], HERE, number, (GARBAGE | 1, LOW, 8, 0x20000000, 5)) == ALLOW


# What differs.


@pytest.mark.parametrize("name", policies())
def test_full_mediation_traps_all_18_whatever_the_arguments(programs, name):
    for row in ROWS:
        for arguments in ((), (LOW,) * 6, (GARBAGE,) * 6):
            assert act(programs, (name, "full"), row.name, *arguments) == NOTIFY


CLONE_FILES, CLONE_THREAD, CLONE_VM, SIGCHLD = 0x400, 0x10000, 0x100, 17


@each_plan
def test_the_clone_guard(programs, key):
    guarded = PLANS[key].guarded
    refused, enosys = (refuse(errno.EPERM), refuse(errno.ENOSYS)) if guarded else (ALLOW, ALLOW)
    for flags in (CLONE_FILES, CLONE_FILES | SIGCHLD, CLONE_FILES | CLONE_VM | SIGCHLD, 0xFFFEFFFF):
        assert act(programs, key, "clone", flags) == refused
        assert act(programs, key, "clone", flags | GARBAGE) == refused
    # Threads, forks and vforks go on.
    for flags in (SIGCHLD, CLONE_FILES | CLONE_THREAD | CLONE_VM | 0x800, CLONE_VM | 0x4000 | SIGCHLD, CLONE_THREAD):
        assert act(programs, key, "clone", flags) == ALLOW
        assert act(programs, key, "clone", flags | GARBAGE) == ALLOW
    assert act(programs, key, "clone3", 0x7F0000000000, 88) == enosys


def test_who_is_guarded():
    assert PLANS["continued", "auto"].guarded
    assert not PLANS["performed", "auto"].guarded
    assert not PLANS["nothing", "auto"].guarded


@pytest.mark.parametrize("name", ["connect", "everything", "send", "nothing"])
def test_a_connected_send_is_native_and_an_addressed_one_is_not(programs, name):
    key = name, "auto"
    assert act(programs, key, "sendto", 3, 0x1000, 10, 0, 0, 0) == ALLOW
    assert act(programs, key, "sendto", 3, 0x1000, 10, GARBAGE, 0, 16) == ALLOW
    assert act(programs, key, "sendto", 3, 0x1000, 10, 0x20000000, 0, 0) == NOTIFY
    assert act(programs, key, "sendto", 3, 0x1000, 10, GARBAGE | 0x20004000, 0, 0) == NOTIFY
    for pointer in (1, HIGH, 0x7FFF12345678, 1 << 63):
        assert act(programs, key, "sendto", 3, 0x1000, 10, 0, pointer, 16) == NOTIFY
    assert act(programs, key, "sendmsg", 3, 0x1000, 0) == NOTIFY
    assert act(programs, key, "sendmmsg", 3, 0x1000, 1, 0) == NOTIFY


@pytest.mark.parametrize(
    ("name", "trapped"),
    [
        ("nothing", {"connect", "bind", "sendmsg", "sendmmsg"}),
        ("connect", {"connect", "bind", "sendmsg", "sendmmsg", "socket", "socketpair"}),
        ("accept", {"connect", "bind", "accept", "accept4", "socket", "socketpair"}),
        ("socket", {"connect", "bind", "socket", "socketpair"}),
    ],
)
def test_auto_traps_no_more_than_it_needs(programs, name, trapped):
    found = {row.name for row in ROWS if act(programs, (name, "auto"), row.name) == NOTIFY}
    assert found <= trapped | {"listen"}
    assert {"connect", "bind"} <= found


@pytest.mark.parametrize("name", ["connect", "send"])
@pytest.mark.parametrize(("level", "option"), [(0, 4), (0, 7), (41, 57), (41, 5), (41, 6)])
def test_options_that_divert_packets_are_refused(programs, name, level, option):
    code = refuse({"connect": errno.EACCES, "send": errno.ENETUNREACH}[name])
    key = name, "auto"
    assert act(programs, key, "setsockopt", 3, level, option, 0x1000, 4) == code
    assert act(programs, key, "setsockopt", 3, level | GARBAGE, option | HIGH, 0x1000, 4) == code
    assert act(programs, key, "setsockopt", 3, level + 1, option, 0x1000, 4) == ALLOW
    assert act(programs, key, "setsockopt", 3, 1, 60, 0x1000, 4) == refuse(errno.EOPNOTSUPP)
    assert act(programs, key, "setsockopt", 3, 1, 2, 0x1000, 4) == ALLOW
    assert act(programs, ("nothing", "auto"), "setsockopt", 3, level, option, 0x1000, 4) == ALLOW


def test_a_program_is_kept_dumpable(programs):
    key = "dumpable", "auto"
    assert act(programs, key, "prctl", 4, 0) == refuse(0)
    assert act(programs, key, "prctl", 4 | GARBAGE, 0) == refuse(0)
    # The kernel takes all of the second argument, and says EINVAL to these itself.
    assert act(programs, key, "prctl", 4, HIGH) == ALLOW
    assert act(programs, key, "prctl", 4, 1) == ALLOW
    assert act(programs, key, "prctl", 3, 0) == ALLOW
    assert act(programs, ("nothing", "auto"), "prctl", 4, 0) == ALLOW


@each_plan
def test_the_kernel_takes_it(programs, key):
    instructions = disassemble(programs[key])
    assert len(programs[key]) == 8 * len(instructions)
    assert len(instructions) < 200
    for at, (code, jt, jf, k) in enumerate(instructions):
        assert at + 1 + (k if code == 0x05 else max(jt, jf) if code & 7 == 5 else 0) <= len(instructions)


# The cache.


@pytest.fixture
def cache(tmp_path, monkeypatch):
    directory = tmp_path / "cache"
    monkeypatch.setattr(module, "_CACHE", str(directory))
    return directory


@pytest.fixture
def no_libseccomp(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyseccomp", None)


SMALL = Plan((FilterRule("connect", None),), guarded=False)


def test_compiled_once(cache, monkeypatch):
    program = compile_filter(SMALL)
    (file,) = cache.iterdir()
    assert file.read_bytes() == program
    monkeypatch.setattr(module, "_build", lambda _: pytest.fail("it was compiled again"))
    assert compile_filter(SMALL) == program


def test_compiling_twice_gives_the_same(cache):
    program = compile_filter(SMALL)
    for file in cache.iterdir():
        file.unlink()
    assert compile_filter(SMALL) == program


@pytest.mark.parametrize(
    "other",
    [
        Plan((FilterRule("connect", errno.EPERM),), guarded=False),
        Plan((FilterRule("connect", None, (Condition(1, "set"),)),), guarded=False),
        Plan((FilterRule("connect", None), FilterRule("bind", None)), guarded=False),
    ],
)
def test_another_plan_is_another_file(cache, other):
    compile_filter(SMALL)
    compile_filter(other)
    assert len(list(cache.iterdir())) == 2


def test_another_machine_is_another_file(cache, monkeypatch):
    before = module._digest(SMALL)
    monkeypatch.setattr(platform, "machine", lambda: "another")
    assert module._digest(SMALL) != before


def test_what_is_kept_needs_no_libseccomp(cache, no_libseccomp):
    with pytest.raises(StartError, match="libseccomp2"):
        compile_filter(SMALL)
    assert not cache.exists()
    cache.mkdir()
    (cache / f"filter-{module._digest(SMALL)}.bpf").write_bytes(b"kept")
    assert compile_filter(SMALL) == b"kept"


def test_an_installation_that_nobody_may_write_to(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(module, "_CACHE", str(tmp_path / "file" / "cache"))
    assert run(compile_filter(SMALL), HERE, NUMBERS["connect"]) == NOTIFY


def test_what_one_user_keeps_all_can_read(cache):
    compile_filter(SMALL)
    (file,) = cache.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) & 0o444 == 0o444


def test_nothing_half_written_is_left(cache, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    compile_filter(SMALL)
    assert list(cache.iterdir()) == []
