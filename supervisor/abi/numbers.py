"""System call numbers and audit architectures (<asm/unistd.h>, <linux/audit.h>), per machine."""

from typing import Final, NamedTuple

SOCKET_CALLS: Final = (
    "socket", "socketpair", "bind", "connect", "listen", "accept", "accept4", "shutdown", "getsockname", "getpeername",
    "getsockopt", "setsockopt", "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg",
)
"""The 18 calls that are supervised."""


class Architecture(NamedTuple):
    """What differs between the machines that are supported. `calls` maps the names of section 2 to numbers;
    `user_end` is where a program's addresses end (TASK_SIZE_MAX, four levels of page tables)."""

    machine: str
    audit: int
    user_end: int
    calls: dict[str, int]


X86_64: Final = Architecture("x86_64", 0xC000003E, 0x7FFFFFFFF000, {
    "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47,
    "shutdown": 48, "bind": 49, "listen": 50, "getsockname": 51, "getpeername": 52, "socketpair": 53,
    "setsockopt": 54, "getsockopt": 55, "accept4": 288, "recvmmsg": 299, "sendmmsg": 307,
    "clone": 56, "prctl": 157, "setfsuid": 122, "setfsgid": 123, "setgroups": 116, "capget": 125, "capset": 126,
    "setresuid": 117, "setresgid": 119, "kcmp": 312, "seccomp": 317, "tgkill": 234,
    "timer_create": 222, "timer_settime": 223, "timer_delete": 226,
})

AARCH64: Final = Architecture("aarch64", 0xC00000B7, 1 << 48, {
    "socket": 198, "socketpair": 199, "bind": 200, "listen": 201, "accept": 202, "connect": 203,
    "getsockname": 204, "getpeername": 205, "sendto": 206, "recvfrom": 207, "setsockopt": 208, "getsockopt": 209,
    "shutdown": 210, "sendmsg": 211, "recvmsg": 212, "accept4": 242, "recvmmsg": 243, "sendmmsg": 269,
    "clone": 220, "prctl": 167, "setfsuid": 151, "setfsgid": 152, "setgroups": 159, "capget": 90, "capset": 91,
    "setresuid": 147, "setresgid": 149, "kcmp": 272, "seccomp": 277, "tgkill": 131,
    "timer_create": 107, "timer_settime": 110, "timer_delete": 111,
})

ARCHITECTURES: Final = {arch.machine: arch for arch in (X86_64, AARCH64)}

# Calls added since the numbers were unified (5.0) are the same everywhere.
COMMON: Final = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "pidfd_open": 434, "clone3": 435, "openat2": 437, "pidfd_getfd": 438, "faccessat2": 439,
    "landlock_create_ruleset": 444,
}
