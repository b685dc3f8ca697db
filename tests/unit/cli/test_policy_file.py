import pytest

from supervisor.cli.policy_file import load_policy, split_policy_argument
from supervisor.errors import UsageError


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("p.toml", ("p.toml", None)),
        ("p.toml:ci", ("p.toml", "ci")),
        ("/a:b/p.toml:ci", ("/a:b/p.toml", "ci")),
        ("/a:b/p.toml", ("/a:b/p.toml", None)),
        ("p.toml:", ("p.toml:", None)),
        (":ci", (":ci", None)),
        ("", ("", None)),
    ],
)
def test_splitting(argument, expected):
    assert split_policy_argument(argument) == expected


def test_an_existing_file_is_not_split(tmp_path):
    path = tmp_path / "p.toml:ci"
    path.write_text("[policy.x]")
    assert split_policy_argument(str(path)) == (str(path), None)
    assert load_policy(str(path)).name == "x"
    assert load_policy(f"{path}:x").name == "x"


def test_errors_in_the_file_are_lines_of_one_usage_error(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text("a = 1\nb = 2\n[policy.x]")
    with pytest.raises(UsageError) as caught:
        load_policy(str(path))
    assert str(caught.value) == f"{path}:1: a: unknown key\n{path}:2: b: unknown key"
