import errno
import tomllib

import pytest

from supervisor.policy.rule import parse_rule
from supervisor.policy.schema import DaemonSettings, SchemaErrors, decode, suggest


def wrong(text):
    with pytest.raises(SchemaErrors) as caught:
        decode(tomllib.loads(text))
    return sorted((tuple(error) for error in caught.value.errors), key=str)


def test_an_empty_file_is_a_file():
    assert decode({}) == {}
    assert decode({"policy": {}, "daemon": {}}) == {"policy": {}, "daemon": DaemonSettings()}


def test_values_arrive_as_what_they_mean():
    text = """
    [policy.x]
    extends = "y"
    errno = "EPERM"
    keep_dumpable = true
    socket.deny = ["unix"]
    send.allow = ["1.1.1.1:1", "unix:*"]
    [policy.y]
    extends = ["z"]
    [daemon]
    log_level = "refusals"
    """
    unix = parse_rule("socket", "allow", "", "unix")
    addresses = [parse_rule("connect", "allow", "", spelled) for spelled in ("1.1.1.1:1", "unix:*")]
    assert decode(tomllib.loads(text)) == {
        "policy": {
            "x": {
                "extends": ["y"],
                "errno": errno.EPERM,
                "keep_dumpable": True,
                "socket": {"deny": [unix]},
                "send": {"allow": addresses},
            },
            "y": {"extends": ["z"]},
        },
        "daemon": DaemonSettings(log_level="refusals"),
    }


STRING = "must be a string"
KEY = ("policy", "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("policy = []", (("policy",), [], "must be a table: [policy.NAME]")),
        ("policy.x = 3", (KEY, 3, "must be a table")),
        ("daemon = 3", (("daemon",), 3, "must be a table")),
        ("policy.x.send = []", ((*KEY, "send"), [], "must be a table")),
        ("policy.x.send.deny = 'a'", ((*KEY, "send", "deny"), "a", "must be a list of strings")),
        ("policy.x.send.deny = {}", ((*KEY, "send", "deny"), {}, "must be a list of strings")),
        ("policy.x.send.deny = ['unix:*', 3]", ((*KEY, "send", "deny", 1), 3, STRING)),
        ("policy.x.socket.deny = [true]", ((*KEY, "socket", "deny", 0), True, STRING)),
        ("policy.x.errno = 13", ((*KEY, "errno"), 13, STRING)),
        ("policy.x.keep_dumpable = 'true'", ((*KEY, "keep_dumpable"), "true", "must be true or false")),
        ("policy.x.extends = {}", ((*KEY, "extends"), {}, "must be a name or a list of names")),
        ("policy.x.extends = ['a', 3]", ((*KEY, "extends", 1), 3, STRING)),
        ("policy.x.default = []", ((*KEY, "default"), [], 'must be "allow" or "deny"')),
        ("daemon.log = 1.5", (("daemon", "log"), 1.5, STRING)),
        ("daemon.log_levle = 'all'", (("daemon", "log_levle"), None, 'unknown key, did you mean "log_level"?')),
        ("policy.x.send.alow = []", ((*KEY, "send", "alow"), None, 'unknown key, did you mean "allow"?')),
        ("policy.x.eror = 'E'", ((*KEY, "eror"), None, 'unknown key, did you mean "errno"?')),
    ],
)
def test_nothing_is_converted(text, expected):
    assert wrong(text) == [expected]


def test_an_error_hides_no_other():
    text = """
    a = 1
    daemon.b = 1
    daemon.log = 1
    policy.x.c = 1
    policy.x.unix = 1
    policy.x.send.d = 1
    policy.x.send.deny = [1, "*:*", 2]
    policy.x.send.allow = "e"
    policy.y = 1
    """
    paths = [".".join(map(str, path)) for path, _, _ in wrong(text)]
    assert sorted(paths) == [
        "a", "daemon.b", "daemon.log", "policy.x.c", "policy.x.send.allow", "policy.x.send.d", "policy.x.send.deny.0",
        "policy.x.send.deny.2", "policy.x.unix", "policy.y",
    ]  # fmt: skip


def test_suggestions():
    assert suggest("conect", ["connect", "accept"]) == ', did you mean "connect"?'
    assert suggest("zzz", ["connect", "accept"]) == ""
