import signal
from collections.abc import Iterator

import pytest
from programs.clean import no_process_is_left, orphans_come_to_us

from . import built

__all__ = ["no_process_is_left", "orphans_come_to_us"]


@pytest.fixture(scope="session", autouse=True)
def _keys_end_programs() -> Iterator[None]:
    """What a shell starts in the background ignores the terminal's keys, and so would every program of these tests."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGQUIT)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def _nothing_built_is_left() -> Iterator[None]:
    yield
    built.clear()
