import json

import pytest

from supervisor.cli import main

GOOD = '[policy.a]\nconnect.allow = ["1.1.1.1:1"]\n'
BAD = '[policy.a]\nconnect.allow = [\n"1.1.1.1:99999",\n]\ndefalt = "allow"\n'


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        (tmp_path / "p.toml").write_text(text)
        return "p.toml"

    return write


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("", "p.toml: 0 policies, no errors\n"),
        (GOOD, "p.toml: 1 policy, no errors\n"),
        (GOOD + "[policy.b]", "p.toml: 2 policies, no errors\n"),
    ],
)
def test_a_good_file(file, capsys, text, summary):
    assert main(["check", file(text)]) == 0
    assert capsys.readouterr() == (summary, "")


def test_every_error_is_a_line_on_stderr(file, capsys):
    assert main(["check", file(BAD)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.rsplit(": ", 1)[0] for line in err.splitlines()] == [
        'p.toml:3: policy.a.connect.allow[0]: "1.1.1.1:99999"',
        "p.toml:5: policy.a.defalt",
    ]


def test_json(file, capsys):
    assert main(["check", "--json", file(BAD)]) == 2
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out)[1] == {
        "file": "p.toml",
        "line": 5,
        "key": "policy.a.defalt",
        "value": "",
        "expected": 'unknown key, did you mean "default"?',
    }
    assert main(["check", "--json", file(GOOD)]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_file_that_cannot_be_read(tmp_path, capsys, file):
    assert main(["check", "nowhere.toml"]) == 2
    assert capsys.readouterr().err == "supervise: cannot read the policy file nowhere.toml: No such file or directory\n"
    assert main(["check", "."]) == 2
    assert capsys.readouterr().err == "supervise: cannot read the policy file .: Is a directory\n"
    (tmp_path / "p.toml").write_bytes(b"a = \xff")
    assert main(["check", "p.toml"]) == 2
    assert capsys.readouterr().err == "supervise: cannot read the policy file p.toml: byte 4 is not UTF-8\n"
    assert main(["check", "a\0b"]) == 2
    assert "cannot read the policy file" in capsys.readouterr().err
