"""The log."""

import io
import json
import threading

import pytest

from supervisor.daemon import audit
from supervisor.daemon.audit import Log, check_log, fields, open_log
from supervisor.errors import StartError
from supervisor.policy.verdict import Verdict
from supervisor.sockets.address import Inet4, UnixPath
from tests.unit.daemon.test_account import event


def lines_of(file):
    return [json.loads(line) for line in file.getvalue().splitlines()]


def written(level, *events, style="json"):
    file = io.StringIO()
    log = Log(file, level, style=style)
    for each in events:
        log.write(each)
    log.close()
    return file


def test_the_fields_of_an_event():
    (line,) = lines_of(written("all", event(performed=Inet4(0x7F000002, 81), errno=111, note="late")))
    assert line.pop("logged").endswith("Z")
    assert line == {
        "event": "performed", "time": 1700000000.25, "session": "s", "policy": "ci", "pid": 10, "tid": 11,
        "exe": "/bin/x", "call": "connect", "family": "inet", "type": "stream", "protocol": "tcp",
        "address": "127.0.0.1:80", "performed": "127.0.0.2:81", "verdict": "allow", "rule": "rule",
        "errno": "ECONNREFUSED", "note": "late", "duration_us": 12.3,
    }


def test_what_is_not_known_is_left_out():
    keys = set(fields(event(kind=None, asked=None, verdict=None)))
    assert keys == {"time", "session", "policy", "pid", "tid", "exe", "call", "duration_us"}


def test_an_errno_without_a_name():
    assert fields(event(errno=5000))["errno"] == 5000


def test_refusals_alone():
    events = [event(how=how) for how in ("continued", "performed", "refused", "failed")]
    assert [line["event"] for line in lines_of(written("refusals", *events))] == ["refused", "failed"]
    assert len(lines_of(written("all", *events))) == 4


@pytest.mark.parametrize(("level", "wants"), [("all", True), ("refusals", False)])
def test_which_events_are_asked_for(level, wants):
    log = Log(io.StringIO(), level)
    assert log.wants_allowed is wants
    log.close()


def test_a_name_that_pretends_to_be_lines():
    odd = event(asked=UnixPath(b'/a\n{"event": "x"}\x1b[2J\xff'))
    assert len(lines_of(written("all", odd))) == 1


def test_short_lines():
    refused = event(how="refused", errno=13, verdict=Verdict(False, "policy.ci.default", 13))
    failed = event(how="failed", asked=None, note="memory", errno=13)
    assert written("refusals", refused, failed, style="short").getvalue() == (
        "supervise: refused connect 127.0.0.1:80 (EACCES): policy.ci.default\n"
        "supervise: failed connect inet stream tcp (EACCES): memory\n"
    )


class Gate(io.StringIO):
    """A file whose writes wait until it is opened."""

    def __init__(self):
        super().__init__()
        self.entered, self.opened = threading.Event(), threading.Event()

    def write(self, text):
        self.entered.set()
        self.opened.wait(5)
        return super().write(text)


def test_writing_never_waits_and_what_is_lost_is_counted(monkeypatch):
    monkeypatch.setattr(audit, "_BOUND", 2)
    file = Gate()
    log = Log(file, "all")
    log.write(event(pid=0))
    assert file.entered.wait(5)
    for pid in range(1, 6):
        log.write(event(pid=pid))
    file.opened.set()
    log.close()
    lines = lines_of(file)
    assert [line["pid"] for line in lines if "pid" in line] == [0, 1, 2]
    assert [line["count"] for line in lines if line["event"] == "events dropped"] == [3]


class Full(io.StringIO):
    """A disk that is full for a while."""

    full = True

    def write(self, text):
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def fill_and_empty(count):
    file = Full()
    log = Log(file, "all")
    for pid in range(count):
        log.write(event(pid=pid))
    log.flush()
    file.full = False
    log.write(event(pid=99))
    log.close()
    return lines_of(file)


def test_a_full_disk_does_not_end_the_log():
    lines = fill_and_empty(1)
    assert lines[0]["event"] == "events dropped"
    assert (lines[0]["count"], lines[1]["pid"]) == (1, 99)


def test_everything_that_a_full_disk_lost_is_counted():
    assert fill_and_empty(5)[0]["count"] == 5


def test_flushing_and_closing(tmp_path):
    log = open_log(str(tmp_path / "log"), "all")
    log.write(event())
    log.flush()
    assert len((tmp_path / "log").read_text().splitlines()) == 1
    log.write(event())
    log.close()
    assert len((tmp_path / "log").read_text().splitlines()) == 2
    log._file.close()


def test_logs_are_appended_to(tmp_path):
    (tmp_path / "log").write_text("before\n")
    log = open_log(str(tmp_path / "log"), "all")
    log.write(event())
    log.close()
    log._file.close()
    assert (tmp_path / "log").read_text().startswith("before\n{")


def test_a_flush_gives_up(monkeypatch):
    """Nobody reads the pipe that the log goes to."""
    file = Gate()
    log = Log(file, "all")
    log.write(event())
    assert file.entered.wait(5)
    monkeypatch.setattr(threading.Event, "wait", lambda _self, timeout=None: timeout is not None)
    log.flush()
    monkeypatch.undo()
    file.opened.set()
    log.close()


def test_where_logs_go(capsys):
    for path, says in ((None, "supervise: refused"), ("-", '"event"')):
        log = open_log(path, "refusals")
        log.write(event(how="refused"))
        log.close()
        assert says in capsys.readouterr().err


def test_a_log_that_cannot_be_written(tmp_path):
    check_log(None)
    check_log("-")
    check_log(str(tmp_path / "new"))
    with pytest.raises(StartError, match=r"--log .*: Is a directory"):
        check_log(str(tmp_path))
