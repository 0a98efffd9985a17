"""A model of documents is compared on inputs that exercise the masks of its words: faulty engines must be caught."""

import numpy as np
import pytest
from faulty_pool import FaultyPool, lstms_masked_by_zeros

from multilstm.cases.model_case import model_case
from multilstm.engines.reference import engine as reference_engine
from multilstm.engines.reference import lstm as reference_lstm
from multilstm.engines.reference.layers import wrappers
from multilstm.execution.options import Options
from multilstm.spec import LSTM, Dense, Embedding, Masking, Sequential, TimeDistributed
from multilstm.suite.compare_cases import compare_cases

true_forward = reference_lstm.forward
true_walk = reference_engine.walk
WORDS = Sequential([Embedding(9, 3, mask_zero=True), LSTM(4)], (None,), input_dtype="int32")
FEATURES = Sequential([Masking(-1.0), LSTM(4)], (None, 3))
MODELS = {
    "tokens": Sequential([TimeDistributed(WORDS), LSTM(3), Dense(2)], (None, None), input_dtype="int32"),
    "features": Sequential([TimeDistributed(FEATURES), LSTM(3), Dense(2)], (None, None, 3)),
    "pages": Sequential([TimeDistributed(TimeDistributed(WORDS))], (None, None, None), input_dtype="int32"),
}


def masks_of_words(change):
    """Return a fault in the masks that LSTMs get: `change` maps the mask `[sentences, words]`."""

    def changed(layer, x, mask, *rest):
        return true_forward(layer, x, None if mask is None else change(mask), *rest)

    return lambda patch: patch.setattr(reference_lstm, "forward", changed)


def right_padded(mask):
    """Return the mask of an engine that takes only the number of words of every sentence."""
    return np.arange(mask.shape[1]) < mask.sum(axis=1, keepdims=True)


def of_the_first_sentence(mask):
    return np.broadcast_to(mask[:1], mask.shape)


def masked_by_the_first_feature(patch):
    def walk(spec, inputs, masks, apply):
        changed = {name: np.where(x[..., :1] == -1.0, -1.0, x) for name, x in inputs.items()}
        return true_walk(spec, changed, masks, apply)

    patch.setattr(wrappers, "walk", walk)


FAULTS = {
    "mask of words ignored": ("tokens", masks_of_words(lambda mask: None)),
    "mask of features ignored": ("features", masks_of_words(lambda mask: None)),
    "mask inside of two wrappers ignored": ("pages", masks_of_words(lambda mask: None)),
    "mask of the first sentence for all": ("tokens", masks_of_words(of_the_first_sentence)),
    "only lengths of sentences known": ("tokens", masks_of_words(right_padded)),
    "mask reversed": ("tokens", masks_of_words(lambda mask: mask[:, ::-1])),
    "empty sentences computed": (
        "tokens",
        masks_of_words(lambda mask: np.where(mask.any(axis=1, keepdims=True), mask, True)),
    ),
    "empty sentences masked": ("tokens", lstms_masked_by_zeros),
    "a word masked by its first feature": ("features", masked_by_the_first_feature),
}


def compared(model, fault):
    """Return the report on one model in float64, executed with a fault."""
    options = Options(("jax-scan",), ("float64",))  # its process is never started
    return compare_cases((model_case(MODELS[model]),), options, pool=FaultyPool(fault))


@pytest.mark.parametrize(("model", "fault"), FAULTS.values(), ids=FAULTS)
def test_the_inputs_show_the_fault(model, fault):
    report = compared(model, fault)
    assert "output" in {str(cell.quantity) for cell in report.failures}
    assert report.exit_code() == 1


@pytest.mark.parametrize("model", MODELS)
def test_an_engine_without_a_fault_agrees(model):
    report = compared(model, lambda patch: None)
    assert not report.failures
    assert report.exit_code() == 0
