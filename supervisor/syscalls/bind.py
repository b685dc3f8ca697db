"""bind(2), listen(2), shutdown(2)."""

from functools import partial

import trio

from supervisor.abi.socket import AF_INET, AF_INET6, AF_NETLINK, SOCK_STREAM
from supervisor.families.provider import Target
from supervisor.kernel import sockets
from supervisor.kernel.hostfd import HostFd
from supervisor.kernel.sockets import SocketKind
from supervisor.sockets.address import Inet4, Inet6, parse_reported
from supervisor.syscalls.call import Call
from supervisor.syscalls.netlink import bind_as_program
from supervisor.syscalls.reply import Continue, Later, Reply, Value
from supervisor.syscalls.settle import as_program, may_continue, program_paths, settle


def bind(call: Call, sockfd: int, addr: int, addrlen: int) -> Reply | Later:
    """bind(2): `__sys_bind` looks at the descriptor and whether it is a socket, then at the address."""
    fd, kind = call.take_socket(sockfd)
    raw = call.capture_address(addr, addrlen)
    return settle(call, "bind", kind, raw, partial(_perform_bind, call, fd, kind))


def _perform_bind(call: Call, fd: HostFd, kind: SocketKind, target: Target) -> Reply | Later:
    if target.keep is not None:
        return Later(partial(_bind_path, call, fd, target.raw, target.keep))
    with as_program(call):
        if kind.family == AF_NETLINK:
            bind_as_program(call, fd, target.raw)
        else:
            sockets.bind(fd, target.raw)
    return Value(0)


async def _bind_path(call: Call, fd: HostFd, raw: bytes, directory: HostFd) -> Reply:
    umask = call.thread.status().umask
    await trio.to_thread.run_sync(program_paths(call).bind, fd, raw, umask, directory, limiter=call.session.lookups)
    return Value(0)


def listen(call: Call, sockfd: int, backlog: int) -> Reply | Later:
    """listen(2). On an inet socket without a port it is also a bind to a free one, and judged as that.

    A unix socket remembers who made it listen (its peers' SO_PEERCRED): left to the kernel where it may be.
    """
    fd, kind = call.take_socket(sockfd)
    if may_continue(call, "bind", kind):
        return Continue()
    if kind.family in (AF_INET, AF_INET6) and kind.type == SOCK_STREAM:
        own = parse_reported(sockets.getsockname(fd))
        if isinstance(own, Inet4 | Inet6) and own.port == 0:
            call.judge("bind", kind, own)
    call.must_still_wait()
    with as_program(call):
        sockets.listen(fd, backlog)
    return Value(0)


def shutdown(call: Call, sockfd: int, how: int) -> Reply | Later:
    """shutdown(2)."""
    fd, _ = call.take_socket(sockfd)
    call.must_still_wait()
    sockets.shutdown(fd, how)
    return Value(0)


