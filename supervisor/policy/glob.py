r"""Patterns over the names of unix sockets: text to tokens, tokens to one regular expression over bytes.

In a path `*`, `?` and `[...]` stay within one component and `**` crosses `/`. An abstract name has no components, so
there every wildcard crosses. `\` quotes the next special character; `\0` is NUL and `\xNN` any byte, the way
`str(address)` shows them.

The program chooses the name that is matched, and matching happens where every program's calls are read, so a name
must not be able to make it slow. A plain translation backtracks as (length of the name) ** (number of stars). Here
every star that another star follows is in an atomic group, which may be done for three reasons:
* `*F*`: F has a fixed length. When the first F that fits is taken, the second star can still reach every later F:
  there is no `/` in between, or F holds the `/` itself and fits in one place only.
* `**S**`: whichever S that fits begins first also ends first, and the second `**` can swallow the rest.
* `**` at the last segment is tried at each start: the square of 108 bytes at worst.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_SLASH: Final = ord("/")
_SPECIAL: Final = b"\\*?["
_HEX: Final = re.compile(r"x([0-9a-fA-F]{2})")


class GlobError(ValueError):
    """The text is not a pattern; str() says what is wrong with it."""


class OneOf(NamedTuple):
    """A bracket expression: as it was written, and the bytes that it accepts."""

    text: str
    members: frozenset[int]


class Wildcard(NamedTuple):
    """`?`, `*` or `**`."""

    text: str


ANY: Final = Wildcard("?")
STAR: Final = Wildcard("*")
STARS: Final = Wildcard("**")

Token = bytes | OneOf | Wildcard


class Glob(NamedTuple):
    """A parsed pattern; `str` spells it so that it parses to the same."""

    tokens: tuple[Token, ...]

    def __str__(self) -> str:
        return "".join(_spell(token) if isinstance(token, bytes) else token.text for token in self.tokens)

    @property
    def literal(self) -> bytes | None:
        """The only name that matches, or None when there may be several."""
        if all(isinstance(token, bytes) for token in self.tokens):
            return b"".join(token for token in self.tokens if isinstance(token, bytes))
        return None

    @property
    def is_everything(self) -> bool:
        """Whether the pattern is a lone star."""
        return self.tokens in ((STAR,), (STARS,))

    def compile(self, *, components: bool) -> re.Pattern[bytes]:
        """An expression for `fullmatch`; `components` for paths, where `/` separates."""
        tokens = self.tokens if components else tuple(STARS if token is STAR else token for token in self.tokens)
        *heads, last = _split(tokens, STARS)
        parts = [_segment(segment, is_last=False) for segment in heads]
        tail = _segment(last, is_last=True)
        if parts:
            tail = b".*" + tail
        body = b"".join(parts[:1] + [b"(?>.*?" + part + b")" for part in parts[1:]]) + tail
        return re.compile(body if components else body.replace(b"[^/]", b"."), re.DOTALL)


def _spell(literal: bytes) -> str:
    quoted = b"".join(b"\\" + bytes([c]) if c in _SPECIAL else bytes([c]) for c in literal)
    return quoted.replace(b"\0", b"\\0").decode("utf-8", "backslashreplace")


def _split(tokens: tuple[Token, ...], at: Wildcard) -> list[tuple[Token, ...]]:
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token is at:
            parts.append([])
        else:
            parts[-1].append(token)
    return [tuple(part) for part in parts]


def _segment(tokens: tuple[Token, ...], *, is_last: bool) -> bytes:
    first, *runs = (b"".join(map(_one, run)) for run in _split(tokens, STAR))
    if not runs:
        return first
    *inner, final = runs
    ending = b"[^/]*" + final if is_last else b"(?>[^/]*?" + final + b")"
    return first + b"".join(b"(?>[^/]*?" + run + b")" for run in inner) + ending


def _one(token: Token) -> bytes:
    if isinstance(token, bytes):
        return re.escape(token)
    if isinstance(token, OneOf):
        return b"[" + b"".join(b"\\x%02x" % member for member in sorted(token.members)) + b"]"
    return b"[^/]"


def parse_glob(text: str, *, components: bool) -> Glob:
    """Parse a pattern; `components` as in `Glob.compile`. Raises `GlobError`."""
    tokens: list[Token] = []
    for token in _tokens(text, components=components):
        if isinstance(token, bytes) and tokens and isinstance(tokens[-1], bytes):
            tokens[-1] += token
        else:
            tokens.append(token)
    return Glob(tuple(tokens))


def _tokens(text: str, *, components: bool) -> Iterator[Token]:
    at = 0
    while at < len(text):
        char = text[at]
        if char == "*":
            run = len(text) - at - len(text[at:].lstrip("*"))
            if run > 2:
                raise GlobError("more than two stars in a row")
            yield STAR if run == 1 else STARS
            at += run
        elif char == "?":
            yield ANY
            at += 1
        elif char == "[":
            one_of, at = _bracket(text, at, components=components)
            yield one_of
        else:
            literal, at = _literal(text, at)
            yield literal


def _literal(text: str, at: int) -> tuple[bytes, int]:
    """The bytes of one character at `at`, quoted or not, and where the next one starts."""
    char = text[at]
    if char != "\\":
        try:
            # Command line arguments carry foreign bytes as surrogates.
            return char.encode("utf-8", "surrogateescape"), at + 1
        except UnicodeEncodeError as error:
            raise GlobError("holds half a surrogate pair") from error
    if hexadecimal := _HEX.match(text, at + 1):
        return bytes([int(hexadecimal[1], 16)]), at + 4
    quoted = text[at + 1 : at + 2]
    if quoted == "0":
        return b"\0", at + 2
    if quoted and quoted in "\\*?[]!^-":
        return quoted.encode(), at + 2
    raise GlobError(r"a backslash is followed by one of \ * ? [ ] ! ^ - or by 0 or xNN")


def _bracket(text: str, start: int, *, components: bool) -> tuple[OneOf, int]:
    at = start + 1
    negated = text[at : at + 1] in ("!", "^")
    at += negated
    members: set[int] = set()
    while at < len(text) and text[at] != "]":
        low, at = _member(text, at)
        high = low
        if text[at : at + 1] == "-" and text[at + 1 : at + 2] not in ("]", ""):
            high, at = _member(text, at + 1)
            if high < low:
                raise GlobError("a range in [...] runs backwards")
        members.update(range(low, high + 1))
    if at >= len(text):
        raise GlobError("[ has no closing ]")
    accepted = frozenset(range(256)) - members if negated else frozenset(members)
    if components:
        accepted -= {_SLASH}
    if not accepted:
        raise GlobError("[...] matches nothing")
    return OneOf(text[start : at + 1], accepted), at + 1


def _member(text: str, at: int) -> tuple[int, int]:
    raw, after = _literal(text, at)
    if len(raw) != 1:
        raise GlobError("[...] takes single bytes: characters outside ASCII are several")
    return raw[0], after
