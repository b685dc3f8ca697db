"""<linux/io_uring.h>: the part that connects and accepts."""

from typing import Final, NamedTuple

from supervisor.abi.layout import Layout

IORING_OFF_SQ_RING: Final = 0
IORING_OFF_SQES: Final = 0x10000000
IORING_SETUP_CQSIZE: Final = 1 << 3
IORING_FEAT_SINGLE_MMAP: Final = 1
IORING_FEAT_NODROP: Final = 2
IORING_REGISTER_EVENTFD: Final = 4
IORING_ENTER_GETEVENTS: Final = 1
IORING_OP_ACCEPT: Final = 13
IORING_OP_ASYNC_CANCEL: Final = 14
IORING_OP_CONNECT: Final = 16
IORING_ACCEPT_DONTWAIT: Final = 1 << 1


class SubmissionEntry(NamedTuple):
    """struct io_uring_sqe, in the spelling of its first union members."""

    opcode: int
    flags: int
    ioprio: int
    fd: int
    off: int
    addr: int
    len: int
    op_flags: int
    user_data: int
    buf_index: int
    personality: int
    splice_fd_in: int
    addr3: int
    pad: int


SQE: Final = Layout("struct io_uring_sqe", SubmissionEntry, [
    ("opcode", "B"), ("flags", "B"), ("ioprio", "H"), ("fd", "i"), ("off", "Q"), ("addr", "Q"), ("len", "I"),
    ("rw_flags", "I"), ("user_data", "Q"), ("buf_index", "H"), ("personality", "H"), ("splice_fd_in", "i"),
    ("addr3", "Q"), ("", "Q"),
])


class CompletionEntry(NamedTuple):
    """struct io_uring_cqe. `res` is the call's value or a negative errno."""

    user_data: int
    res: int
    flags: int


CQE: Final = Layout("struct io_uring_cqe", CompletionEntry, [("user_data", "Q"), ("res", "i"), ("flags", "I")])


class Params(NamedTuple):
    """struct io_uring_params: what is asked for, and the offsets of the rings."""

    sq_entries: int
    cq_entries: int
    flags: int
    sq_thread_cpu: int
    sq_thread_idle: int
    features: int
    wq_fd: int
    resv0: int
    resv1: int
    resv2: int
    sq_head: int
    sq_tail: int
    sq_ring_mask: int
    sq_ring_entries: int
    sq_flags: int
    sq_dropped: int
    sq_array: int
    sq_resv1: int
    sq_user_addr: int
    cq_head: int
    cq_tail: int
    cq_ring_mask: int
    cq_ring_entries: int
    cq_overflow: int
    cq_cqes: int
    cq_flags: int
    cq_resv1: int
    cq_user_addr: int


PARAMS: Final = Layout("struct io_uring_params", Params, [
    ("sq_entries", "I"), ("cq_entries", "I"), ("flags", "I"), ("sq_thread_cpu", "I"), ("sq_thread_idle", "I"),
    ("features", "I"), ("wq_fd", "I"), ("resv[0]", "I"), ("resv[1]", "I"), ("resv[2]", "I"),
    ("sq_off.head", "I"), ("sq_off.tail", "I"), ("sq_off.ring_mask", "I"), ("sq_off.ring_entries", "I"),
    ("sq_off.flags", "I"), ("sq_off.dropped", "I"), ("sq_off.array", "I"), ("sq_off.resv1", "I"), ("", "Q"),
    ("cq_off.head", "I"), ("cq_off.tail", "I"), ("cq_off.ring_mask", "I"), ("cq_off.ring_entries", "I"),
    ("cq_off.overflow", "I"), ("cq_off.cqes", "I"), ("cq_off.flags", "I"), ("cq_off.resv1", "I"), ("", "Q"),
])
