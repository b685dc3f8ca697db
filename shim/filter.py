"""From a plan to a BPF program, with libseccomp. The only user of pyseccomp.

Compiled filters are kept in this package's `__pycache__`, named by their content's digest: whoever can write there can
also replace the byte code beside them, so a kept filter is trusted exactly as that is. Importing libseccomp costs 25 ms
of every start otherwise.
"""

import contextlib
import hashlib
import os
import platform
import tempfile
from typing import Final

from supervisor.errors import StartError
from supervisor.syscalls.plan import Plan

_VERSION: Final = 1
_CACHE: Final = os.path.join(os.path.dirname(__file__), "__pycache__")


def compile_filter(plan: Plan) -> bytes:
    """The plan as struct sock_filter[]. From the cache where it is there. StartError without libseccomp."""
    path = os.path.join(_CACHE, f"filter-{_digest(plan)}.bpf")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        pass
    program = _build(plan)
    _keep(path, program)
    return program


def _digest(plan: Plan) -> str:
    return hashlib.sha256(repr((_VERSION, platform.machine(), plan.rules)).encode()).hexdigest()[:32]


def _keep(path: str, program: bytes) -> None:
    """Write the whole file or nothing; a read-only installation keeps nothing."""
    with contextlib.suppress(OSError):
        os.makedirs(_CACHE, exist_ok=True)
        number, name = tempfile.mkstemp(dir=_CACHE)
        try:
            with os.fdopen(number, "wb") as file:
                os.fchmod(number, 0o644)
                file.write(program)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise


def _build(plan: Plan) -> bytes:
    try:
        import pyseccomp  # 25 ms
    except (ImportError, RuntimeError) as error:
        raise StartError(f"libseccomp is needed to build the filter (Debian package libseccomp2): {error}") from error

    program = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    program.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    for rule in plan.rules:
        conditions = [
            pyseccomp.Arg(c.arg, pyseccomp.MASKED_EQ, c.mask, c.value) if c.test == "eq"
            else pyseccomp.Arg(c.arg, pyseccomp.NE, 0)
            for c in rule.conditions
        ]
        action = pyseccomp.NOTIFY if rule.errno is None else pyseccomp.ERRNO(rule.errno)
        program.add_rule(action, rule.call, *conditions)
    with tempfile.TemporaryFile() as file:
        program.export_bpf(file)
        file.seek(0)
        return file.read()
