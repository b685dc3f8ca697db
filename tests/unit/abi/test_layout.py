"""Every kernel record has the size and the offsets that the C compiler gives it."""

import ctypes
import importlib
import pkgutil
from typing import NamedTuple

import pytest

import supervisor.abi
from supervisor.abi import message
from supervisor.abi.layout import Layout
from supervisor.kernel import libc, signals
from tests.unit.abi.compiler import evaluate

HEADERS = {
    "supervisor.abi.seccomp": ("linux/seccomp.h",),
    "supervisor.abi.message": ("sys/socket.h",),
    "supervisor.abi.uring": ("linux/io_uring.h",),
}
NAMES = [f"supervisor.abi.{info.name}" for info in pkgutil.iter_modules(supervisor.abi.__path__)]
MODULES = [importlib.import_module(name) for name in NAMES]
LAYOUTS = {
    layout.c_name: (module.__name__, layout)
    for module in MODULES for layout in vars(module).values() if isinstance(layout, Layout)
}

SIZED = list(LAYOUTS)


def compiled(headers, c_name, fields):
    expressions = {"": f"sizeof({c_name})"} | {field: f"offsetof({c_name}, {field})" for field in fields}
    values = evaluate(headers, expressions)
    if "" not in values:
        pytest.skip(f"the headers have no {c_name}")
    return values.pop(""), values


def test_layouts_are_found():
    assert {"struct seccomp_notif", "struct msghdr", "struct io_uring_sqe"} <= LAYOUTS.keys()


@pytest.mark.parametrize("c_name", SIZED)
def test_size_and_offsets(c_name):
    module, layout = LAYOUTS[c_name]
    offsets = layout.offsets()
    size, compiled_offsets = compiled(HEADERS[module], c_name, offsets)
    assert offsets == {**offsets, **compiled_offsets}
    assert layout.size == size
    absent = offsets.keys() - compiled_offsets.keys()
    if absent:
        pytest.skip(f"the headers' {c_name} has no {', '.join(sorted(absent))}; the rest is right")


@pytest.mark.parametrize("c_name", LAYOUTS)
def test_a_record_survives_packing(c_name):
    layout = LAYOUTS[c_name][1]
    values = range(1, len(layout.fields) + 1)
    record = layout.parse(layout.pack(*values))
    assert tuple(record) == tuple(values)
    buffer = bytearray(layout.size + 8)
    layout.pack_into(buffer, 8, *values)
    assert layout.parse(buffer, 8) == record


@pytest.mark.parametrize(
    ("c_name", "size", "offsets"),
    [
        ("struct iovec", message.IOVEC.size, {"iov_base": 0, "iov_len": 8}),
        ("struct cmsghdr", message.CMSGHDR.size, {"cmsg_len": 0, "cmsg_level": 8, "cmsg_type": 12}),
        ("struct msghdr", message.MSGHDR_SIZE, {}),
        ("struct mmsghdr", message.MMSGHDR_SIZE, {"msg_hdr": 0, "msg_len": message.MMSGHDR_LEN_OFFSET}),
        (
            "struct iovec", ctypes.sizeof(libc.IoVec),
            {"iov_base": libc.IoVec.base.offset, "iov_len": libc.IoVec.len.offset},
        ),
        (
            "struct msghdr", ctypes.sizeof(libc.MsgHdr),
            {f"msg_{name}": getattr(libc.MsgHdr, name).offset for name, _ in libc.MsgHdr._fields_},
        ),
    ],
)
def test_messages(c_name, size, offsets):
    assert compiled(("sys/socket.h", "sys/uio.h"), c_name, offsets) == (size, offsets)


def test_signalfd_siginfo():
    offsets = {"ssi_signo": 0, "ssi_errno": 4, "ssi_code": 8, "ssi_pid": 12}
    assert compiled(("linux/signalfd.h",), "struct signalfd_siginfo", offsets) == (signals._SIGINFO_SIZE, offsets)
    assert signals._FIELDS.size == 16


class Uneven(NamedTuple):
    small: int
    large: int
    last: int


def test_offsets_are_aligned_as_in_c():
    layout = Layout("struct uneven", Uneven, [("small", "B"), ("large", "Q"), ("", "4x"), ("last", "H")])
    assert layout.offsets() == {"small": 0, "large": 8, "last": 20}


def test_the_end_is_padded_as_in_c():
    assert Layout("struct uneven", Uneven, [("small", "B"), ("large", "Q"), ("last", "H")]).size == 24
