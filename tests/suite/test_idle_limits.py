"""A limit that no value reaches is named in the verdict, since an engine without it gives the same answers."""

import dataclasses

import pytest
from faulty_pool import FaultyPool

from multilstm.cases.model_case import model_case
from multilstm.execution.options import Options
from multilstm.spec import GRU, LSTM, Bidirectional, Dense, ReLU, Rescaling, Sequential
from multilstm.suite.compare_cases import compare_cases
from multilstm.suite.idle_limits import idle_limits

pytestmark = pytest.mark.unit
IDLE = {
    "max_value": ([ReLU(max_value=1.0, name="limited")], "the upper limit of limited: it is"),
    "relu6": ([Dense(3, activation="relu6")], "the upper limit of relu6: it is"),
    "hard_sigmoid": (
        [Dense(3, activation="hard_sigmoid")],
        "a limit of hard_sigmoid: it is",
    ),
    "gates": ([LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True)], "a limit of hard_sigmoid: it is"),
    "inside_of_a_wrapper": (
        [Bidirectional(LSTM(3, activation="relu6", return_sequences=True))],
        "the upper limit of relu6: it is",
    ),
}
LARGE = Rescaling(50.0)
REACHED = {
    "hard_sigmoid": [LARGE, Dense(3, activation="hard_sigmoid")],
    "gates": [LARGE, LSTM(3, recurrent_activation="hard_sigmoid_keras2", return_sequences=True)],
    "gates_of_a_gru": [LARGE, GRU(3, recurrent_activation="hard_sigmoid", return_sequences=True)],
    "max_value": [ReLU(max_value=0.1, name="limited")],
    "no limit": [ReLU(name="limited")],
    "relu": [Dense(3, activation="relu", name="limited")],
}


def case_of(layers):
    return model_case(Sequential([LSTM(4, return_sequences=True), *layers, LSTM(2)], (None, 3)))


@pytest.mark.parametrize("label", IDLE)
def test_a_limit_that_no_value_reaches_is_named(label):
    layers, words = IDLE[label]
    report = compare_cases((case_of(layers),), Options(("jax-scan",), ("float64",)), pool=FaultyPool())
    assert report.agrees
    assert f"No value reaches {words}" in report.sentence


@pytest.mark.parametrize("label", REACHED)
def test_a_limit_that_acts_is_not(label):
    assert idle_limits(case_of(REACHED[label])) == ()


def test_a_case_of_the_catalogue_has_no_such_sentence():
    assert idle_limits(dataclasses.replace(case_of(IDLE["relu6"][0]), example=False)) == ()
