"""System call numbers and audit architectures are those of the headers."""

import platform

import pytest

from supervisor.abi.numbers import AARCH64, ARCHITECTURES, COMMON, X86_64
from supervisor.syscalls.table import ROWS, rows_by_number
from tests.unit.abi.compiler import evaluate

# What arch/arm64/include/uapi/asm/unistd.h says before it includes the generic table.
AARCH64_TABLE = "\n".join(f"#define __ARCH_WANT_{name}" for name in (
    "RENAMEAT", "NEW_STAT", "SET_GET_RLIMIT", "TIME32_SYSCALLS", "SYS_CLONE3", "MEMFD_SECRET",
)) + "\n#define __BITS_PER_LONG 64"


def numbers(names, headers, before=""):
    return evaluate(headers, {name: f"__NR_{name}" for name in names}, before)


def test_this_machine():
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        pytest.skip(f"{machine} is not supported")
    calls = ARCHITECTURES[machine].calls
    assert numbers(calls, ("asm/unistd.h",)) == calls


def test_aarch64():
    assert numbers(AARCH64.calls, ("asm-generic/unistd.h",), AARCH64_TABLE) == AARCH64.calls


@pytest.mark.parametrize(("headers", "before"), [(("asm/unistd.h",), ""), (("asm-generic/unistd.h",), AARCH64_TABLE)])
def test_numbers_that_are_the_same_everywhere(headers, before):
    assert numbers(COMMON, headers, before) == COMMON


def test_audit_architectures():
    said = evaluate(("linux/audit.h",), {"x86_64": "AUDIT_ARCH_X86_64", "aarch64": "AUDIT_ARCH_AARCH64"})
    assert said == {machine: architecture.audit for machine, architecture in ARCHITECTURES.items()}


@pytest.mark.parametrize("architecture", [X86_64, AARCH64], ids=lambda architecture: architecture.machine)
def test_no_number_is_given_twice(architecture):
    calls = architecture.calls | COMMON
    assert len(set(calls.values())) == len(calls)
    assert len(rows_by_number(architecture)) == len(ROWS)


def test_every_machine_has_the_same_calls():
    assert X86_64.calls.keys() == AARCH64.calls.keys()
    assert not X86_64.calls.keys() & COMMON.keys()
