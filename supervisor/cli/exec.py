"""`supervise exec`: run a program under a policy."""

import argparse
import os
from typing import TYPE_CHECKING

from supervisor.errors import StartError, UsageError

if TYPE_CHECKING:
    from supervisor.policy.engine import Policy

DESCRIPTION = """\
Run PROGRAM with its socket calls, and those of everything it starts, under a policy.

Without --policy everything is allowed and recorded. With --daemon (or SUPERVISE_DAEMON) the program is supervised by
a running `supervise daemon`, and this process becomes the program; otherwise a supervisor lives beside the program
for as long as anything that it started lives.

The exit status is the program's. A program that is killed by a signal ends `supervise` by the same signal. 127: the
program was not found; 126: it cannot be executed; 125: supervise itself failed, and nothing was started."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "supervise exec [OPTIONS] -- PROGRAM [ARGS ...]"
    parser.add_argument("--policy", metavar="FILE[:NAME]", help="the policy; with --daemon also a name it knows")
    parser.add_argument(
        "--mediate", choices=["auto", "full"], default="auto",
        help="auto (default): trap what the policy needs; full: service all 18 socket calls",
    )
    parser.add_argument(
        "--daemon", metavar="SOCKET", default=os.environ.get("SUPERVISE_DAEMON") or None,
        help="the control socket of a running daemon",
    )
    parser.add_argument(
        "--log", metavar="FILE", help="append every decision to FILE as JSON lines (- for stderr); "
        "without it refusals are told on stderr",
    )
    parser.add_argument("--summary", action="store_true", help="print the account of flows to stderr at the end")
    parser.add_argument(
        "--keep-fd", metavar="N", type=int, action="append", default=[],
        help="let the program inherit socket N (inherited sockets beyond 0, 1, 2 are closed otherwise)",
    )
    parser.add_argument("program", nargs="+", metavar="PROGRAM [ARGS]", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Supervise; the program's exit status."""
    for number in arguments.keep_fd:
        _check_open(number)
    if arguments.daemon:
        from supervisor.cli.client import exec_with_daemon  # the embedded supervisor needs far more

        return exec_with_daemon(arguments)
    return _embedded(arguments)


def _check_open(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        raise UsageError(f"--keep-fd {number}: not an open descriptor") from None


def _embedded(arguments: argparse.Namespace) -> int:
    from shim.filter import compile_filter
    from supervisor.cli.front import supervise
    from supervisor.daemon.audit import check_log, open_log
    from supervisor.daemon.start import Task
    from supervisor.kernel import landlock, seccomp
    from supervisor.syscalls.plan import plan_for

    if not seccomp.has_user_notification():
        raise StartError("this kernel has no seccomp user notification (Linux 5.9 is needed): see `supervise doctor`")
    policy = _policy(arguments.policy)
    plan = plan_for(policy, arguments.mediate)
    program = compile_filter(plan)
    check_log(arguments.log)
    task = Task(
        argv=arguments.program, policy=policy, mediation=arguments.mediate, guarded=plan.guarded,
        landlocked=landlock.holds(*plan.domain),
        open_log=lambda: open_log(arguments.log, "all"), summary=arguments.summary,
    )
    try:
        return supervise(task, program, plan.domain, set(arguments.keep_fd))
    except OSError as error:
        raise StartError(f"cannot start: {error.strerror or error}") from error


def _policy(argument: str | None) -> "Policy":
    if argument is None:
        from supervisor.policy.engine import ALLOW_ALL

        return ALLOW_ALL
    from supervisor.cli.policy_file import load_policy

    return load_policy(argument)
