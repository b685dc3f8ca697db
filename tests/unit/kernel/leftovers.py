"""Fixtures for tests that open, fork and forget: nothing may be left behind by any of them."""

import gc
import os

import pytest

from supervisor.kernel.hostfd import leaked


def descriptors():
    return {int(name): os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if _is_open(name)}


def _is_open(name):
    return os.path.lexists(f"/proc/self/fd/{name}")


@pytest.fixture(autouse=True, scope="session")
def quick_collections():
    """What is there before the first test need not be looked through after every one."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_left():
    """No descriptor, no child and no forgotten HostFd."""
    gc.collect()
    leaked.clear()
    before = descriptors()
    yield
    gc.collect()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert leaked == []
    assert descriptors() == before
