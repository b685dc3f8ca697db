import os
from collections.abc import Iterator

import pytest
from hosts import built
from programs import processes


@pytest.fixture(scope="session", autouse=True)
def _orphans_come_to_us() -> Iterator[None]:
    processes.adopt_orphans(True)
    yield
    processes.adopt_orphans(False)


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    before = processes.descendants(os.getpid())
    yield
    left = processes.leftovers(before)
    assert not left, f"processes left behind (killed now): {left}"


@pytest.fixture(scope="session", autouse=True)
def _nothing_built_is_left() -> Iterator[None]:
    yield
    built.clear()
