"""The account of flows."""

import io

from supervisor.daemon import account as module
from supervisor.daemon.account import Account, transport
from supervisor.kernel.sockets import SocketKind
from supervisor.policy.verdict import Verdict
from supervisor.sockets.address import Inet4, UnixPath
from supervisor.syscalls.event import Event

TCP = SocketKind(2, 1, 6)


def event(**changes):
    made = Event(
        1700000000.25, 0.0000123, "s", "ci", 10, 11, "/bin/x", "connect", TCP, Inet4(0x7F000001, 80), None,
        Verdict(True, "rule", 0), "performed", 0, "",
    )
    return made._replace(**changes)


def printed(account):
    file = io.StringIO()
    account.print(file)
    return file.getvalue()


def test_equal_flows_are_counted_together():
    account = Account()
    for changes in ({}, {"started": 5.0, "pid": 99, "how": "continued"}, {"errno": 111}):
        account.add(event(**changes))
    assert sorted(account.flows.values()) == [1, 2]


def test_what_was_performed_is_what_counts():
    account = Account()
    account.add(event(performed=Inet4(0x7F000002, 81)))
    (flow,) = account.flows
    assert flow.address == Inet4(0x7F000002, 81)


def test_answers():
    account = Account()
    for how in ("continued", "performed", "refused", "failed"):
        account.add(event(how=how, verdict=None, note="why"))
    assert {(flow.answer, flow.rule) for flow in account.flows} == {
        ("allowed", "why"), ("refused", "why"), ("failed", "why"),
    }


def test_it_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "_BOUND", 2)
    account = Account()
    for port in range(5):
        account.add(event(asked=Inet4(1, port)))
    account.add(event(asked=Inet4(1, 0)))
    assert list(account.flows.values()) == [2, 1, 3]
    assert "more than can be kept" in printed(account)


def test_plain_text():
    account = Account()
    account.add(event())
    account.add(event())
    account.add(event(how="refused", errno=13, verdict=Verdict(False, "no", 13), kind=SocketKind(1, 1, 0),
                      asked=UnixPath(b"/run/some/socket")))
    assert printed(account) == (
        "call     socket       address                answer   errno   times  rule\n"
        "connect  tcp          127.0.0.1:80           allowed          2      rule\n"
        "connect  unix stream  unix:/run/some/socket  refused  EACCES  1      no\n"
    )


def test_nothing():
    assert printed(Account()).splitlines()[-1] == "(nothing was asked for)"


def test_a_terminal():
    file = io.StringIO()
    file.isatty = lambda: True
    account = Account()
    account.add(event(verdict=Verdict(True, "[red]rule[/red]", 0)))
    account.print(file)
    assert "flows" in file.getvalue()
    assert "127.0.0.1:80" in file.getvalue()


def test_what_a_person_calls_a_socket():
    for kind, name in (
        (None, ""), (TCP, "tcp"), (SocketKind(10, 1, 6), "tcp6"), (SocketKind(2, 2, 17), "udp"),
        (SocketKind(2, 1, 0), "tcp"), (SocketKind(2, 3, 1), "icmp"), (SocketKind(2, 1, 262), "mptcp"),
        (SocketKind(1, 5, 0), "unix seqpacket"), (SocketKind(16, 3, 0), "netlink raw"),
        (SocketKind(99, 77, 1), "99 77"),
    ):
        assert transport(kind) == name
