"""Any value of an option of the main commands: taken, or refused with exit code 2 before anything runs."""

import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multilstm.cli.app import main

NAMES = [
    ("parity", "--engine"),
    ("parity", "--dtype"),
    ("parity", "--quantity"),
    ("parity", "--case"),
    ("fuzz", "--engine"),
]
NAMES += [("doctor", "--engine"), ("parity", "--layers"), ("parity", "--device")]
WHOLE = [("parity", "--batch"), ("parity", "--timesteps"), ("parity", "--seed"), ("fuzz", "--seed")]
NUMBERS = [("parity", "--atol"), ("parity", "--rtol"), ("parity", "--timeout"), ("fuzz", "--seconds")]
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refuse(command, option, value):
    """Fail unless a command refuses the value of an option with exit code 2."""
    with pytest.raises(SystemExit) as raised:
        main([command, option, value])
    assert raised.value.code == 2


@quick
@given(st.sampled_from(NAMES), st.text("\x1b{}'\n" + string.ascii_letters, min_size=1, max_size=9).map("_".__add__))
def test_any_unknown_name_is_refused(option, name):
    refuse(*option, name)


@quick
@given(st.sampled_from(WHOLE), st.floats().map(str) | st.text(string.ascii_letters + "._", min_size=1, max_size=9))
def test_any_text_that_is_no_whole_number_is_refused(option, text):
    refuse(*option, text)


@quick
@given(
    st.sampled_from(NUMBERS),
    st.sampled_from(["nan", "inf", "-inf", "-1", "", "x"]) | st.floats(max_value=-1e-9).map(str),
)
def test_any_number_out_of_range_is_refused(option, text):
    refuse(*option, text)
