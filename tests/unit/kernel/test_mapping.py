"""May a program write there? Asked of a child, in both ways, and held to what writing there does."""

import errno
import itertools
import mmap
import os
import tracemalloc

import pytest

from supervisor.errors import TraceeGone
from supervisor.kernel import libc, mapping, process
from supervisor.kernel.mapping import are_writable
from tests.unit.kernel.puppet import NOBODY, Puppet, become, missing, needs_root
from tests.unit.kernel.test_process import PROT_NONE, READ, READ_WRITE, map_pages

PAGE = mmap.PAGESIZE
WRITE_EXEC = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
KINDS = (READ_WRITE, WRITE_EXEC, READ, PROT_NONE, None)


@pytest.fixture
def program():
    with Puppet() as puppet:
        yield puppet


@pytest.fixture
def asked(monkeypatch):
    """The kernel is asked about mappings."""
    monkeypatch.setattr(mapping, "_has_query", True)
    are_writable(os.getpid(), [(1, 1)])
    if not mapping._has_query:
        missing("PROCMAP_QUERY")


@pytest.fixture
def probed(monkeypatch):
    """A byte of every page is read, as where the kernel cannot be asked."""
    monkeypatch.setattr(mapping, "_has_query", False)


@pytest.fixture(params=["asked", "probed"])
def either(request):
    return request.getfixturevalue(request.param)


def map_file(path, size, flags):
    with open(path, "r+b") as file:
        return libc.mmap(None, size, READ_WRITE, flags, file.fileno(), 0)


def map_anonymous(flags):
    return libc.mmap(None, PAGE, READ_WRITE, mmap.MAP_ANONYMOUS | flags, -1, 0)


def writes_all(pid, address, length):
    """Does writing there do it?"""
    source = bytearray(length)
    try:
        return process.write_vectors(pid, [(address, length)], libc.address_of(source), length) == length
    except OSError:
        return False


# In either way.


def test_nothing_can_be_written_anywhere(either):
    assert are_writable(0, [])
    assert are_writable(0, [(8, 0), ((1 << 64) - 1, 0)])


def test_a_page(program, either):
    address = program.do(map_pages, None, READ_WRITE, None) + PAGE
    for first, length in ((0, 1), (0, PAGE), (PAGE - 1, 1), (100, 200)):
        assert are_writable(program.pid, [(address + first, length)])
    for first, length in ((-1, 1), (-1, 2), (0, PAGE + 1), (PAGE - 1, 2), (PAGE, 1)):
        assert not are_writable(program.pid, [(address + first, length)])


def test_every_range_counts(program, either):
    address = program.do(map_pages, READ_WRITE, None, READ_WRITE)
    good = [(address, PAGE), (address + 2 * PAGE, PAGE), (8, 0), (address + 5, 1)]
    assert are_writable(program.pid, good)
    for place in range(len(good) + 1):
        assert not are_writable(program.pid, [*good[:place], (address + PAGE, 1), *good[place:]])


def test_more_ranges_than_one_look_takes(program, either):
    address = program.do(map_pages, READ_WRITE, None)
    assert are_writable(program.pid, [(address + place, 1) for place in range(3000)])
    assert not are_writable(program.pid, [(address + place, 1) for place in range(3000)] + [(address + PAGE, 1)])


@pytest.mark.parametrize("address", [0, 8, 1 << 46, 1 << 63, (1 << 64) - 8, (1 << 64) - 1])
def test_addresses_that_are_nowhere(program, either, address):
    assert not are_writable(program.pid, [(address, 16)])


def test_holes_are_found_wherever_they_are(program, either):
    for kinds in itertools.product((READ_WRITE, WRITE_EXEC, PROT_NONE, None), repeat=3):
        address = program.do(map_pages, *kinds)
        assert are_writable(program.pid, [(address, 3 * PAGE)]) == writes_all(program.pid, address, 3 * PAGE), kinds


def test_a_file_that_was_cut_short(program, either, tmp_path):
    (tmp_path / "file").write_bytes(bytes(2 * PAGE))
    address = program.do(map_file, tmp_path / "file", 2 * PAGE, mmap.MAP_SHARED)
    os.truncate(tmp_path / "file", PAGE)
    assert not writes_all(program.pid, address, 2 * PAGE)
    assert not are_writable(program.pid, [(address, 2 * PAGE)])


def test_nothing_is_left_open(program, either):
    before = os.listdir("/proc/self/fd")
    address = program.do(map_pages, READ_WRITE, None)
    are_writable(program.pid, [(address, PAGE)])
    are_writable(program.pid, [(address, 2 * PAGE)])
    assert os.listdir("/proc/self/fd") == before


# Where the kernel is asked.


def test_pages_that_are_only_read(program, asked):
    for kinds in itertools.product(KINDS, repeat=3):
        address = program.do(map_pages, *kinds)
        assert are_writable(program.pid, [(address, 3 * PAGE)]) == writes_all(program.pid, address, 3 * PAGE), kinds


@pytest.mark.parametrize("flags", [mmap.MAP_SHARED, mmap.MAP_PRIVATE])
def test_a_file_counts_as_bad(program, asked, tmp_path, flags):
    (tmp_path / "file").write_bytes(bytes(PAGE))
    address = program.do(map_file, tmp_path / "file", PAGE, flags)
    assert writes_all(program.pid, address, PAGE)
    assert not are_writable(program.pid, [(address, 1)])


def test_shared_memory_counts_as_a_file(program, asked):
    assert are_writable(program.pid, [(program.do(map_anonymous, mmap.MAP_PRIVATE), PAGE)])
    assert not are_writable(program.pid, [(program.do(map_anonymous, mmap.MAP_SHARED), PAGE)])


def test_one_question_for_ranges_of_one_mapping(program, asked, monkeypatch):
    address = program.do(map_pages, READ_WRITE)
    questions = count_questions(monkeypatch)
    assert are_writable(program.pid, [(address + place * 8, 8) for place in range(100)])
    assert len(questions) == 1


def test_a_process_that_is_gone(asked):
    with Puppet() as program:
        address = program.do(map_pages, READ_WRITE)
        program.become_zombie()
        assert not are_writable(program.pid, [(address, 1)])
        program.kill()
        assert not are_writable(program.pid, [(address, 1)])


def test_looking_touches_nothing(program, asked):
    """Pages that the program has not used yet do not become its memory."""
    address = program.do(map_untouched, 64)
    before = resident(program.pid)
    assert are_writable(program.pid, [(address, 64 * PAGE)])
    assert resident(program.pid) == before


def test_a_program_of_very_many_mappings(program, asked, monkeypatch):
    """What a program's mappings look like bounds what is asked: others wait meanwhile."""
    address = program.do(map_pages, *(READ_WRITE, WRITE_EXEC) * 500)
    questions = count_questions(monkeypatch)
    are_writable(program.pid, [(address, 1000 * PAGE)] * 4)
    assert len(questions) <= 1000


def map_untouched(pages):
    return libc.mmap(None, pages * PAGE, READ_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)


def resident(pid):
    with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        return next(line for line in file if line.startswith(b"Rss:"))


# Where it cannot be.


def test_the_kernel_is_asked_once_whether_it_can_be(program, asked, monkeypatch):
    address = program.do(map_pages, READ_WRITE, None)
    questions = count_questions(monkeypatch, OSError(errno.ENOTTY, "no"))
    assert are_writable(program.pid, [(address, PAGE)])
    assert not are_writable(program.pid, [(address + PAGE, 1)])
    assert len(questions) == 1
    assert not mapping._has_query


def test_what_else_may_happen_is_no_answer(program, asked, monkeypatch):
    address = program.do(map_pages, READ_WRITE)
    questions = count_questions(monkeypatch, OSError(errno.EIO, "no"))
    assert not are_writable(program.pid, [(address, PAGE)])
    assert not are_writable(program.pid, [(address, PAGE)])
    assert len(questions) == 2
    assert mapping._has_query


def test_what_is_only_read_is_not_found(program, probed):
    assert are_writable(program.pid, [(program.do(map_pages, READ), PAGE)])


def test_a_process_that_is_gone_is_told(probed):
    with Puppet() as program:
        address = program.do(map_pages, READ_WRITE)
        program.kill()
        with pytest.raises(TraceeGone):
            are_writable(program.pid, [(address, 1)])


def test_what_a_range_claims_costs_nothing(program, probed):
    address = program.do(map_pages, READ_WRITE, None)
    tracemalloc.start()
    try:
        assert not are_writable(program.pid, [(address, 1 << 29)])
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@needs_root
def test_somebody_elses_process(program, either):
    address = program.do(map_pages, READ_WRITE)
    with Puppet() as stranger:
        stranger.do(become, NOBODY)
        assert not stranger.do(are_writable, program.pid, [(address, PAGE)])


def count_questions(monkeypatch, error=None):
    questions, ask = [], mapping.fcntl.ioctl

    def ioctl(*arguments):
        questions.append(arguments)
        if error is not None:
            raise error
        return ask(*arguments)

    monkeypatch.setattr(mapping.fcntl, "ioctl", ioctl)
    return questions
