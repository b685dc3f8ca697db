import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.policy.glob import ANY, STAR, STARS, Glob, GlobError, OneOf, parse_glob


def matches(pattern, name, *, components=True):
    return bool(parse_glob(pattern, components=components).compile(components=components).fullmatch(name))


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("/run/a", b"/run/a", True),
        ("/run/a", b"/run/ab", False),
        ("/run/*", b"/run/a", True),
        ("/run/*", b"/run/", True),
        ("/run/*", b"/run/a/b", False),
        ("/run/*.sock", b"/run/a.sock", True),
        ("/run/*.sock", b"/run/a.sock2", False),
        ("/run/?", b"/run/a", True),
        ("/run/?", b"/run//", False),
        ("/run/[ab]x", b"/run/bx", True),
        ("/run/[!ab]x", b"/run/bx", False),
        ("/run/[^ab]x", b"/run/cx", True),
        ("/run[!a]x", b"/run/x", False),
        ("/run[.-0]x", b"/run/x", False),
        ("/run/[a-c-]", b"/run/-", True),
        ("/run/**", b"/run/a/b/c", True),
        ("/run/**/x", b"/run/a/b/x", True),
        ("/run/**/x", b"/run/x", False),
        ("/**.sock", b"/a/b.sock", True),
        ("/run/a*b*c", b"/run/aXbYbZc", True),
        ("/run/a*b*c", b"/run/aXb/Zc", False),
        ("/run/*/*/x", b"/run/a/b/x", True),
        (r"/run/\*", b"/run/*", True),
        (r"/run/\*", b"/run/a", False),
        (r"/run/\xff", b"/run/\xff", True),
        ("/run/é", "/run/é".encode(), True),
        ("/run/a.b", b"/run/aXb", False),
        ("/run/a\nb*", b"/run/a\nb\n", True),
    ],
)
def test_paths(pattern, name, expected):
    assert matches(pattern, name) is expected


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", b"/tmp/.X11-unix/X0", True),
        ("?tmp", b"/tmp", True),
        ("[!a]tmp", b"/tmp", True),
        (r"a\0b", b"a\0b", True),
        (r"a\0*", b"a\0\0\0", True),
        ("[^/]", b"/", False),
    ],
)
def test_abstract_names_have_no_components(pattern, name, expected):
    assert matches(pattern, name, components=False) is expected


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("/a***", "three|two stars"),
        ("/[ab", "no closing"),
        ("/[b-a]", "backwards"),
        ("/[]", "matches nothing"),
        ("/[/]", "matches nothing"),
        ("/[é]", "single bytes"),
        ("/a\\", "backslash"),
        ("/\\q", "backslash"),
        ("/\ud800", "surrogate"),
    ],
)
def test_errors_say_what_is_wrong(pattern, message):
    with pytest.raises(GlobError, match=message):
        parse_glob(pattern, components=True)


def test_foreign_bytes_of_the_command_line_are_themselves():
    assert parse_glob("/a\udcff", components=True).literal == b"/a\xff"


def test_only_a_pattern_without_wildcards_is_literal():
    assert parse_glob("/a/b", components=True).literal == b"/a/b"
    assert parse_glob("/a/?", components=True).literal is None


def naive(tokens, name, crosses):
    """The same language, by trying everything."""
    if not tokens:
        return not name
    token, rest = tokens[0], tokens[1:]
    if token in (STAR, STARS):
        limit = len(name)
        if token is STAR and not crosses and b"/" in name:
            limit = name.index(b"/")
        return any(naive(rest, name[cut:], crosses) for cut in range(limit + 1))
    if isinstance(token, bytes):
        return name.startswith(token) and naive(rest, name[len(token) :], crosses)
    if not name:
        return False
    fits = name[0] in token.members if isinstance(token, OneOf) else crosses or name[:1] != b"/"
    return fits and naive(rest, name[1:], crosses)


# A small alphabet, so that names nearly match.
pieces = st.sampled_from(["a", "b", "/", "?", "*", "**", "[ab]", "[!a]", "a/", "*/"])
patterns = st.lists(pieces, max_size=9).map("".join)
names = st.text("ab/", max_size=12).map(str.encode)


@given(patterns, names, st.booleans())
def test_the_expression_accepts_what_trying_everything_accepts(pattern, name, components):
    try:
        glob = parse_glob(pattern, components=components)
    except GlobError:
        return
    found = glob.compile(components=components).fullmatch(name) is not None
    assert found == naive(glob.tokens, name, not components)


@given(st.text(max_size=30) | patterns, st.booleans())
def test_any_text_is_a_pattern_or_a_named_error(pattern, components):
    try:
        outcome = parse_glob(pattern, components=components)
    except GlobError as error:
        outcome = str(error)
    assert outcome
    if isinstance(outcome, Glob):
        assert parse_glob(str(outcome), components=components) == outcome


@given(st.binary(max_size=20))
def test_every_name_can_be_spelled(name):
    assert parse_glob(str(Glob((name,)) if name else Glob(())), components=False) == Glob((name,) if name else ())


@pytest.mark.parametrize("pattern", ["/" + "a*" * 30 + "b", "/" + "**a" * 30 + "b", "/" + "**a*b" * 12 + "c"])
def test_no_name_makes_matching_slow(pattern):
    expression = parse_glob(pattern, components=True).compile(components=True)
    start = time.process_time()
    expression.fullmatch(b"/" + b"a" * 107)
    expression.fullmatch(b"/" + b"ab" * 53)
    assert time.process_time() - start < 0.05


def test_any_is_one_byte():
    assert parse_glob("?", components=True).tokens == (ANY,)
