"""Classic BPF as seccomp runs it (Documentation/networking/filter.rst, kernel/seccomp.c), for looking at filters."""

import struct
from typing import NamedTuple

from supervisor.abi.numbers import Architecture

LOW = 0xFFFFFFFF
_DATA = struct.Struct("<iIQ6Q")
_INSTRUCTION = struct.Struct("=HBBI")

LD_ABS, LD_IMM, LD_MEM, LDX_IMM, LDX_MEM, ST, STX = 0x20, 0x00, 0x60, 0x01, 0x61, 0x02, 0x03
RET_K, RET_A, TAX, TXA, JA = 0x06, 0x16, 0x07, 0x87, 0x05
_ARITHMETIC = {
    0x00: lambda a, b: a + b, 0x10: lambda a, b: a - b, 0x20: lambda a, b: a * b, 0x40: lambda a, b: a | b,
    0x50: lambda a, b: a & b, 0x60: lambda a, b: a << b, 0x70: lambda a, b: a >> b, 0xA0: lambda a, b: a ^ b,
}
_TESTS = {
    0x10: lambda a, b: a == b, 0x20: lambda a, b: a > b, 0x30: lambda a, b: a >= b, 0x40: lambda a, b: bool(a & b),
}


class Instruction(NamedTuple):
    """struct sock_filter."""

    code: int
    jt: int
    jf: int
    k: int


def disassemble(program: bytes) -> list[Instruction]:
    return [Instruction(*fields) for fields in _INSTRUCTION.iter_unpack(program)]


def run(program: bytes, architecture: Architecture | int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """The SECCOMP_RET_* value of one call. Arguments are taken as 64-bit registers; missing ones are 0."""
    audit = architecture if isinstance(architecture, int) else architecture.audit
    registers = [value & 0xFFFFFFFFFFFFFFFF for value in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = _DATA.pack(number - (1 << 32) if number >= 1 << 31 else number, audit, 0x7F0000001234, *registers)
    instructions = disassemble(program)
    at, a, x, memory = 0, 0, 0, [0] * 16
    while True:
        code, jt, jf, k = instructions[at]
        at += 1
        operand = x if code & 0x08 else k
        if code == LD_ABS:
            assert k % 4 == 0
            (a,) = struct.unpack_from("<I", data, k)
        elif code == RET_K:
            return k
        elif code == RET_A:
            return a
        elif code & 0x07 == 0x05:
            at += k if code == JA else jt if _TESTS[code & 0xF0](a, operand) else jf
        elif code & 0x07 == 0x04:
            a = _ARITHMETIC[code & 0xF0](a, operand) & LOW
        elif code in (TAX, TXA):
            a, x = (a, a) if code == TAX else (x, x)
        elif code in (LD_IMM, LD_MEM):
            a = k if code == LD_IMM else memory[k]
        elif code in (LDX_IMM, LDX_MEM):
            x = k if code == LDX_IMM else memory[k]
        elif code in (ST, STX):
            memory[k] = a if code == ST else x
        else:
            raise AssertionError(f"seccomp knows no instruction {code:#x}")
