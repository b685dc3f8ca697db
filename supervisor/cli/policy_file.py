"""Reading a policy for a command: the argument `FILE[:NAME]`, the file, and one clear line when either is wrong."""

import os
import re
from typing import Final

from supervisor.errors import UsageError
from supervisor.policy.config import Config, ConfigErrors, parse_config
from supervisor.policy.engine import Policy

ARGUMENT_HELP: Final = "policy file, and the name of a policy in it when there are several"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")


def split_policy_argument(argument: str) -> tuple[str, str | None]:
    """Split `FILE[:NAME]`; the path of an existing file is never split."""
    path, colon, name = argument.rpartition(":")
    if not colon or not path or not _NAME.fullmatch(name) or os.path.exists(argument):
        return argument, None
    return path, name


def read_config(path: str) -> Config:
    """Read and check a whole file. Raises `UsageError` when it cannot be read, `ConfigErrors` when it has errors."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise UsageError(f"cannot read the policy file {path}: {error.strerror}") from None
    except (UnicodeDecodeError, ValueError) as error:
        raise UsageError(f"cannot read the policy file {path}: {_reason(error)}") from None
    return parse_config(text, path)


def _reason(error: ValueError) -> str:
    return f"byte {error.start} is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def load_config(path: str) -> Config:
    """`read_config` for commands that cannot go on: errors in the file are a `UsageError` with a line for each."""
    try:
        return read_config(path)
    except ConfigErrors as errors:
        raise UsageError(str(errors)) from None


def load_policy(argument: str) -> Policy:
    """The policy that `FILE[:NAME]` names. Raises `UsageError`."""
    path, name = split_policy_argument(argument)
    return load_config(path).policy(name)
