import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.policy.lines import find_lines

# Every integer in this text is the number of its line.
NUMBERED = '''\
# a comment with [brackets], "quotes" and = signs
one = 2 # with another
"quoted.key" = 3
'literal' = 4
"esc\\u0061ped" = 5
dotted . "k e y" = 6
list = [
  8, "a, ] # not the end", 8,
  9, # ] still not

  [11,
   12], { a = 12, b.c = 12 }, { x = [12, 12,
  13 ] },
]
inline = { a = 15, "b" = [15, 15], c = { d = 15 }, e = {} }
multi = """ " "" \\"""
[not.a.table]
x = 1
"""""
after = 20
literal_multi = \'\'\'
"""
y = 2 \'\'\'\'\'
after_literal = 24
date = 1979-05-27 07:32:00
after_date = 26
empty = []
[table]
x = 29
[ table . "sub" ]
x = 31
[table.sub.deeper]
x = 33
[[array]]
x = 35
[array.sub]
x = 37
[[array]]
x = 39
[[array.inner]]
x = 41
[[array.inner]]
x = 43
'''


def integers(value, path=()):
    if isinstance(value, dict):
        for key, each in value.items():
            yield from integers(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from integers(each, (*path, index))
    elif isinstance(value, int):
        yield path, value


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_integer_stands_on_its_line(newline):
    decoded = dict(integers(tomllib.loads(NUMBERED)))
    lines = find_lines(NUMBERED.replace("\n", newline))
    assert len(decoded) == 30
    assert {path: lines[path] for path in decoded} == decoded


def test_tables_stand_where_they_are_first_named():
    lines = find_lines(NUMBERED)
    assert lines["table",] == 28
    assert lines["table", "sub"] == 30
    assert lines["array", 1] == 38
    assert lines["array", 1, "inner", 1] == 42
    assert lines["dotted",] == 6


def test_nothing_is_needed_at_the_end():
    assert find_lines("") == {}
    assert find_lines("# only") == {}
    assert find_lines("a = [1]") == {("a",): 1, ("a", 0): 1}


def paths(value, path=()):
    if path:
        yield path
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(each, (*path, key))


strings = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
spaces = st.sampled_from(["", " ", "\n", " # ] } \" '\n", "\n\n"])


@st.composite
def spelled(draw, depth=2):
    kind = draw(st.sampled_from(["number", "basic", "literal", "multi", "list", "table"][: 6 if depth else 4]))
    if kind == "list":
        items = draw(st.lists(spelled(depth=depth - 1), max_size=3))
        return "[" + "".join(draw(spaces) + item + draw(spaces) + "," for item in items) + draw(spaces) + "]"
    if kind == "table":
        items = draw(st.lists(spelled(depth=depth - 1), max_size=3))
        return "{" + ", ".join(f" k{index}.x = {item}" for index, item in enumerate(items)) + "}"
    text = draw(strings)
    basic = text.replace("\\", "\\\\").replace('"', '\\"')
    return {
        "number": "17",
        "basic": f'"{basic}"',
        "literal": "'" + text.replace("'", "") + "'",
        "multi": '"""\n' + basic + '"""' + draw(st.sampled_from(["", '"', '""'])),
    }[kind]


@given(st.lists(spelled(), max_size=5))
def test_every_key_and_item_has_a_line(values):
    text = "".join(f"[t{index}]\n# x\nk = {value}\n" for index, value in enumerate(values))
    lines = find_lines(text)
    assert set(paths(tomllib.loads(text))) == set(lines)
    for index in range(len(values)):
        assert text.split("\n")[lines[f"t{index}", "k"] - 1].startswith("k = ")
