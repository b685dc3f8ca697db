"""<linux/seccomp.h> and the part of <linux/filter.h> that loading needs."""

from typing import Final, NamedTuple

from supervisor.abi.layout import Layout

SECCOMP_SET_MODE_FILTER: Final = 1
SECCOMP_GET_ACTION_AVAIL: Final = 2
SECCOMP_GET_NOTIF_SIZES: Final = 3

SECCOMP_FILTER_FLAG_NEW_LISTENER: Final = 1 << 3
SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: Final = 1 << 5

SECCOMP_RET_USER_NOTIF: Final = 0x7FC00000
SECCOMP_RET_KILL_PROCESS: Final = 0x80000000
SECCOMP_RET_ALLOW: Final = 0x7FFF0000

SECCOMP_USER_NOTIF_FLAG_CONTINUE: Final = 1
SECCOMP_ADDFD_FLAG_SETFD: Final = 1
SECCOMP_ADDFD_FLAG_SEND: Final = 2
SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: Final = 1

# _IOWR('!', 0, struct seccomp_notif) and its siblings; <asm-generic/ioctl.h>: dir << 30 | size << 16 | type << 8 | nr.
SECCOMP_IOCTL_NOTIF_RECV: Final = 0xC0502100
SECCOMP_IOCTL_NOTIF_SEND: Final = 0xC0182101
SECCOMP_IOCTL_NOTIF_ID_VALID: Final = 0x40082102
SECCOMP_IOCTL_NOTIF_ADDFD: Final = 0x40182103
SECCOMP_IOCTL_NOTIF_SET_FLAGS: Final = 0x40082104


class Notification(NamedTuple):
    """struct seccomp_notif with its seccomp_data spread out. `pid` is a thread id in the reader's namespace, or 0."""

    id: int
    pid: int
    flags: int
    nr: int
    arch: int
    instruction_pointer: int
    arg0: int
    arg1: int
    arg2: int
    arg3: int
    arg4: int
    arg5: int


NOTIF: Final = Layout("struct seccomp_notif", Notification, [
    ("id", "Q"), ("pid", "I"), ("flags", "I"), ("data.nr", "i"), ("data.arch", "I"),
    ("data.instruction_pointer", "Q"), ("data.args[0]", "Q"), ("data.args[1]", "Q"), ("data.args[2]", "Q"),
    ("data.args[3]", "Q"), ("data.args[4]", "Q"), ("data.args[5]", "Q"),
])
NOTIF_ARGS_OFFSET: Final = 32


class Response(NamedTuple):
    """struct seccomp_notif_resp. `error` is a negative errno."""

    id: int
    val: int
    error: int
    flags: int


RESPONSE: Final = Layout("struct seccomp_notif_resp", Response, [
    ("id", "Q"), ("val", "q"), ("error", "i"), ("flags", "I"),
])


class AddFd(NamedTuple):
    """struct seccomp_notif_addfd."""

    id: int
    flags: int
    srcfd: int
    newfd: int
    newfd_flags: int


ADDFD: Final = Layout("struct seccomp_notif_addfd", AddFd, [
    ("id", "Q"), ("flags", "I"), ("srcfd", "I"), ("newfd", "I"), ("newfd_flags", "I"),
])
