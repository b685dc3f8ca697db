import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import UsageError
from supervisor.policy.config import ConfigError, ConfigErrors, DaemonSettings, parse_config
from supervisor.policy.operation import ACTIONS, Operation
from supervisor.sockets.address import Inet4, UnixPath

ROOT = Path(__file__).parents[3]


def errors(text):
    with pytest.raises(ConfigErrors) as caught:
        parse_config(text, "c.toml")
    assert str(caught.value).split("\n") == [str(error) for error in caught.value.errors]
    return [str(error) for error in caught.value.errors]


def connect(ip, port):
    return Operation("connect", 2, 1, 6, Inet4(int.from_bytes(map(int, ip.split("."))), port))


def test_an_empty_policy_denies_with_eacces():
    policy = parse_config("[policy.x]", "c.toml").policy()
    assert (policy.name, policy.errno, policy.unix, policy.keep_dumpable) == ("x", errno.EACCES, "continue", False)
    assert policy.decide(connect("127.0.0.1", 1)) == (False, 'policy.x.default "deny"', errno.EACCES)


def test_every_key_arrives():
    config = parse_config(
        """
        [daemon]
        socket = "/run/s"
        group = "g"
        log = "/var/log/l"
        log_level = "refusals"
        default_policy = "x"
        [policy.x]
        default = "allow"
        errno = "EPERM"
        unix = "perform"
        keep_dumpable = true
        connect.deny = ["10.0.0.0/8:*"]
        [policy.y]
        """,
        "c.toml",
    )
    assert config.daemon == DaemonSettings("/run/s", "g", "/var/log/l", "refusals", "x")
    policy = config.policy()
    assert (policy.name, policy.errno, policy.unix, policy.keep_dumpable) == ("x", errno.EPERM, "perform", True)
    assert policy.decide(connect("11.0.0.1", 1)) == (True, 'policy.x.default "allow"', 0)
    assert policy.decide(connect("10.0.0.1", 1)) == (False, 'policy.x.connect.deny[0] "10.0.0.0/8:*"', errno.EPERM)


def test_tables_dotted_keys_and_inline_tables_are_the_same():
    for text in (
        '[policy.x]\nconnect.allow = ["1.1.1.1:1"]',
        '[policy.x.connect]\nallow = ["1.1.1.1:1"]',
        'policy.x.connect = { allow = ["1.1.1.1:1"] }',
        'policy = { x = { connect.allow = ["1.1.1.1:1"] } }',
    ):
        assert parse_config(text, "c.toml").policy("x").decide(connect("1.1.1.1", 1)).allowed


class TestExtends:
    TEXT = """
        [policy.base]
        default = "allow"
        errno = "EPERM"
        connect.deny = ["10.0.0.0/8:*"]
        [policy.other]
        errno = "ENETUNREACH"
        connect.deny = ["11.0.0.0/8:*"]
        [policy.both]
        extends = ["base", "other"]
        connect.deny = ["12.0.0.0/8:*"]
        [policy.own]
        extends = "both"
        default = "deny"
        [policy.diamond]
        extends = ["both", "base"]
    """

    def test_lists_are_joined_and_rules_keep_their_place(self):
        policy = parse_config(self.TEXT, "c.toml").policy("both")
        assert policy.decide(connect("10.0.0.1", 1)).rule == 'policy.base.connect.deny[0] "10.0.0.0/8:*"'
        assert policy.decide(connect("11.0.0.1", 1)).rule == 'policy.other.connect.deny[0] "11.0.0.0/8:*"'
        assert policy.decide(connect("12.0.0.1", 1)).rule == 'policy.both.connect.deny[0] "12.0.0.0/8:*"'
        assert policy.decide(connect("13.0.0.1", 1)).rule == 'policy.base.default "allow"'

    def test_of_scalars_the_last_base_wins_and_the_policy_itself_over_all(self):
        config = parse_config(self.TEXT, "c.toml")
        assert config.policy("both").errno == errno.ENETUNREACH
        assert config.policy("own").errno == errno.ENETUNREACH
        assert config.policy("own").decide(connect("13.0.0.1", 1)).rule == 'policy.own.default "deny"'

    def test_a_base_reached_twice_counts_once(self):
        config = parse_config(self.TEXT, "c.toml")
        explanation = config.policy("diamond").explain(connect("10.0.0.1", 1))
        assert explanation.lost == ()
        assert config.policy("diamond").errno == errno.EPERM

    def test_cycles_are_reported_once(self):
        assert errors('[policy.a]\nextends = "b"\n[policy.b]\nextends = ["c"]\n[policy.c]\nextends = "a"') == [
            "c.toml:2: policy.a.extends: extends itself: a -> b -> c -> a"
        ]
        assert errors('[policy.a]\nextends = "a"') == ["c.toml:2: policy.a.extends: extends itself: a -> a"]

    def test_extending_a_cycle_is_not_being_one(self):
        found = errors('[policy.x]\nextends = "a"\n[policy.a]\nextends = "a"')
        assert found == ["c.toml:4: policy.a.extends: extends itself: a -> a"]

    def test_errors_elsewhere_hide_neither_cycles_nor_unknown_names(self):
        assert errors('[policy.a]\nerrno = 3\nextends = ["a", "b", 4]\n[daemon]\nlog = 3\ndefault_policy = "c"') == [
            "c.toml:2: policy.a.errno: 3: must be a string",
            "c.toml:3: policy.a.extends: extends itself: a -> a",
            'c.toml:3: policy.a.extends[1]: "b": there is no such policy',
            "c.toml:3: policy.a.extends[2]: 4: must be a string",
            "c.toml:5: daemon.log: 3: must be a string",
            'c.toml:6: daemon.default_policy: "c": there is no such policy',
        ]

    def test_unknown_names(self):
        assert errors('[policy.base]\n[policy.a]\nextends = [\n"base",\n"bsae"]') == [
            'c.toml:5: policy.a.extends[1]: "bsae": there is no such policy, did you mean "base"?'
        ]


HOST_BITS = "has bits set past the prefix: the network is 10.0.0.0/8, the one address 10.0.0.1"
NO_NAMES = "host names are not supported yet: use an address"
PORT = 'must be 0 to 65535, a range ("8000-8999"), a list ("80,443") or *'
FAMILY = "must be a family (inet, inet6, unix, netlink, packet, vsock, ...), FAMILY:KIND, or *"


def test_all_errors_are_reported_each_with_its_line():
    text = """\
[policy.ci]
conect.allow = ["1.1.1.1:1"]
default = "ask"
errno = "EACESS"
keep_dumpable = 1
connect.allow = [
  "10.0.0.0/33",
  4, "10.0.0.1/8:3",

  # a comment
  "api.example.com:443",
  "1.1.1.1:70000",
]
bind = { allow = 3, deny = ["x", ["y"]], other = [] }
socket.allow = ["ined"]
accept = "all"
extends = 3
[policy."a b"]
[daemon]
socket = 3
log_level = "x"
default_policy = "cii"
grup = "x"
[polcy.x]
"""
    assert errors(text) == [
        'c.toml:2: policy.ci.conect: unknown key, did you mean "connect"?',
        'c.toml:3: policy.ci.default: "ask": must be "allow" or "deny"',
        'c.toml:4: policy.ci.errno: "EACESS": must be the name of an errno, did you mean "EACCES"?',
        "c.toml:5: policy.ci.keep_dumpable: 1: must be true or false",
        'c.toml:7: policy.ci.connect.allow[0]: "10.0.0.0/33": prefix must be 0 to 32',
        "c.toml:8: policy.ci.connect.allow[1]: 4: must be a string",
        f'c.toml:8: policy.ci.connect.allow[2]: "10.0.0.1/8:3": {HOST_BITS}',
        f'c.toml:11: policy.ci.connect.allow[3]: "api.example.com:443": {NO_NAMES}',
        f'c.toml:12: policy.ci.connect.allow[4]: "1.1.1.1:70000": port "70000" {PORT}',
        "c.toml:14: policy.ci.bind.allow: 3: must be a list of strings",
        f'c.toml:14: policy.ci.bind.deny[0]: "x": {NO_NAMES}',
        "c.toml:14: policy.ci.bind.deny[1]: [...]: must be a string",
        "c.toml:14: policy.ci.bind.other: unknown key",
        f'c.toml:15: policy.ci.socket.allow[0]: "ined": {FAMILY}',
        'c.toml:16: policy.ci.accept: "all": must be a table',
        "c.toml:17: policy.ci.extends: 3: must be a name or a list of names",
        "c.toml:18: policy.\"a b\": a policy's name is made of letters, digits, _ and -",
        "c.toml:20: daemon.socket: 3: must be a string",
        'c.toml:21: daemon.log_level: "x": must be "all" or "refusals"',
        'c.toml:22: daemon.default_policy: "cii": there is no such policy, did you mean "ci"?',
        'c.toml:23: daemon.grup: unknown key, did you mean "group"?',
        'c.toml:24: polcy: unknown key, did you mean "policy"?',
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb = ", "c.toml:2: not TOML: invalid value"),
        ("a = 1\n\nb = [1,\n", "c.toml:3: not TOML: "),
        ("a = 1\na = 2", "c.toml:2: not TOML: cannot overwrite a value"),
        ("[policy.x", "c.toml:1: not TOML: "),
        ("policy = 3", "c.toml:1: policy: 3: must be a table"),
        ("policy.x = 3", "c.toml:1: policy.x: 3: must be a table"),
        ("daemon = []", "c.toml:1: daemon: []: must be a table"),
        ("[[policy]]", "c.toml:1: policy: [...]: must be a table"),
        ("x = " + "[" * 5000 + "]" * 5000, "c.toml:1: nested too deeply"),
    ],
)
def test_texts_that_are_no_policies(text, expected):
    (error,) = errors(text)
    assert error.startswith(expected)


def test_an_error_is_one_line_whatever_the_value_holds():
    assert errors('[policy.x]\ndefault = "a\\nb\\u007f\\\\\\""') == [
        'c.toml:2: policy.x.default: "a\\u000ab\\u007f\\\\\\"": must be "allow" or "deny"'
    ]


def test_an_error_has_its_parts():
    with pytest.raises(ConfigErrors) as caught:
        parse_config('[policy.x]\nunix = "no"', "c.toml")
    assert caught.value.errors == [ConfigError("c.toml", 2, "policy.x.unix", '"no"', 'must be "continue" or "perform"')]


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            ["[policy.x]", "\n", "connect", ".allow", " = ", '["1.1.1.1:1"', ",", "]", "true", '"deny"', "default",
             "extends", '"x"', "[daemon]", "{", "}", "[[policy]]", "'''", "#"]
        ),
        max_size=14,
    ).map("".join)
)
def test_any_text_is_a_config_or_config_errors(text):
    try:
        found = parse_config(text, "c.toml").policies
    except ConfigErrors as caught:
        found = caught.errors
    if isinstance(found, list):
        assert found
        assert all(1 <= error.line <= text.count("\n") + 1 for error in found)


class TestPolicyByName:
    def test_the_only_one(self):
        assert parse_config("[policy.x]", "c.toml").policy().name == "x"

    def test_the_default_one(self):
        assert parse_config("[policy.x]\n[policy.default]", "c.toml").policy().name == "default"

    def test_the_one_that_the_daemon_uses(self):
        text = '[policy.x]\n[policy.default]\n[daemon]\ndefault_policy = "x"'
        assert parse_config(text, "c.toml").policy().name == "x"

    @pytest.mark.parametrize(
        ("text", "name", "message"),
        [
            ("[policy.x]\n[policy.y]", None, "^c.toml has several policies, name one: x, y$"),
            ("", None, "^c.toml has no policies$"),
            ("[policy.x]\n[policy.y]", "z", '^c.toml has no policy "z", it has: x, y$'),
            ("", "z", '^c.toml has no policy "z", it has: none$'),
        ],
    )
    def test_others_are_usage_errors(self, text, name, message):
        with pytest.raises(UsageError, match=message):
            parse_config(text, "c.toml").policy(name)


class TestExample:
    CONFIG = parse_config((ROOT / "config.example.toml").read_text(), "config.example.toml")

    def test_the_demo_reaches_what_it_should_and_nothing_else(self):
        demo = self.CONFIG.policy("demo")
        assert demo.decide(connect("127.0.0.1", 18080)).allowed
        assert demo.decide(Operation("connect", 1, 1, 0, UnixPath(b"/tmp/supervise-demo.sock"))).allowed
        assert not demo.decide(connect("127.0.0.1", 18081)).allowed
        assert not demo.decide(connect("8.8.8.8", 18080)).allowed
        assert not demo.decide(Operation("connect", 1, 1, 0, UnixPath(b"/tmp/other.sock"))).allowed

    def test_it_shows_every_key(self):
        text = (ROOT / "config.example.toml").read_text()
        lists = [f"{action}.allow" for action in ACTIONS] + ["socket.deny", "connect.deny"]
        for key in ("extends", "default", "errno", "unix", "keep_dumpable", *lists, *DaemonSettings._fields):
            assert f"\n{key} = " in text or f"\n# {key} = " in text
