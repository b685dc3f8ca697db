"""What a program can tell from a native run, call by call, and why it is so: the page of calls prints this.

What policy refuses is not listed: that is what it is for. `where` says when it shows: "always" (trapped at all, in
either mode), "full" (full mediation), "policy" (a policy that can refuse what this call does).
"""

from typing import Final, Literal, NamedTuple


class Deviation(NamedTuple):
    """One difference. `calls` are names of rows, or of calls that are not of the 18."""

    calls: tuple[str, ...]
    where: Literal["always", "full", "policy"]
    what: str
    because: str


_WAITING: Final = ("connect", "accept", "accept4", "sendto", "sendmsg", "sendmmsg")
_SENDING: Final = ("sendto", "sendmsg", "sendmmsg")
_PEERS: Final = ("connect", "listen", *_SENDING)

DEVIATIONS: Final = (
    Deviation(
        ("all 18",), "always",
        "A signal without SA_RESTART that comes between the trap and the supervisor's receiving it gives EINTR, also "
        "to calls that natively never wait.",
        "The kernel interrupts a notification that nobody has received. Only what is needed is trapped, and it is "
        "received at once.",
    ),
    Deviation(
        _WAITING, "always", "A call that waits in the supervisor obeys a signal up to 100 ms late.",
        "The only exact sign is the thread's state letter, which has to be looked at. What the kernel can wait for, "
        "accept without peer rules and every receive, it does.",
    ),
    Deviation(
        _PEERS, "policy", "SO_PEERCRED at the other end of a unix socket shows the supervisor, where the call had to "
        "be performed (the event says so).",
        "The kernel records who makes the call, and nothing sets it. Such a call is continued wherever nothing that "
        "was decided can be changed by the program.",
    ),
    Deviation(
        ("bind", "connect"), "policy", "A unix path in another root directory or mount namespace is refused for bind; "
        "rules about paths allow nothing there.",
        "A program with a mount namespace of its own can put any socket under any name.",
    ),
    Deviation(
        ("connect", *_SENDING), "policy", "A unix path that leads through /proc/self or /dev/fd is refused.",
        "The supervisor resolves the path, and would find its own descriptors there.",
    ),
    Deviation(
        ("connect", *_SENDING), "policy", "0.0.0.0 and :: mean loopback, also from a socket bound to another address.",
        "What is judged has to be what is connected to.",
    ),
    Deviation(
        ("accept", "accept4"), "policy", "A refused peer's connection is accepted and closed: the peer sees it end.",
        "Who connects is only known of an accepted connection.",
    ),
    Deviation(
        ("accept", "accept4"), "policy", "Under peer rules, closing or replacing the listening descriptor in another "
        "thread leaves the waiting call waiting, or fails it with EBADF.",
        "A waiting call holds no copy of the listener, which would keep its port.",
    ),
    Deviation(
        _SENDING, "always", "A blocking stream send that is performed goes out in pieces of 256 KiB.",
        "A program may send a gigabyte in one call, and the supervisor's memory is bounded.",
    ),
    Deviation(
        _SENDING, "always", "SIGPIPE of a performed send carries the supervisor's pid in its siginfo.",
        "tgkill(2) states its sender.",
    ),
    Deviation(
        ("sendmsg", "sendmmsg"), "always", "ETOOMANYREFS is judged by the supervisor's limits in a performed send.",
        "Descriptors in flight are counted for who sends them.",
    ),
    Deviation(
        ("recvmmsg",), "full", "An error after the first message of a batch, other than EAGAIN, is not left behind as "
        "the socket's pending error.",
        "Only the kernel can set SO_ERROR. Bad pointers are found first and left to it; what remains is an error that "
        "reaches the socket in the middle of the batch.",
    ),
    Deviation(
        ("recvmmsg",), "full", "The vector is read once, before anything is received: a message whose data "
        "overwrites a later entry of it changes nothing.",
        "Every entry is looked at first, because what has been received cannot be given back.",
    ),
    Deviation(
        ("setsockopt",), "policy", "SO_ZEROCOPY fails with EOPNOTSUPP.",
        "The supervisor sends copies; programs fall back instead of waiting for completions that never come.",
    ),
    Deviation(
        ("clone", "clone3"), "policy", "CLONE_FILES without CLONE_THREAD fails with EPERM, clone3 with ENOSYS.",
        "Two processes on one descriptor table could swap a socket that was checked. `unix = 'perform'` lifts it.",
    ),
    Deviation(
        ("kill", "ptrace"), "policy", "Processes that the program has not started cannot be signalled or traced.",
        "Landlock, the second line: they could be made to act for it. `landlock = false` lifts it.",
    ),
    Deviation(
        ("io_uring_setup", "io_uring_enter", "io_uring_register"), "always", "They fail with ENOSYS.",
        "A ring makes socket calls that no filter sees.",
    ),
    Deviation(
        ("seccomp",), "always", "A listener of the program's own fails with EBUSY, also when the supervisor is gone.",
        "Its CONTINUE would win over the supervisor's answer.",
    ),
)
