import json
import sys

import pytest

from supervisor.cli import doctor, main
from supervisor.cli.doctor import REQUIREMENTS, kernel_version
from supervisor.kernel import libc

NEEDED = [requirement.key for requirement in REQUIREMENTS if requirement.needed]
FINE = {requirement.key: ("ok", f"found {requirement.key}") for requirement in REQUIREMENTS}


@pytest.fixture
def machine(monkeypatch):
    """A machine that has everything but what a test takes from it."""
    found = dict(FINE)
    monkeypatch.setattr(doctor, "examine", lambda: found)
    return found


def test_what_nothing_can_do_without():
    assert set(NEEDED) == {"architecture", "notification", "no-other-listener", "libseccomp", "ptrace"}


@pytest.mark.parametrize("key", FINE)
@pytest.mark.parametrize("state", ["limited", "missing"])
def test_exit_status(machine, capsys, key, state):
    machine[key] = (state, "taken")
    unable = state == "missing" and key in NEEDED
    assert main(["doctor"]) == int(unable)
    assert main(["doctor", "--json"]) == int(unable)
    capsys.readouterr()


def test_one_line_a_requirement(machine, capsys):
    machine["landlock"] = ("limited", "ABI 3")
    machine["ptrace"] = ("missing", "not even children")
    assert main(["doctor"]) == 1
    out, err = capsys.readouterr()
    *lines, verdict = out.splitlines()
    assert err == ""
    assert len(lines) == len(REQUIREMENTS)
    assert verdict == "nothing can be supervised here: looking into programs"
    for line, requirement in zip(lines, REQUIREMENTS, strict=True):
        state, found = machine[requirement.key]
        text = f"{state:<8} {requirement.title}: {found}"
        lost = "" if state == "ok" else f"; lost: {requirement.lost}; to get it: {requirement.remedy}"
        assert line == text + lost


def test_all_is_well(machine, capsys):
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "programs can be supervised here"


def test_json(machine, capsys):
    machine["io_uring"] = ("missing", "refused")
    assert main(["doctor", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["able"] is True
    by_key = {line["requirement"]: line for line in answer["requirements"]}
    assert by_key.keys() == FINE.keys()
    assert by_key["landlock"] == {
        "requirement": "landlock", "title": "Landlock", "needed": False, "state": "ok", "found": "found landlock",
        "lost": None, "remedy": None,
    }
    assert by_key["io_uring"]["state"] == "missing"
    assert "thread" in by_key["io_uring"]["lost"]
    assert "io_uring_disabled" in by_key["io_uring"]["remedy"]


def test_on_a_terminal(machine, capsys, monkeypatch):
    machine["notification"] = ("missing", "[red]as it is[/red]")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "[red]as it is[/red]" in out
    assert "to get it: Linux 5.9" in out
    for requirement in REQUIREMENTS:
        assert requirement.title in out


def test_this_machine(capsys):
    status = main(["doctor", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["able"] is (status == 0)
    assert [line["requirement"] for line in answer["requirements"]] == list(FINE)


@pytest.mark.parametrize("part", ["machine", "bits"])
def test_a_machine_that_is_not_supported(capsys, monkeypatch, part):
    if part == "machine":
        monkeypatch.setattr(libc, "ARCHITECTURE", None)
    else:
        monkeypatch.setattr(doctor.struct, "calcsize", lambda _: 4)
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].split(None, 1) for line in lines] == [
        ["missing", "architecture"], [kernel_version(doctor.platform.release())[0], "kernel version"],
        ["nothing", "can be supervised here"],
    ]


@pytest.mark.parametrize(
    ("release", "state"),
    [
        ("6.18.44-custom", "ok"), ("6.10", "ok"), ("7.0.1", "ok"), ("6.9.12", "limited"), ("5.9.0-rc1+", "limited"),
        ("5.8.18", "missing"), ("4.19", "missing"), ("", "missing"), ("unknown", "missing"),
    ],
)
def test_kernel_versions(release, state):
    assert kernel_version(release) == (state, release)
