"""Inputs from a file of arrays: names, masks, states, several batches, and refusals."""

import numpy as np
import pytest

from multilstm.cases.given_inputs import arrays_of, by_batch, given_batches
from multilstm.errors import InputError
from multilstm.spec import LSTM, Concatenate, Dense, Dropout, Embedding, Input, Model, Sequential

ONE = Sequential([LSTM(4, return_sequences=True), Dense(2)], input_shape=(None, 3))
X = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
MASK = np.array([[1, 1, 0, 1, 1], [0, 0, 1, 1, 0]], bool)
STATE = np.random.default_rng(1).normal(size=(2, 4)).astype(np.float32)


def two_inputs():
    tokens, features = Input((None,), dtype="int32", name="tokens"), Input((4, 2), name="features")
    words = LSTM(3)(Embedding(9, 5, mask_zero=True)(tokens))
    return Model([tokens, features], Dense(2)(Concatenate()([words, Dropout(0.5)(LSTM(2)(features))])))


def test_the_only_input_needs_no_name():
    assert [batch.inputs["input_layer"] is not None for batch in given_batches(ONE, {"": X})] == [True]


def test_masks_and_states_have_names_of_their_own():
    arrays = {"input_layer": X, "mask:input_layer": MASK, "hidden:lstm": STATE, "cell:lstm": -STATE}
    (batch,) = given_batches(ONE, arrays)
    np.testing.assert_array_equal(batch.masks["input_layer"], MASK)
    np.testing.assert_array_equal(batch.states["lstm"].cell, -STATE)
    assert batch.targets[0].shape == (2, 5, 2)


def test_sequences_of_different_inputs_may_have_different_lengths():
    arrays = {"tokens": np.array([[1, 2, 0]] * 2), "features": np.ones((2, 4, 2), np.float32)}
    (batch,) = given_batches(two_inputs(), arrays)
    assert batch.targets[0].shape == (2, 2)
    assert {mask.shape for mask in batch.dropout.values()} == {(2, 2)}


def test_what_is_written_is_read_again():
    arrays = {"input_layer@0": X, "hidden:lstm@0": STATE, "cell:lstm@0": STATE, "input_layer@1": X[:1]}
    written = dict(arrays_of(given_batches(ONE, arrays)))
    assert written.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(written[name], array)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "the file of inputs is empty"),
        ({"y": X}, "unknown 'y'; expected 'input_layer'"),
        ({"input_layer": X[..., :2]}, "shape"),
        ({"input_layer": X, "hidden:lstm": STATE}, "the initial state of 'lstm' lacks cell"),
        ({"input_layer": X, "hidden:other": STATE, "cell:other": STATE}, "states are given for 'other'"),
        ({"input_layer@0": X, "input_layer@2": X}, "expected 0, 1, 2"),
        ({"input_layer": X, "input_layer@0": X}, "twice for batch 0"),
        ({"input_layer@0": X, "mask:input_layer@1": MASK}, "input"),
    ],
    ids=lambda value: ", ".join(value) or "none" if isinstance(value, dict) else "",
)
def test_arrays_that_do_not_fit_are_refused(arrays, message):
    with pytest.raises(InputError, match=message):
        given_batches(ONE, arrays)


def test_a_name_may_hold_the_sign_of_a_batch():
    assert by_batch({"a@b": X, "a@b@1": X, "a@1x@1": X, "a@1x": X}) == [{"a@b": X, "a@1x": X}, {"a@b": X, "a@1x": X}]
