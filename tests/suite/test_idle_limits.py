"""A limit that no value reaches is named in the verdict, since an engine without it gives the same answers."""

import dataclasses

import pytest
from faulty_pool import FaultyPool

from multilstm.cases.model_case import model_case
from multilstm.execution.options import Options
from multilstm.spec import LSTM, Dense, ReLU, Sequential
from multilstm.suite.compare_cases import compare_cases
from multilstm.suite.idle_limits import idle_limits

pytestmark = pytest.mark.unit
IDLE = {
    "max_value": [ReLU(max_value=1.0, name="limited")],
    "relu6": [Dense(3, activation="relu6", name="limited")],
}
REACHED = {
    "max_value": [ReLU(max_value=0.1, name="limited")],
    "no limit": [ReLU(name="limited")],
    "relu": [Dense(3, activation="relu", name="limited")],
}


def case_of(layers):
    return model_case(Sequential([LSTM(4, return_sequences=True), *layers, LSTM(2)], (None, 3)))


@pytest.mark.parametrize("label", IDLE)
def test_a_limit_that_no_value_reaches_is_named(label):
    report = compare_cases((case_of(IDLE[label]),), Options(("jax-scan",), ("float64",)), pool=FaultyPool())
    assert report.agrees
    assert "No value reaches the largest output of limited: it is not exercised." in report.sentence


@pytest.mark.parametrize("label", REACHED)
def test_a_limit_that_acts_is_not(label):
    assert idle_limits(case_of(REACHED[label])) == ()


def test_a_case_of_the_catalogue_has_no_such_sentence():
    assert idle_limits(dataclasses.replace(case_of(IDLE["relu6"]), example=False)) == ()
