"""Parsers of /proc text: what names, of which a program may choose any, do to them."""

import ctypes
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from supervisor.kernel.identity import Credentials
from supervisor.tracee.proc import Status, parse_state, parse_status
from tests.unit.kernel.puppet import NOBODY, Puppet, needs_root

PR_SET_NAME = 15
NASTY = [
    b"a) R (b", b")))))", b"(", b"", b" ", b"x\ny) D 1", b"\\n", b"a\nUid:\t0\t0", b"\nTgid:\t1", b"\rTgid:\t1",
    b"\rUid:\t0\t0\t0\t0", b"\xff\xfe)", b"\r\x0b\x0c\x1c\x85",
]

names = st.binary(max_size=15) | st.sampled_from(NASTY)
letters = st.sampled_from("RSDTtZXIPKW")
ids = st.integers(0, 2**32 - 1)


@given(st.integers(1, 2**22), names, letters, st.lists(st.integers(-(2**63), 2**64 - 1), min_size=40, max_size=50))
@example(1, b") Z (", "R", [0] * 40)
def test_the_state_behind_any_name(pid, name, letter, numbers):
    stat = b"%d (%s) %s %s\n" % (pid, name, letter.encode(), b" ".join(b"%d" % number for number in numbers))
    assert parse_state(stat) == letter


def escaped(name):
    """What `proc_task_name` makes of a name in status, and not in stat."""
    return name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")


def status_text(name, tgid, threads, umask, uids, gids, groups, capabilities):
    lines = [
        b"Name:\t" + escaped(name), b"Umask:\t%04o" % umask, b"State:\tS (sleeping)", b"Tgid:\t%d" % tgid, b"Ngid:\t0",
        b"Pid:\t%d" % tgid, b"Uid:\t" + b"\t".join(b"%d" % uid for uid in uids),
        b"Gid:\t" + b"\t".join(b"%d" % gid for gid in gids), b"FDSize:\t64",
        b"Groups:\t" + b"".join(b"%d " % group for group in groups), b"NStgid:\t%d" % tgid, b"Kthread:\t0",
        b"Threads:\t%d" % threads, b"CapInh:\t0000000000000000", b"CapPrm:\t000001ffffffffff",
        b"CapEff:\t%016x" % capabilities, b"Seccomp:\t2",
    ]
    return b"\n".join(lines) + b"\n"


four = st.tuples(ids, ids, ids, ids)


@given(
    names, st.integers(1, 2**22), st.integers(1, 10**6), st.integers(0, 0o777), four, four, st.lists(ids, max_size=40),
    st.integers(0, 2**64 - 1),
)
def test_status(name, tgid, threads, umask, uids, gids, groups, capabilities):
    parsed = parse_status(status_text(name, tgid, threads, umask, uids, gids, groups, capabilities))
    credentials = Credentials(uids[3], gids[3], tuple(sorted(groups)), capabilities)
    assert parsed == Status(tgid, umask, threads, uids, gids, credentials)


@pytest.mark.parametrize("line", [b"Tgid", b"Threads", b"Uid", b"Gid", b"Groups", b"CapEff"])
def test_a_line_that_is_not_there(line):
    text = status_text(b"x", 1, 1, 0, (0,) * 4, (0,) * 4, [], 0)
    without = b"\n".join(kept for kept in text.split(b"\n") if not kept.startswith(line))
    with pytest.raises(ValueError, match=line.decode()):
        parse_status(without)


def test_a_kernel_without_the_umask_line():
    text = status_text(b"x", 1, 1, 0, (0,) * 4, (0,) * 4, [], 0)
    assert parse_status(text.replace(b"Umask", b"Other")).umask == 0o022


@given(st.binary(max_size=200) | st.lists(st.sampled_from([
    b"Tgid:\t1\n", b"Uid:\t1\t2\n", b"Uid:\t1\t2\t3\t4\n", b"Gid:\t1\t2\t3\t4\n", b"Groups:\tx\n", b"Groups:\t\n",
    b"Threads:\t1\n", b"CapEff:\tg\n", b"CapEff:\t0\n", b"Umask:\t9\n", b"Uid:\t\xff\t\n",
])).map(b"".join))
def test_any_other_text_is_a_value_error(text):
    try:
        parse_status(text)
    except ValueError:
        pass


# The kernel's own text.


@pytest.fixture
def program():
    with Puppet() as puppet:
        yield puppet


def set_name(name):
    ctypes.CDLL(None).prctl(PR_SET_NAME, ctypes.c_char_p(name), 0, 0, 0)


def read(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()


@pytest.mark.parametrize("name", NASTY)
def test_a_program_that_calls_itself_so(program, name):
    program.do(set_name, name)
    program.wait_for_state("S")
    assert read(program.pid, "comm") == name[:15] + b"\n"
    assert parse_state(read(program.pid, "stat")) == "S"
    status = parse_status(read(program.pid, "status"))
    assert (status.tgid, status.threads, status.uids) == (program.pid, 1, (*os.getresuid(), os.geteuid()))


def become_somebody():
    os.umask(0o027)
    os.setgroups([70000, 3, 4])
    os.setresgid(11, 12, 13)
    os.setresuid(1, NOBODY, 3)


@needs_root
def test_who_a_program_is(program):
    program.do(become_somebody)
    assert parse_status(read(program.pid, "status")) == Status(
        program.pid, 0o027, 1, (1, NOBODY, 3, NOBODY), (11, 12, 13, 12), Credentials(NOBODY, 12, (3, 4, 70000), 0)
    )
