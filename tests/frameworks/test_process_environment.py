"""Environments merge: the last value of a variable counts, but the flags of XLA add up."""

from multilstm.frameworks.process_environment import merge


def test_the_last_value_counts_and_flags_of_xla_add_up():
    first, second = {"XLA_FLAGS": "--a=1", "HERE": "1"}, {"XLA_FLAGS": "--a=2 --b=2", "HERE": "2"}
    assert merge(first, second) == {"XLA_FLAGS": "--a=1 --b=2", "HERE": "2"}
    assert first["HERE"] == "1"


def test_a_flag_whose_name_begins_another_is_kept():
    assert merge({"XLA_FLAGS": "--a_longer=1"}, {"XLA_FLAGS": "--a=2"}) == {"XLA_FLAGS": "--a_longer=1 --a=2"}


def test_flags_stay_where_a_later_environment_sets_none():
    assert merge({"XLA_FLAGS": "--a=1"}, {"XLA_FLAGS": ""}, {}) == {"XLA_FLAGS": "--a=1"}


def test_no_flags_are_no_variable():
    assert merge({"HERE": "1"}, {}) == {"HERE": "1"}
