"""Values of JSON by type: what fits is returned, everything else is refused with its place, in one line."""

import dataclasses
from typing import Any

import pytest
from hostile_values import VALUES, assert_short_line, outcome
from hypothesis import given, settings
from hypothesis import strategies as st

from multilstm.errors import InputError
from multilstm.json_data import typed


@dataclasses.dataclass
class Inner:
    name: str
    bits: list[list[bool]] | None


@dataclasses.dataclass
class Outer:
    seed: int
    counts: dict[str, int]
    seconds: float = 0.0
    anything: Any = None
    inner: dict[str, Inner] = dataclasses.field(default_factory=dict)


GOOD = {
    "seed": 3,
    "counts": {"a": 1},
    "seconds": 1.5,
    "anything": [None, {"x": 1}],
    "inner": {"b": {"name": "n", "bits": [[True, False], []]}},
}


def test_objects_become_dataclasses():
    desired = Outer(3, {"a": 1}, 1.5, [None, {"x": 1}], {"b": Inner("n", [[True, False], []])})
    assert typed(Outer, GOOD, "the file") == desired
    assert typed(Outer, {"seed": 1, "counts": {}, "seconds": 2}, "the file") == Outer(1, {}, 2)
    assert typed(Inner, {"name": "", "bits": None}, "the file") == Inner("", None)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the file: given None; expected an object"),
        ([], r"the file: given \[\]; expected an object"),
        ({}, "the file: 'seed' is missing; expected 'seed', 'counts', 'seconds', 'anything', 'inner'"),
        ({**GOOD, "sede": 1}, "the file: unknown key 'sede': expected one of seed, counts"),
        ({**GOOD, "seed": True}, "the file: seed: given True; expected a whole number"),
        ({**GOOD, "seed": 1.0}, "the file: seed: given 1.0; expected a whole number"),
        ({**GOOD, "seed": 2**63}, "the file: seed: given 9223372036854775808; expected at most 9223372036854775807"),
        ({**GOOD, "seed": -(10**4000)}, "the file: seed: given .*; expected at most"),
        ({**GOOD, "seconds": "1"}, "the file: seconds: given '1'; expected a number"),
        ({**GOOD, "seconds": None}, "the file: seconds: given None; expected a number"),
        ({**GOOD, "seconds": 10**4000}, "the file: seconds: given .*; expected at most"),
        ({**GOOD, "counts": {"a": None}}, r"the file: counts\['a'\]: given None; expected a whole number"),
        ({**GOOD, "counts": []}, r"the file: counts: given \[\]; expected an object"),
        ({**GOOD, "inner": {"b": {}}}, r"the file: inner\['b'\]: 'name' is missing; expected 'name', 'bits'"),
        ({**GOOD, "inner": {"b": {"name": 3, "bits": None}}}, r"inner\['b'\]: name: given 3; expected text"),
        ({**GOOD, "inner": {"b": {"name": "", "bits": {}}}}, r"inner\['b'\]: bits: given {}; expected a list"),
        ({**GOOD, "inner": {"b": {"name": "", "bits": [[0]]}}}, r"bits\[0\]\[0\]: given 0; expected true or false"),
    ],
    ids=lambda value: value.split("; expected")[0][:50] if isinstance(value, str) else "",
)
def test_other_values_are_refused_with_their_place(value, message):
    with pytest.raises(InputError, match=message):
        typed(Outer, value, "the file")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*GOOD, "other", "\x1b[31m\n"]), VALUES)
def test_any_value_of_any_field_is_kept_or_refused_in_one_printable_line(name, value):
    result, message = outcome(typed, Outer, {**GOOD, name: value}, "the file")
    if message is not None:
        assert_short_line(message)
        assert message.startswith("the file: ")
    else:
        assert name in GOOD
        assert name == "inner" or repr(getattr(result, name)) == repr(value)
