"""The answer of the policy to one operation."""

from typing import NamedTuple


class Verdict(NamedTuple):
    """`allowed`, the `rule` that decided (as the file spells it, with its place: `policy.ci.connect.deny[0]
    "10.0.0.0/8:*"`, or `policy.ci.default "deny"`), and the `errno` that a refused call returns (positive)."""

    allowed: bool
    rule: str
    errno: int
