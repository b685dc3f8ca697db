from collections.abc import Iterator

import pytest

from programs.clean import no_process_is_left, orphans_come_to_us

from . import built

__all__ = ["no_process_is_left", "orphans_come_to_us"]


@pytest.fixture(scope="session", autouse=True)
def _nothing_built_is_left() -> Iterator[None]:
    yield
    built.clear()
