"""From a notification to its answer: the only place where failures become errnos.

SyscallError is the program's errno. Denied is the policy's. TraceeGone has no answer. Anything else is our own
failure: the program gets the policy's errno and we log what happened; it is never an allow, and it is never left
unanswered, because a call without an answer hangs its thread for ever.
"""

import errno
from typing import Final

import trio

from supervisor.abi.numbers import Architecture
from supervisor.abi.seccomp import Notification
from supervisor.errors import CannotServe, SyscallError, TraceeGone
from supervisor.kernel import libc
from supervisor.kernel.hostfd import HostFd
from supervisor.syscalls.call import Call, Denied
from supervisor.syscalls.event import How
from supervisor.syscalls.reply import Continue, Fail, InstallFd, Later, Reply, Value
from supervisor.syscalls.session import Session
from supervisor.syscalls.table import Row, rows_by_number
from supervisor.tracee.thread import StateFile

_FIRST_LOOK: Final = 0.01
_LONGEST_PAUSE: Final = 0.1
_STOPPED: Final = "D"


def _rows(architecture: Architecture | None) -> dict[int, Row]:
    return rows_by_number(architecture) if architecture is not None else {}


ROWS_BY_NUMBER: Final = _rows(libc.ARCHITECTURE)
AUDIT_ARCH: Final = libc.ARCHITECTURE.audit if libc.ARCHITECTURE is not None else 0


def dispatch(session: Session, notification: Notification, raw: bytes, nursery: trio.Nursery) -> None:
    """Answer one notification now, or start the task in `nursery` that will."""
    row = ROWS_BY_NUMBER.get(notification.nr)
    call = Call(session, notification, row.name if row is not None else f"syscall-{notification.nr}")
    session.calls[call.name] += 1
    try:
        if row is None or notification.arch != AUDIT_ARCH:
            raise CannotServe(f"call {notification.nr} of architecture {notification.arch:#x} is not one of the 18")
        if notification.pid == 0:
            raise CannotServe("the thread is in a pid namespace that the supervisor cannot see")
        reply = row.handler(call, *row.decode(raw))
        if isinstance(reply, Later):
            session.waiting_calls += 1
            nursery.start_soon(_serve_waiting, call, reply, name=call.name)
        else:
            _commit(call, reply)
    except Exception as error:  # noqa: BLE001 - see above
        _fail(call, error)


async def _serve_waiting(call: Call, later: Later) -> None:
    """Run a call that waits, until it ends, a signal is meant for its thread, or the thread is gone."""
    watch = _Watch(call)
    try:
        reply = await _run_watched(later, watch)
        if watch.gone:
            raise TraceeGone
        _commit(call, reply)
    except Exception as error:  # noqa: BLE001 - see above
        _fail(call, error)
    finally:
        call.close()  # also when the daemon ends: its listener closes, and the kernel answers ENOSYS
        watch.close()
        call.session.waiting_calls -= 1


async def _run_watched(later: Later, watch: "_Watch") -> Reply:
    outcome: list[Reply] = []
    failure: list[Exception] = []

    async def body() -> None:
        try:
            outcome.append(await later.run())
        except Exception as error:  # noqa: BLE001 - carried out of the nursery as it is
            failure.append(error)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(body)
        nursery.start_soon(watch.run, nursery.cancel_scope)
    if outcome:
        return outcome[0]
    if failure:
        raise failure[0]
    return later.interrupted()


class _Watch:
    """Looks whether a waiting call should end because of a signal.

    Fact: with WAIT_KILLABLE_RECV a call that we have received sleeps in state S; the first signal, group stop, freezer
    or ptrace meant for *this* thread puts it into D, where it stays until we answer.
    Consequence: D is the exact sign; the masks of pending signals are not, because a signal sent to the process shows
    in every thread and only one will take it.
    Decision: look at the letter after 10 ms, then with pauses growing to 100 ms, and watch the pidfd for its end.
    Cost: a signal reaches a waiting thread up to 100 ms late; one pread a look.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._state: StateFile | None = None
        self.gone = False

    async def run(self, scope: trio.CancelScope) -> None:
        try:
            self._state = StateFile(self._call.thread.tid)
            pidfd = self._call.thread.pidfd().fileno()
            pause = _FIRST_LOOK
            while True:
                with trio.move_on_after(pause):
                    await trio.lowlevel.wait_readable(pidfd)
                    raise TraceeGone
                if self._state.letter() == _STOPPED:
                    break
                if not self._call.session.listener.valid(self._call.ident):
                    raise TraceeGone  # without WAIT_KILLABLE_RECV a signal takes the call away
                pause = min(pause * 1.5, _LONGEST_PAUSE)
        except TraceeGone:
            self.gone = True
        scope.cancel()

    def close(self) -> None:
        if self._state is not None:
            self._state.close()


def _commit(call: Call, reply: Reply) -> None:
    """Give the answer, and record what was decided."""
    listener = call.session.listener
    how: How = "performed"
    code = 0
    try:
        if not isinstance(reply, InstallFd):
            call.let_go()
        match reply:
            case Value(value):
                listener.answer_value(call.ident, value)
            case Continue():
                how = "continued"
                listener.answer_continue(call.ident)
            case Fail(code):
                listener.answer_error(call.ident, code)
            case InstallFd(fd, flags):
                code = _install(call, fd, flags)
    except TraceeGone:
        call.note = "the caller was gone before the answer"
    _record(call, how, code)
    call.close()


def _record(call: Call, how: How, code: int) -> None:
    """Log the decision. The call has its answer by now: a log that fails must not end anything."""
    if not call.wants_event:
        return
    try:
        call.session.report(call.event(how, code))
    except Exception:  # noqa: BLE001 - see above
        call.session.unrecorded += 1


def _install(call: Call, fd: HostFd, flags: int) -> int:
    try:
        call.session.listener.install(call.ident, fd, flags)
    except OSError as error:
        code = error.errno or errno.EMFILE
        call.session.listener.answer_error(call.ident, code)
        return code
    return 0


def _fail(call: Call, error: Exception) -> None:
    session = call.session
    how: How = "performed"
    code = session.policy.errno
    match error:
        case TraceeGone():
            if not _still_waits(call):
                call.close()
                return
            how, call.note, call.wants_event = "failed", "the thread could not be looked at", True
        case SyscallError():
            code = error.errno
        case Denied(verdict=verdict):
            how, call.verdict, code = "refused", verdict, verdict.errno
            session.refusals += 1
        case _ if not _still_waits(call):
            call.close()  # whatever went wrong with a call that is gone
            return
        case _:
            how, call.note, call.wants_event = "failed", _describe(error), True
            session.refusals += 1
    call.let_go()
    try:
        session.listener.answer_error(call.ident, code)
    except TraceeGone:
        call.note = call.note or "the caller was gone before the answer"
    except OSError as second:
        call.note = f"{call.note}; and the answer: {second.strerror}"
    _record(call, how, code)
    call.close()


def _still_waits(call: Call) -> bool:
    try:
        return call.session.listener.valid(call.ident)
    except OSError:
        return False


def _describe(error: Exception) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, CannotServe):
        return str(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace is not None else ""
    return f"{type(error).__name__}: {error} ({where})"
