"""One body, run natively and supervised; what it returns has to be equal.

    @compared("client", "server")
    def test_fetch(stage):
        with stage.server("nginx", ..., tcp=(port,)):
            return stage.client("curl", ...)

gives `test_fetch[auto-client]` to `test_fetch[full-server]`; `@compared()` also supervises both at once. The native
answer is taken once for all of them.
"""

import difflib
import os
import pprint
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .stage import Stage

MODES = tuple(filter(None, os.environ.get("SUPERVISE_MODES", "auto,full").split(",")))
SIDES = ("client", "server", "both")

Body = Callable[[Stage], object]

_native: dict[str, object] = {}


def compared(*sides: str) -> Callable[[Body], Callable[..., None]]:
    """Make a test of `body`, once for every mode and each of `sides`."""

    def wrap(body: Body) -> Callable[..., None]:
        @pytest.mark.parametrize("side", sides or SIDES)
        @pytest.mark.parametrize("mode", MODES)
        def test(mode: str, side: str) -> None:
            expected = native(body)
            with staged(mode, side) as stage:
                got = body(stage)
                assert got == expected, f"{difference(expected, got)}\n{stage.logs()}"

        test.__name__, test.__doc__, test.__module__ = body.__name__, body.__doc__, body.__module__
        return test

    return wrap


def native(body: Body) -> object:
    """What `body` returns natively; run once, its answer is kept."""
    name = f"{body.__module__}.{body.__qualname__}"
    if name not in _native:
        with staged("native") as stage:
            _native[name] = body(stage)
    return _native[name]


def difference(expected: object, got: object) -> str:
    """The lines that are not equal."""
    sides = (pprint.pformat(side, width=110).splitlines() for side in (expected, got))
    return "\n".join(difflib.unified_diff(*sides, "natively", "supervised", n=1, lineterm=""))


@contextmanager
def staged(mode: str, side: str = "both") -> Iterator[Stage]:
    """A stage in a new folder, of a name that is short enough for unix sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="programs-"))
    try:
        yield Stage(folder, mode, side)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
