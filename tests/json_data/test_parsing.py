"""JSON text of a stranger: read as the data that it holds, or refused in one line."""

import json

import pytest
from hostile_values import assert_short_line, outcome
from hypothesis import given, settings
from hypothesis import strategies as st

from multilstm.errors import InputError
from multilstm.json_data import parse_json
from multilstm.json_data.parsing import CONTAINER_LIMIT, DEPTH_LIMIT

LIMIT = 10_000
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@settings(deadline=None)
@given(values)
def test_reads_what_json_holds(value):
    text = json.dumps(value)
    assert parse_json(text, len(text)) == value


def nested(depth, opening, closing):
    return opening * depth + "1" + closing * depth


@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")], ids=["lists", "objects", "both"])
def test_the_depth_is_limited(brackets):
    levels = DEPTH_LIMIT // len(brackets[1])
    assert parse_json(nested(levels, *brackets), LIMIT) is not None
    for depth in (levels + 1, 900):
        with pytest.raises(InputError, match="nested too deeply; expected at most 100 levels"):
            parse_json(nested(depth, *brackets), LIMIT)


@settings(max_examples=50, deadline=None)
@given(st.integers(DEPTH_LIMIT + 1, 100_000), st.sampled_from(["[", '{"a":', '[{"":', "[[],"]))
def test_any_depth_beyond_the_limit_is_refused_in_one_line(depth, opening):
    with pytest.raises(InputError) as raised:
        parse_json(opening * depth, 10**6)
    assert "\n" not in str(raised.value)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), scalars, min_size=1), st.data())
def test_a_repeated_key_is_refused(members, data):
    name = data.draw(st.sampled_from(list(members)))
    pairs = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in members.items()]
    with pytest.raises(InputError, match=r"gives the key .* twice in one object"):
        parse_json(f"[{{{', '.join([*pairs, f'{json.dumps(name)}: 0'])}}}]", 10**6)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["NaN", "Infinity", "-Infinity"]) | st.integers(309, 10**6).map(lambda power: f"1e{power}"))
def test_a_number_that_is_not_finite_is_refused(number):
    with pytest.raises(InputError, match=r"the JSON contains .*; expected finite numbers only"):
        parse_json(f'{{"a": [{number}]}}', LIMIT)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=50) | st.text('[]{}":,1e-. ', max_size=30))
def test_text_is_read_as_json_reads_it_or_refused_in_one_line(text):
    value, message = outcome(parse_json, text, LIMIT)
    if message is not None:
        assert_short_line(message)
    else:
        assert value == json.loads(text)


@pytest.mark.parametrize("size", [100, 101])
def test_the_size_is_limited(size):
    text = " " * (size - 1) + "1"
    if size <= 100:
        assert parse_json(text, 100) == 1
        return
    with pytest.raises(InputError, match="the JSON has 101 characters; expected at most 100"):
        parse_json(text, 100)


@pytest.mark.parametrize("container", ["[]", "{}"])
def test_refuses_more_containers_than_memory_should_hold(container):
    text = "[" + f"{container}," * CONTAINER_LIMIT + "0]"
    with pytest.raises(InputError, match="1,000,001 lists and objects; expected at most 1,000,000"):
        parse_json(text, len(text))
