"""`supervise daemon`: serve many programs from one process."""

import argparse
import os

from supervisor.errors import StartError

DESCRIPTION = """\
Serve many programs, each under the policy that it asks for by name, from one process.

The control socket is [daemon] socket of the configuration, or --socket. It is for this user alone (mode 0600), or for
[daemon] group. Tells the service manager when it is ready (READY=1). SIGTERM and SIGINT end it after calls in flight
have ended, or after three seconds; programs that are still there find their socket calls failing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", required=True, help="policies, and the [daemon] table")
    parser.add_argument("--socket", metavar="PATH", help="the control socket, instead of the configuration's")
    parser.add_argument("--log", metavar="FILE", help="JSON lines (- for stderr), instead of the configuration's")


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    import trio

    from supervisor.cli.policy_file import load_config
    from supervisor.daemon.audit import check_log, open_log
    from supervisor.daemon.local import runtime_directory
    from supervisor.daemon.server import Server
    from supervisor.kernel import seccomp

    if not seccomp.has_user_notification():
        raise StartError("this kernel has no seccomp user notification (Linux 5.9 is needed): see `supervise doctor`")
    config = load_config(arguments.config)
    path = arguments.socket or config.daemon.socket
    if path is None:
        path = f"{runtime_directory()}/daemon.sock"
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    log = arguments.log or config.daemon.log or "-"
    check_log(log)
    trio.run(Server(config, path, open_log(log, config.daemon.log_level)).run)
    return 0
