"""What a session's filter traps and refuses: compiled from the policy, as data. `shim.filter` turns it into BPF.

Every comparison of an integer argument is MASKED_EQ under 0xffffffff or less: libseccomp compares 64 bits where the
kernel takes 32, and `socket(0x100000011)` would pass a rule that refuses `socket(17)`. Pointers are compared whole.
"""

import errno
from typing import Final, Literal, NamedTuple

from supervisor.abi.landlock import (
    LANDLOCK_ACCESS_NET_BIND_TCP,
    LANDLOCK_ACCESS_NET_CONNECT_TCP,
    LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET,
    LANDLOCK_SCOPE_SIGNAL,
)
from supervisor.abi.numbers import SOCKET_CALLS
from supervisor.abi.seccomp import SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_SET_MODE_FILTER
from supervisor.abi.socket import AF_UNIX, MSG_FASTOPEN, SO_ZEROCOPY, SOL_SOCKET
from supervisor.policy.engine import Policy
from supervisor.policy.operation import ACTIONS
from supervisor.sockets.option import DIVERTING

Mediation = Literal["auto", "full"]

CLONE_FILES: Final = 0x400
CLONE_THREAD: Final = 0x10000
PR_SET_DUMPABLE: Final = 4
LOW: Final = 0xFFFFFFFF


class Condition(NamedTuple):
    """Argument number `arg`, under `mask`, equals `value` ("eq") or is not 0 in any of its 64 bits ("set")."""

    arg: int
    test: Literal["eq", "set"]
    mask: int = LOW
    value: int = 0


class FilterRule(NamedTuple):
    """`call` is trapped (`errno` None) or fails with `errno` (0: succeeds without being made) where all conditions
    hold."""

    call: str
    errno: int | None
    conditions: tuple[Condition, ...] = ()


class Plan(NamedTuple):
    """The rules of a filter. Whatever no rule names is allowed; another architecture's calls kill the process.

    `guarded`: a process cannot share its descriptor table with another process. `domain` is what the launcher gives up
    by Landlock: masks of TCP rights and of scopes.
    """

    rules: tuple[FilterRule, ...]
    guarded: bool
    domain: tuple[int, int] = (0, 0)


def _low(arg: int, value: int) -> Condition:
    return Condition(arg, "eq", LOW, value)


def plan_for(policy: Policy, mediation: Mediation) -> Plan:
    """What to trap for this policy: all 18 in full mediation, in auto only what it can refuse or has to record."""
    guarded = policy.unix == "continue" and any(policy.can_refuse(action) for action in ("bind", "connect", "send"))
    trapped = [FilterRule(name, None) for name in SOCKET_CALLS] if mediation == "full" else _needed(policy)
    rules = (*_always(), *trapped, *_options(policy, mediation), *_processes(policy, guarded=guarded))
    return Plan(rules, guarded, _domain(policy))


def _domain(policy: Policy) -> tuple[int, int]:
    """The second line: what the program never does itself under this policy, the kernel need not let it do.

    Where a TCP connect or bind can be refused, the daemon makes it; so every one of the program's own is a way around.
    Unix sockets only where none of their connects and sends is ever left to the program.
    """
    refusing = any(policy.can_refuse(action) for action in ACTIONS)
    if not (policy.landlock and refusing):
        return 0, 0
    net = LANDLOCK_ACCESS_NET_BIND_TCP if policy.can_refuse("bind") else 0
    net |= LANDLOCK_ACCESS_NET_CONNECT_TCP if policy.can_refuse("connect") else 0
    judged = all(policy.can_refuse(action, AF_UNIX) for action in ("connect", "send"))
    return net, LANDLOCK_SCOPE_SIGNAL | (LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET if judged else 0)


def _always() -> list[FilterRule]:
    """What would carry packets past every rule, or let the program answer its own notifications."""
    return [
        FilterRule("io_uring_setup", errno.ENOSYS),
        FilterRule("io_uring_enter", errno.ENOSYS),
        FilterRule("io_uring_register", errno.ENOSYS),
        # What the kernel itself says beside a living listener; beside a dead one it would let the program make one.
        FilterRule("seccomp", errno.EBUSY, (
            _low(0, SECCOMP_SET_MODE_FILTER),
            Condition(1, "eq", SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_NEW_LISTENER),
        )),
    ]


def _needed(policy: Policy) -> list[FilterRule]:
    restricts = {action: policy.can_refuse(action) for action in ("socket", "bind", "connect", "accept", "send")}
    records = not any(restricts.values())
    rules = [FilterRule("connect", None), FilterRule("bind", None)]
    if restricts["socket"]:
        rules += [FilterRule("socket", None), FilterRule("socketpair", None)]
    if restricts["bind"]:
        rules.append(FilterRule("listen", None))
    if restricts["accept"]:
        rules += [FilterRule("accept", None), FilterRule("accept4", None)]
    if restricts["send"] or restricts["connect"] or records:
        # A connected send names nobody and runs natively.
        rules += [
            FilterRule("sendto", None, (Condition(4, "set"),)),
            FilterRule("sendto", None, (Condition(3, "eq", MSG_FASTOPEN, MSG_FASTOPEN),)),
            FilterRule("sendmsg", None),
            FilterRule("sendmmsg", None),
        ]
    return rules


def _options(policy: Policy, mediation: Mediation) -> list[FilterRule]:
    if mediation == "full":
        return []  # the handler of setsockopt refuses the same
    if not (policy.can_refuse("send") or policy.can_refuse("connect")):
        return []
    rules = [
        FilterRule("setsockopt", policy.errno, (_low(1, level), _low(2, name))) for level, name in sorted(DIVERTING)
    ]
    rules.append(FilterRule("setsockopt", errno.EOPNOTSUPP, (_low(1, SOL_SOCKET), _low(2, SO_ZEROCOPY))))
    return rules


def _processes(policy: Policy, *, guarded: bool) -> list[FilterRule]:
    rules = []
    if guarded:
        rules += [
            FilterRule("clone", errno.EPERM, (Condition(0, "eq", CLONE_FILES | CLONE_THREAD, CLONE_FILES),)),
            # Its flags are behind a pointer. libc falls back to clone(2).
            FilterRule("clone3", errno.ENOSYS),
        ]
    if policy.keep_dumpable:
        rules.append(FilterRule("prctl", 0, (_low(0, PR_SET_DUMPABLE), Condition(1, "eq", 0xFFFFFFFFFFFFFFFF, 0))))
    return rules
