"""The common way of the calls that name an address: look it up, judge it, perform it as the program.

A call is *continued* only where nothing that was decided can change under us:
* the policy cannot refuse this action at all: then there is nothing to get around; or
* the policy lets calls be continued (`unix = "continue"`), this socket's family is one it never refuses, and the
  thread has its descriptor table alone: then the kernel reads the address again, but the descriptor that was checked
  can only lead to an address of the same family.
Otherwise it is *performed* on our duplicate with the captured bytes. The event says which.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import trio

from supervisor.abi.socket import AF_UNIX
from supervisor.errors import CannotServe
from supervisor.families import provider_of
from supervisor.families.provider import Provider, Target
from supervisor.kernel.identity import Credentials, acting_as
from supervisor.kernel.paths import ProgramPaths
from supervisor.kernel.sockets import SocketKind
from supervisor.policy.operation import Action
from supervisor.sockets.address import Address
from supervisor.syscalls.call import Call
from supervisor.syscalls.reply import Continue, Later, Reply, after

Perform = Callable[[Target], Reply | Later]


def settle(call: Call, action: Action, kind: SocketKind, raw: bytes, perform: Perform) -> Reply | Later:
    """Judge the address `raw` for `action` on this socket, and continue or perform the call.

    Denied when the policy refuses. `perform` gets what to give to the kernel; it runs after the call was found to be
    still waiting.
    """
    provider = provider_of(kind.family)
    address = provider.address(action, kind, raw)
    call.address = address
    free = may_continue(call, action, kind)
    if provider.is_hopeless(action, kind, address):
        if free:
            return Continue()
        call.must_still_wait()
        return perform(Target(address, raw))
    if free:
        call.judge(action, kind, address)
        return Continue()
    if provider.needs_lookup(address):
        return after(partial(_look_up_and_decide, call, action, kind, provider, address, raw, perform))
    return _decide(call, action, kind, Target(address, provider.performed(action, address, raw)), perform)


def may_continue(call: Call, action: Action, kind: SocketKind) -> bool:
    """May the kernel perform this call, reading its arguments again?"""
    policy = call.session.policy
    if call.session.full and provider_of(kind.family).serviced:
        return False
    if not policy.can_refuse(action):
        return True
    return (
        kind.family == AF_UNIX
        and policy.unix == "continue"
        and not policy.can_refuse(action, AF_UNIX)
        and call.has_its_table_alone()
    )


def _decide(call: Call, action: Action, kind: SocketKind, target: Target, perform: Perform) -> Reply | Later:
    call.judge(action, kind, target.judged)
    if target.judged != call.address:
        call.performed = target.judged
    identity_of(call)  # read now: what is learned of the thread after the next line may be another's
    call.must_still_wait()
    return perform(target)


async def _look_up_and_decide(
    call: Call, action: Action, kind: SocketKind, provider: Provider, address: Address, raw: bytes, perform: Perform
) -> Reply | Later:
    target = await look_up(call, action, provider, address, raw)
    return _decide(call, action, kind, target, perform)


async def look_up(call: Call, action: Action, provider: Provider, address: Address, raw: bytes) -> Target:
    """Look an address up on a worker thread, with the program's rights. What it keeps open belongs to the call."""
    paths = program_paths(call)
    lock, found, abandoned = threading.Lock(), list[Target](), False

    def locate() -> Target:
        target = provider.locate(action, paths, address, raw)
        with lock:
            found.append(target)
            late = abandoned
        if late and target.keep is not None:
            target.keep.close()
        return target

    try:
        target = await trio.to_thread.run_sync(locate, abandon_on_cancel=True, limiter=call.session.lookups)
    except trio.Cancelled:
        with lock:
            abandoned = True
            for target in found:  # it ended before we did, and nobody will get it
                if target.keep is not None:
                    target.keep.close()
        raise
    if target.keep is not None:
        call.owned.append(target.keep)
    return target


def program_paths(call: Call) -> ProgramPaths:
    """The paths of the calling thread, for use on a worker thread."""
    them, us = identity_of(call), call.session.us.credentials
    return ProgramPaths(call.thread.tid, nullcontext if them is None else partial(acting_as, them, us))


def identity_of(call: Call) -> Credentials | None:
    """The program's credentials where they differ from ours and we could lend it more than it has; else None."""
    us = call.session.us
    if not us.privileged:
        return None
    them = call.thread.credentials()
    return None if them == us.credentials else them


@contextmanager
def as_program(call: Call) -> Iterator[None]:
    """Do something that cannot wait with the program's identity. CannotServe when we may not take it."""
    them = identity_of(call)
    if them is None:
        yield
        return
    try:
        with acting_as(them, call.session.us.credentials):
            yield
    except OSError as error:
        raise CannotServe(f"acting as uid {them.uid}: {error.strerror}") from error
