"""New names: the first free one, which is taken afterwards."""

import pytest

from multilstm.spec.names import unused


@pytest.mark.parametrize(("number", "expected"), [(0, ["a", "a_1", "a_2"]), (1, ["a", "a_2", "a_3"])])
def test_each_name_is_new(number, expected):
    taken = {"b"}
    assert [unused("a", taken, number) for _ in expected] == expected
    assert taken == {"b", *expected}
