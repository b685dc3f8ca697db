"""The stage itself: what is called supervised is supervised, and what is called native is not."""

import pytest

from .compared import MODES, SIDES, staged

FILTERS = ("grep", "Seccomp_filters", "/proc/self/status")


def filters_of_server(stage):
    script = f"{' '.join(FILTERS)}; touch ready; exec sleep 60"
    with stage.server("sh", "-c", script, files=(stage.folder / "ready",)) as server:
        pass
    return server.log.read_text()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("mode", MODES)
def test_the_named_side_is_supervised(mode, side):
    with staged("native") as stage:
        native = stage.client(*FILTERS)
        assert filters_of_server(stage) == native.out
    with staged(mode, side) as stage:
        assert (stage.client(*FILTERS) != native) == (side != "server")
        assert (filters_of_server(stage) != native.out) == (side != "client")
        with stage.natively():
            assert stage.client(*FILTERS) == native
