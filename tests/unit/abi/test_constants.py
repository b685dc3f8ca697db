"""Every constant has the value that the headers give it."""

import errno
import importlib
import pkgutil
import socket

import pytest

import supervisor.abi
from supervisor.abi.netlink import NETLINK_PROTOCOLS
from supervisor.abi.socket import SCM_MAX_FD
from supervisor.kernel import identity, paths, process, seccomp
from supervisor.syscalls import plan, reply
from tests.unit.abi.compiler import evaluate

# Where the names of a module are defined: sets of headers that do not contradict each other, asked in this order.
HEADERS = {
    "inet": [("linux/in.h", "linux/in6.h", "linux/tcp.h"), ("netinet/in.h",)],
    "landlock": [("linux/landlock.h",)],
    "message": [("sys/socket.h",)],
    "option": [("sys/socket.h", "linux/udp.h"), ("linux/in.h", "linux/in6.h", "linux/tcp.h"), ("netinet/in.h",),
               ("netinet/tcp.h", "netinet/udp.h")],
    "seccomp": [("linux/seccomp.h", "linux/ioctl.h")],
    "socket": [("sys/socket.h", "sys/uio.h")],
    "unix": [("linux/un.h",)],
    "uring": [("linux/io_uring.h",)],
}

# Ours by name, the headers' by value.
EXPRESSIONS = {
    "CMSG_ALIGNMENT": "CMSG_ALIGN(1)",
    "MMSGHDR_LEN_OFFSET": "offsetof(struct mmsghdr, msg_len)",
    "MMSGHDR_SIZE": "sizeof(struct mmsghdr)",
    "MSGHDR_CONTROLLEN_OFFSET": "offsetof(struct msghdr, msg_controllen)",
    "MSGHDR_FLAGS_OFFSET": "offsetof(struct msghdr, msg_flags)",
    "MSGHDR_NAMELEN_OFFSET": "offsetof(struct msghdr, msg_namelen)",
    "MSGHDR_SIZE": "sizeof(struct msghdr)",
    "NOTIF_ARGS_OFFSET": "offsetof(struct seccomp_notif, data.args)",
    "SIN6_LEN_RFC2133": "offsetof(struct sockaddr_in6, sin6_scope_id)",
    "SOCKADDR_IN6_SIZE": "sizeof(struct sockaddr_in6)",
    "SOCKADDR_IN_SIZE": "sizeof(struct sockaddr_in)",
    "SOCKADDR_STORAGE_SIZE": "sizeof(struct sockaddr_storage)",
    "SOCKADDR_UN_SIZE": "sizeof(struct sockaddr_un)",
    "SUN_PATH_OFFSET": "offsetof(struct sockaddr_un, sun_path)",
}

# Not in the headers for programs: include/linux/{net,socket}.h and include/net/scm.h of the kernel's source.
UNEXPORTED = {
    "MSG_CMSG_COMPAT": 0x80000000, "MSG_SENDPAGE_DECRYPTED": 0x100000, "SCM_MAX_FD": 253, "SOCK_TYPE_MASK": 0xF,
}

# Newer than the headers of Debian 12 (6.1): since when, and how it is defined where that can be compiled anyway.
NEWER = {
    "IORING_ACCEPT_DONTWAIT": ("6.10", None),
    "LANDLOCK_ACCESS_NET_BIND_TCP": ("6.7", None),
    "LANDLOCK_ACCESS_NET_CONNECT_TCP": ("6.7", None),
    "LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET": ("6.12", None),
    "LANDLOCK_SCOPE_SIGNAL": ("6.12", None),
    "SCM_PIDFD": ("6.5", None),
    "SECCOMP_IOCTL_NOTIF_SET_FLAGS": ("6.6", "_IOW('!', 4, __u64)"),
    "SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP": ("6.6", "(1UL << 0)"),
    "SO_PASSPIDFD": ("6.5", None),
    "SO_PEERPIDFD": ("6.5", None),
}


def constants(module):
    return {
        name: value for name, value in vars(importlib.import_module(f"supervisor.abi.{module}")).items()
        if name.isupper() and isinstance(value, int)
    }


@pytest.fixture(scope="module")
def headers_say():
    known = {}

    def ask(module):
        if module not in known:
            names = constants(module).keys() - UNEXPORTED.keys()
            known[module] = values = {}
            for headers in HEADERS[module]:
                wanted = {name: EXPRESSIONS.get(name, name) for name in sorted(names - values.keys())}
                values |= evaluate(headers, wanted)
            newer = {name: NEWER[name][1] for name in names - values.keys() if NEWER.get(name, (0, None))[1]}
            values |= evaluate(HEADERS[module][0], newer)
        return known[module]

    return ask


def test_every_module_of_constants_is_compared():
    modules = [info.name for info in pkgutil.iter_modules(supervisor.abi.__path__)]
    assert {module for module in modules if constants(module) and module != "names"} <= HEADERS.keys()


@pytest.mark.parametrize(("module", "name"), [(module, name) for module in HEADERS for name in constants(module)])
def test_constant(module, name, headers_say):
    value = constants(module)[name]
    if name in UNEXPORTED:
        assert value == UNEXPORTED[name]
        return
    said = headers_say(module)
    if name not in said and name in NEWER:
        pytest.skip(f"the headers have no {name}: it is of Linux {NEWER[name][0]}")
    assert said.get(name) == value


def test_netlink_protocols():
    names = {name: f"NETLINK_{name.upper()}" for name in NETLINK_PROTOCOLS}
    assert evaluate(("linux/netlink.h",), names) == NETLINK_PROTOCOLS


def test_ioctls_are_made_of_their_records():
    said = evaluate(("linux/seccomp.h", "linux/ioctl.h"), {
        "RECV": "_IOWR('!', 0, struct seccomp_notif)", "SEND": "_IOWR('!', 1, struct seccomp_notif_resp)",
        "ID_VALID": "_IOW('!', 2, __u64)", "ADDFD": "_IOW('!', 3, struct seccomp_notif_addfd)",
        "SET_FLAGS": "_IOW('!', 4, __u64)",
    })
    module = constants("seccomp")
    assert said == {name: module[f"SECCOMP_IOCTL_NOTIF_{name}"] for name in said}


@pytest.mark.parametrize(
    ("headers", "expression", "value"),
    [
        (("fcntl.h",), "O_EXCL", process.PIDFD_THREAD),
        (("linux/kcmp.h",), "KCMP_FILES", process.KCMP_FILES),
        (("linux/uio.h",), "UIO_MAXIOV", process._IOV_BATCH),
        (("sys/prctl.h",), "PR_SET_DUMPABLE", seccomp.PR_SET_DUMPABLE),
        (("sys/prctl.h",), "PR_SET_DUMPABLE", plan.PR_SET_DUMPABLE),
        (("sys/prctl.h",), "PR_SET_NO_NEW_PRIVS", seccomp.PR_SET_NO_NEW_PRIVS),
        (("sys/prctl.h",), "PR_SET_CHILD_SUBREAPER", seccomp.PR_SET_CHILD_SUBREAPER),
        (("linux/filter.h",), "sizeof(struct sock_filter)", seccomp._INSTRUCTION_SIZE),
        (("sched.h",), "CLONE_FS", paths.CLONE_FS),
        (("sched.h",), "CLONE_FILES", plan.CLONE_FILES),
        (("sched.h",), "CLONE_THREAD", plan.CLONE_THREAD),
        (("linux/openat2.h",), "RESOLVE_IN_ROOT", paths._RESOLVE_IN_ROOT),
        (("fcntl.h",), "AT_EACCESS", paths._AT_EACCESS),
        (("fcntl.h",), "AT_EMPTY_PATH", paths._AT_EMPTY_PATH),
        (("linux/capability.h",), "_LINUX_CAPABILITY_VERSION_3", identity._CAPABILITY_VERSION_3),
        (
            ("linux/capability.h",), "_LINUX_CAPABILITY_U32S_3 * sizeof(struct __user_cap_data_struct)",
            identity._CAP_DATA.size,
        ),
    ],
)
def test_constants_beside_their_only_user(headers, expression, value):
    assert evaluate(headers, {"it": expression}) == {"it": value}


def test_the_restart_code_is_none_that_programs_know():
    assert reply.ERESTARTSYS == 512
    assert reply.ERESTARTSYS not in errno.errorcode


def test_the_kernel_passes_as_many_descriptors_and_no_more():
    one, other = socket.socketpair()
    with one, other:
        socket.send_fds(one, [b"x"], [0] * SCM_MAX_FD)
        with pytest.raises(OSError, match="Invalid argument"):
            socket.send_fds(one, [b"x"], [0] * (SCM_MAX_FD + 1))
