"""What is trapped for which policy, and that every comparison is of 32 bits."""

import errno

import pytest

from supervisor.abi.landlock import (
    LANDLOCK_ACCESS_NET_BIND_TCP,
    LANDLOCK_ACCESS_NET_CONNECT_TCP,
    LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET,
    LANDLOCK_SCOPE_SIGNAL,
)
from supervisor.abi.socket import MSG_FASTOPEN, SO_ZEROCOPY, SOL_SOCKET
from supervisor.policy.engine import ALLOW_ALL
from supervisor.sockets.option import DIVERTING
from supervisor.syscalls.plan import CLONE_FILES, CLONE_THREAD, LOW, PR_SET_DUMPABLE, Condition, FilterRule, plan_for
from supervisor.syscalls.table import ROWS
from tests.unit.syscalls.stage import NOTHING, policy

SENDS = {"sendto", "sendmsg", "sendmmsg"}
POLICIES = {
    "nothing": NOTHING,
    "everything": ALLOW_ALL,
    "socket": policy('default = "allow"\nsocket.deny = ["packet"]'),
    "bind": policy('default = "allow"\nsocket.allow = ["*"]\nbind.deny = ["*:80"]'),
    "connect": policy('default = "allow"\nsocket.allow = ["*"]\nconnect.deny = ["10.0.0.1:*"]'),
    "accept": policy('default = "allow"\nsocket.allow = ["*"]\naccept.deny = ["10.0.0.1:*"]'),
    "send": policy('default = "allow"\nsocket.allow = ["*"]\nsend.deny = ["10.0.0.1:*"]'),
    "dumpable": policy('default = "deny"\nkeep_dumpable = true'),
    "perform": policy('default = "deny"\nunix = "perform"'),
    "errno": policy('default = "deny"\nerrno = "EHOSTUNREACH"'),
}
each_policy = pytest.mark.parametrize("name", POLICIES)
each_mode = pytest.mark.parametrize("mode", ["auto", "full"])


def trapped(plan):
    return {rule.call for rule in plan.rules if rule.errno is None}


def rules_of(plan, call):
    return [rule for rule in plan.rules if rule.call == call]


@each_policy
def test_full_mediation_traps_all_18(name):
    plan = plan_for(POLICIES[name], "full")
    assert trapped(plan) == {row.name for row in ROWS}
    assert all(rule.conditions == () for rule in plan.rules if rule.errno is None)


@pytest.mark.parametrize(("name", "calls"), [
    ("everything", {"connect", "bind"} | SENDS),
    ("nothing", {"connect", "bind", "listen"} | SENDS),
    ("socket", {"connect", "bind", "socket", "socketpair"}),
    ("bind", {"connect", "bind", "listen"}),
    ("connect", {"connect", "bind"} | SENDS),
    ("send", {"connect", "bind"} | SENDS),
    ("accept", {"connect", "bind", "accept", "accept4"}),
    ("dumpable", {"connect", "bind", "listen", "socket", "socketpair"} | SENDS),
])
def test_auto_traps_what_can_be_refused_or_is_recorded(name, calls):
    assert trapped(plan_for(POLICIES[name], "auto")) == calls


@each_policy
def test_what_cannot_be_trapped_is_what_the_policy_cannot_refuse(name):
    rules = POLICIES[name]
    calls = trapped(plan_for(rules, "auto"))
    for action, of in (("socket", {"socket", "socketpair"}), ("bind", {"bind", "listen"}), ("connect", {"connect"}),
                       ("accept", {"accept", "accept4"}), ("send", SENDS), ("connect", SENDS)):
        assert not rules.can_refuse(action) or of <= calls


def test_a_send_that_names_nobody_is_native():
    plan = plan_for(POLICIES["send"], "auto")
    assert [rule.conditions for rule in rules_of(plan, "sendto")] == [
        (Condition(4, "set"),), (Condition(3, "eq", MSG_FASTOPEN, MSG_FASTOPEN),),
    ]


@each_policy
@each_mode
def test_every_comparison_is_of_32_bits(name, mode):
    """But for pointers, which are asked for any of their bits, and the one argument that is unsigned long."""
    for rule in plan_for(POLICIES[name], mode).rules:
        for condition in rule.conditions:
            if condition.test == "set":
                assert (rule.call, condition.arg) == ("sendto", 4)
            elif (rule.call, condition.arg) == ("prctl", 1):
                assert condition.mask == (1 << 64) - 1
            else:
                assert condition.mask <= LOW
            assert condition.value & ~condition.mask == 0
            assert 0 <= condition.arg < 6


@each_policy
@each_mode
def test_doors_that_are_always_shut(name, mode):
    plan = plan_for(POLICIES[name], mode)
    for call in ("io_uring_setup", "io_uring_enter", "io_uring_register"):
        assert rules_of(plan, call) == [FilterRule(call, errno.ENOSYS)]
    (rule,) = rules_of(plan, "seccomp")
    assert rule.errno == errno.EBUSY
    assert [(c.arg, c.mask, c.value) for c in rule.conditions] == [(0, LOW, 1), (1, 8, 8)]


@each_policy
def test_options_are_refused_by_the_filter_or_by_the_handler(name):
    rules = POLICIES[name]
    refused = {
        (rule.conditions[0].value, rule.conditions[1].value): rule.errno
        for rule in rules_of(plan_for(rules, "auto"), "setsockopt")
    }
    if rules.can_refuse("send") or rules.can_refuse("connect"):
        expected = dict.fromkeys(DIVERTING, rules.errno) | {(SOL_SOCKET, SO_ZEROCOPY): errno.EOPNOTSUPP}
        assert refused == expected
    else:
        assert refused == {}
    assert rules_of(plan_for(rules, "full"), "setsockopt") == [FilterRule("setsockopt", None)]


@each_policy
@each_mode
def test_a_guarded_plan_keeps_tables_apart(name, mode):
    rules = POLICIES[name]
    plan = plan_for(rules, mode)
    assert plan.guarded == (name not in ("everything", "socket", "accept", "perform"))
    clones = [*rules_of(plan, "clone"), *rules_of(plan, "clone3")]
    if not plan.guarded:
        assert clones == []
        return
    assert clones == [
        FilterRule("clone", errno.EPERM, (Condition(0, "eq", CLONE_FILES | CLONE_THREAD, CLONE_FILES),)),
        FilterRule("clone3", errno.ENOSYS),
    ]


@each_policy
@each_mode
def test_a_program_is_kept_dumpable_where_that_is_asked_for(name, mode):
    found = rules_of(plan_for(POLICIES[name], mode), "prctl")
    assert bool(found) == (name == "dumpable")
    for rule in found:
        assert rule.errno == 0
        assert [condition.value for condition in rule.conditions] == [PR_SET_DUMPABLE, 0]


@each_policy
def test_a_plan_can_be_a_key(name):
    assert {plan_for(POLICIES[name], "auto"): 1}[plan_for(POLICIES[name], "auto")] == 1


BOTH = LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP
SCOPES = LANDLOCK_SCOPE_SIGNAL | LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET


@pytest.mark.parametrize(("name", "domain"), [
    ("everything", (0, 0)),
    ("nothing", (BOTH, SCOPES)),
    ("socket", (0, LANDLOCK_SCOPE_SIGNAL)),
    ("bind", (LANDLOCK_ACCESS_NET_BIND_TCP, LANDLOCK_SCOPE_SIGNAL)),
    ("connect", (LANDLOCK_ACCESS_NET_CONNECT_TCP, LANDLOCK_SCOPE_SIGNAL)),
    ("accept", (0, LANDLOCK_SCOPE_SIGNAL)),
])
def test_what_the_daemon_does_the_program_gives_up(name, domain):
    assert plan_for(POLICIES[name], "auto").domain == domain
    assert plan_for(POLICIES[name], "full").domain == domain


def test_unix_sockets_that_may_be_continued_are_not_given_up():
    continued = policy('default = "deny"\nconnect.allow = ["unix:*"]\nsend.allow = ["unix:*"]')
    assert plan_for(continued, "auto").domain == (BOTH, LANDLOCK_SCOPE_SIGNAL)


def test_a_policy_without_the_second_line():
    assert plan_for(policy('default = "deny"\nlandlock = false'), "auto").domain == (0, 0)
