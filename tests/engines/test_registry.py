"""Environments are joined: the later variables win, but a flag of XLA stays as it was given first."""

import pytest

from multilstm.frameworks.process_environment import joined


@pytest.mark.parametrize(
    ("first", "second", "flags"),
    [("", "--a=1", "--a=1"), ("--a=1", "--b=2", "--a=1 --b=2"), ("--a=1", "--a=2 --b=2", "--a=1 --b=2")],
    ids=["none", "another", "one_of_two"],
)
def test_flags_of_xla_add_up(first, second, flags):
    given = [{"XLA_FLAGS": first, "HERE": "1"}, {"XLA_FLAGS": second, "HERE": "2"}]
    assert joined(*given) == {"XLA_FLAGS": flags, "HERE": "2"}
    assert given[0]["HERE"] == "1"
