import json
import os

import pytest

from supervisor.cli import main
from supervisor.cli.explain import parse_operation
from supervisor.errors import UsageError
from supervisor.policy.operation import Operation
from supervisor.sockets.address import Inet4, Inet6, UnixAbstract, UnixPath, UnixUnnamed

TEXT = """
[policy.a]
connect.allow = ["127.0.0.1:80", "udp:127.0.0.1:53", "*:443"]
connect.deny = ["10.0.0.0/8:*"]
errno = "EPERM"
[policy.b]
default = "allow"
"""


UNIX_FORMS = 'must be an absolute path ("unix:/path") or an abstract name ("unix:@name")'


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.toml").write_text(TEXT)


@pytest.mark.usefixtures("file")
class TestAnswers:
    def test_allowed(self, capsys):
        assert main(["explain", "p.toml:a", "connect", "0.0.0.0:80"]) == 0
        assert capsys.readouterr().out.splitlines() == [
            "connect 0.0.0.0:80: allowed",
            '  by    policy.a.connect.allow[0] "127.0.0.1:80"',
            "  compared as 127.0.0.1:80",
        ]

    def test_refused_and_who_lost(self, capsys):
        assert main(["explain", "p.toml:a", "connect", "10.0.0.1:443"]) == 1
        assert capsys.readouterr().out.splitlines() == [
            "connect 10.0.0.1:443: refused with EPERM",
            '  by    policy.a.connect.deny[0] "10.0.0.0/8:*"',
            '  over  policy.a.connect.allow[2] "*:443"',
        ]

    def test_protocol(self):
        assert main(["explain", "p.toml:a", "connect", "127.0.0.1:53"]) == 1
        assert main(["explain", "p.toml:a", "connect", "127.0.0.1:53", "--udp"]) == 0
        assert main(["explain", "p.toml:a", "sendto", "127.0.0.1:53"]) == 0
        assert main(["explain", "p.toml:a", "send", "127.0.0.1:53", "--tcp"]) == 1

    def test_sockets(self):
        assert main(["explain", "p.toml:a", "socket", "inet"]) == 0
        assert main(["explain", "p.toml:a", "socket", "inet:raw"]) == 1
        assert main(["explain", "p.toml:b", "socket", "inet:raw"]) == 0

    def test_json(self, capsys):
        assert main(["explain", "--json", "p.toml:a", "connect", "10.0.0.1:443"]) == 1
        assert json.loads(capsys.readouterr().out) == {
            "action": "connect",
            "address": "10.0.0.1:443",
            "compared": "10.0.0.1:443",
            "allowed": False,
            "errno": "EPERM",
            "rule": 'policy.a.connect.deny[0] "10.0.0.0/8:*"',
            "lost": ['policy.a.connect.allow[2] "*:443"'],
        }
        assert main(["explain", "--json", "p.toml:a", "socket", "unix"]) == 0
        assert json.loads(capsys.readouterr().out)["address"] is None

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["p.toml", "connect", "1.1.1.1:1"], "p.toml has several policies, name one: a, b"),
            (["p.toml:c", "connect", "1.1.1.1:1"], 'p.toml has no policy "c", it has: a, b'),
            (["p.toml:a", "connect", "10.0.0.0/8:1"], "10.0.0.0/8:1: explain takes one address and one port"),
            (["p.toml:a", "connect", "*:1"], "*:1: explain takes one address and one port"),
            (["p.toml:a", "connect", "1.1.1.1:1,3"], "1.1.1.1:1,3: explain takes one address and one port"),
            (["p.toml:a", "connect", "unix:x"], f"unix:x: {UNIX_FORMS}"),
            (["p.toml:a", "connect", "tcp:1.1.1.1:1", "--udp"], "tcp:1.1.1.1:1 and --udp contradict each other"),
            (["p.toml:a", "socket", "*"], "*: explain takes one kind of socket"),
            (["p.toml:a", "socket", "inet:*"], "inet:*: explain takes one kind of socket"),
            (["p.toml:a", "socket", "unix", "--udp"], "unix: --udp is for plain inet and inet6"),
        ],
    )
    def test_usage_errors(self, capsys, arguments, message):
        assert main(["explain", *arguments]) == 2
        assert capsys.readouterr().err == f"supervise: {message}\n"


@pytest.mark.parametrize(
    ("text", "operation"),
    [
        ("1.1.1.1:80", Operation("connect", 2, 1, 0, Inet4(0x01010101, 80))),
        ("udp:1.1.1.1:80", Operation("connect", 2, 2, 0, Inet4(0x01010101, 80))),
        ("[::1]:80", Operation("connect", 10, 1, 0, Inet6(1, 80))),
        ("[fe80::1%2]:80", Operation("connect", 10, 1, 0, Inet6(0xFE80 << 112 | 1, 80, 2))),
        ("/run/x", Operation("connect", 1, 1, 0, UnixPath(b"/run/x"))),
        ("unix:/run/x", Operation("connect", 1, 1, 0, UnixPath(b"/run/x"))),
        (os.fsdecode(b"/run/\xff*"), Operation("connect", 1, 1, 0, UnixPath(b"/run/\xff*"))),
        ("@agent", Operation("connect", 1, 1, 0, UnixAbstract(b"agent"))),
        (r"unix:@a\0b", Operation("connect", 1, 1, 0, UnixAbstract(b"a\0b"))),
        ("unix:", Operation("connect", 1, 1, 0, UnixUnnamed())),
    ],
)
def test_addresses(text, operation):
    parsed = parse_operation("connect", text, None)
    assert parsed == operation
    assert type(parsed.address) is type(operation.address)


def test_a_name_is_no_address():
    with pytest.raises(UsageError, match="host names are not supported yet"):
        parse_operation("connect", "localhost:80", None)
    with pytest.raises(UsageError, match="must be a family"):
        parse_operation("socket", "localhost", None)


def test_mapped_addresses_keep_their_socket():
    # The endpoint of a rule is already IPv4 then; a program gets there with either kind of socket.
    assert parse_operation("connect", "[::ffff:1.1.1.1]:80", None).address == Inet4(0x01010101, 80)
