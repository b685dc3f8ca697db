"""One rule of a policy: what it says, where it stands, and which lists may hold what."""

from typing import Final, Literal, NamedTuple

from supervisor.policy.endpoint import Endpoint, EndpointError, InetEndpoint, UnixEndpoint, parse_endpoint
from supervisor.policy.kind import KindError, SocketKind, parse_kind
from supervisor.policy.operation import Action

Effect = Literal["allow", "deny"]
EFFECTS: Final[tuple[Effect, ...]] = ("allow", "deny")
Target = Endpoint | SocketKind


class RuleError(ValueError):
    """The text is no rule of its list; str() says what was expected."""


class Rule(NamedTuple):
    """`place` is the key in the file that holds the rule (`policy.ci.connect.deny[0]`), `spelled` its text there."""

    action: Action
    effect: Effect
    place: str
    spelled: str
    target: Target

    def __str__(self) -> str:
        return f'{self.place} "{self.spelled}"'


def parse_rule(action: Action, effect: Effect, place: str, text: str) -> Rule:
    """Parse the text of one item of a list. Raises `RuleError`."""
    try:
        target: Target = parse_kind(text) if action == "socket" else parse_endpoint(text)
    except (EndpointError, KindError) as error:
        raise RuleError(str(error)) from None
    return Rule(action, effect, place, text, target)


def is_inet(rule: Rule) -> bool:
    return isinstance(rule.target, InetEndpoint)


def is_unix(rule: Rule) -> bool:
    return isinstance(rule.target, UnixEndpoint)
