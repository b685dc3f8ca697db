"""Children in which something is tried: bounded, and gone afterwards."""

import errno
import os
import signal
import time

from supervisor.kernel import trial
from supervisor.kernel.trial import Finding, in_child, missing, ok, read_all, readable
from tests.unit.kernel.puppet import Puppet, until

NAMES = ("one", "two")


def try_it(body, limit=5.0):
    return in_child(body, NAMES, limit)


def test_what_was_found():
    assert try_it(lambda: {"one": ok("1"), "two": missing("2")}) == {
        "one": Finding("ok", "1"), "two": Finding("missing", "2"),
    }


def test_it_happens_in_another_process():
    here = []
    found = try_it(lambda: here.append(1) or {"one": ok(str(os.getpid())), "two": ok(str(os.getppid()))})
    assert here == []
    assert found["one"].found != str(os.getpid()) == found["two"].found


def test_what_it_does_not_say_is_missing():
    assert try_it(lambda: {"one": ok("")})["two"] == missing("the probe was killed")


def test_a_failure_is_told():
    def fail():
        raise OSError(errno.EMFILE, "Too many")

    assert try_it(fail) == dict.fromkeys(NAMES, missing("the probe failed: OSError: [Errno 24] Too many"))


def test_a_child_that_is_killed():
    assert try_it(lambda: os.kill(os.getpid(), signal.SIGKILL)) == dict.fromkeys(NAMES, missing("the probe was killed"))


def test_a_child_that_is_late_is_ended_with_all_that_it_started():
    reader, writer = os.pipe()
    started = time.monotonic()

    def hang():
        os.fork()
        os.write(writer, b"!")
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            signal.pause()

    assert try_it(hang, 0.2) == dict.fromkeys(NAMES, missing("the probe did not end within 0.2 s"))
    assert time.monotonic() - started < 2
    os.close(writer)
    # The end of the pipe: nobody is left who could write.
    assert read_all(reader, time.monotonic() + 5) == b"!!"
    os.close(reader)


def test_what_a_quick_child_leaves_behind_is_ended_too():
    reader, writer = os.pipe()

    def leave():
        if os.fork() == 0:
            signal.pause()
        return {"one": ok("")}

    # The answers' pipe is held open by the one that is left.
    assert try_it(leave, 0.2)["one"].state == "missing"
    os.close(writer)
    assert read_all(reader, time.monotonic() + 5) == b""
    os.close(reader)


def test_without_a_process_to_be_had(monkeypatch):
    def fork():
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    assert try_it(dict) == dict.fromkeys(NAMES, missing("fork: Resource temporarily unavailable"))


def probe_for_ever(writer):
    def body():
        os.write(writer, b"%d\n" % os.getpid())
        while True:
            signal.pause()

    in_child(body, NAMES, 60)


def test_it_dies_with_us():
    reader, writer = os.pipe()
    with Puppet() as puppet:
        os.close(writer)
        puppet.start(probe_for_ever, writer)
        pid = int(os.read(reader, 99))
        puppet.kill()
    until(lambda: not _runs(pid))
    os.close(reader)


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1] != b"Z"
    except FileNotFoundError:
        return False


def test_reading_until_the_end():
    reader, writer = os.pipe()
    os.write(writer, b"some")
    assert readable(reader, 0)
    assert read_all(reader, time.monotonic() + 0.01) is None
    assert not readable(reader, -1)
    os.write(writer, b"more")
    os.close(writer)
    assert read_all(reader, time.monotonic() + 5) == b"more"
    os.close(reader)


def test_states_are_words():
    assert (ok("x"), trial.limited("x"), missing("x")) == (("ok", "x"), ("limited", "x"), ("missing", "x"))
