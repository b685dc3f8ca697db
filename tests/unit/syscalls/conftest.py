"""Makes `tests.unit` importable, however pytest was started."""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[3])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from tests.unit.kernel.leftovers import nothing_left, quick_collections  # noqa: E402
from tests.unit.syscalls.room import receiver  # noqa: E402
from tests.unit.syscalls.stage import closer_is_idle, world  # noqa: E402

__all__ = ["closer_is_idle", "nothing_left", "quick_collections", "receiver", "world"]
