"""A Masking behind other layers acts on inputs that a search finds, or the verdict names it."""

import numpy as np
import pytest
from faulty_pool import FaultyPool

from multilstm.engines.reference import lstm as reference_lstm
from multilstm.execution.options import Options
from multilstm.spec import LSTM, Dense, Dropout, Masking, Sequential, TimeDistributed
from multilstm.suite.compare_cases import compare_cases
from multilstm.suite.hidden_masks import exercising_case, idle_masks

true_forward = reference_lstm.forward
SPECS = {
    "relu": [Dense(4, activation="relu"), Masking(name="hidden"), LSTM(2)],
    "dropped": [Dense(4, activation="relu"), Dropout(0.5), Masking(name="hidden"), LSTM(2)],
    "in time": [TimeDistributed(Dense(3, activation="relu")), Masking(name="hidden"), LSTM(2)],
    "no bias": [Dense(3, use_bias=False), Masking(name="hidden"), LSTM(2)],
    "no rounding": [Dense(3, use_bias=False), Masking(0.25, name="hidden"), LSTM(2)],
    "tanh": [Dense(3, activation="tanh"), Masking(name="hidden"), LSTM(2)],
    "an LSTM": [LSTM(3, return_sequences=True), Masking(name="hidden"), LSTM(2)],
}
FOUND = ("relu", "dropped", "in time", "no bias")


def case_of(name, timesteps=None):
    return exercising_case(Sequential(SPECS[name], (timesteps, 3)), 3, 6, None)


def compared(case, fault=lambda patch: None):
    return compare_cases((case,), Options(("jax-scan",), ("float64",)), pool=FaultyPool(fault))


def mask_ignored(patch):
    def forward(layer, x, mask, *rest):
        return true_forward(layer, x, None, *rest)

    patch.setattr(reference_lstm, "forward", forward)


@pytest.mark.parametrize("timesteps", [None, 6])
@pytest.mark.parametrize("name", FOUND)
def test_a_found_input_makes_the_masking_act(name, timesteps):
    case = case_of(name, timesteps)
    assert idle_masks(case) == ()
    assert "padded on the left" in case.description
    report = compared(case)
    assert report.agrees
    assert "not exercised" not in report.sentence


@pytest.mark.parametrize("name", FOUND)
def test_an_engine_that_ignores_the_mask_is_caught(name):
    assert compared(case_of(name), mask_ignored).failures


@pytest.mark.parametrize("name", [name for name in SPECS if name not in FOUND])
def test_the_verdict_names_a_masking_that_did_not_act(name):
    report = compared(case_of(name))
    assert report.agrees
    assert "Masking is not exercised: hidden masked no timestep of these inputs." in report.sentence


@pytest.mark.parametrize(("bias", "idle"), [(True, ("td/hidden",)), (False, ())], ids=["a bias", "no bias"])
@pytest.mark.parametrize("depth", [1, 2], ids=["one wrapper", "two wrappers"])
def test_the_verdict_names_a_masking_of_a_model_inside_that_did_not_act(depth, bias, idle):
    """The first Masking of the model inside gives zeros, which stay zeros without a bias."""
    inner = Sequential([Masking(-1.0), Dense(3, use_bias=bias), Masking(name="hidden"), LSTM(2)], (4, 3))
    layer = TimeDistributed(inner if depth == 1 else TimeDistributed(inner), name="td")
    case = exercising_case(Sequential([layer], (*(5, 2)[:depth], 4, 3)), 3, 6, None)
    assert idle_masks(case) == idle


def test_given_inputs_decide_whether_a_masking_acts():
    """An input of zeros behind a relu without a bias."""
    spec = Sequential(SPECS["no bias"], (None, 3))
    case = exercising_case(spec, 3, 6, None)
    ones = [np.ones_like(batch.inputs["input_layer"]) for batch in case.forward.batches()]
    for batch, array in zip(case.forward.batches(), ones, strict=True):
        batch.inputs["input_layer"][:] = array
    assert idle_masks(case) == ("hidden",)


def test_a_masking_of_the_input_is_planned():
    spec = Sequential([Masking(-1.0, name="masking"), LSTM(2)], (None, 3))
    assert "not exercised" not in compared(exercising_case(spec, 3, 6, None)).sentence
