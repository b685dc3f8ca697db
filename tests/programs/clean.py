"""Fixtures for packages whose tests start programs: what a test starts is gone at its end. Import in a conftest."""

import os
from collections.abc import Iterator

import pytest

from . import processes


@pytest.fixture(scope="package", autouse=True)
def orphans_come_to_us() -> Iterator[None]:
    """A process whose parent is gone is found, and reaped, by the test."""
    processes.adopt_orphans(True)
    yield
    processes.adopt_orphans(False)
    processes.descendants(os.getpid())  # reaps


@pytest.fixture(autouse=True)
def no_process_is_left(orphans_come_to_us: None) -> Iterator[None]:
    """No descendant of ours outlives a test."""
    before = processes.descendants(os.getpid())
    yield
    left = processes.leftovers(before)
    assert not left, f"processes left behind (killed now): {left}"
