"""The length of the random inputs of a user's model."""

import numpy as np
import pytest

from multilstm.cases.model_case import ROWS, TIMESTEPS, _kept, enough_timesteps, model_case
from multilstm.spec import (
    LSTM,
    Concatenate,
    Conv1D,
    Cropping1D,
    Dense,
    Embedding,
    GetItem,
    Input,
    MaxPooling1D,
    Model,
    Reshape,
    Sequential,
    TimeDistributed,
)

pytestmark = pytest.mark.unit
WIDE = {
    "plain": ([LSTM(2)], 7),
    "window_of_7": ([Conv1D(2, 7), LSTM(2)], 7),
    "window_of_8": ([Conv1D(2, 8), LSTM(2)], 14),
    "pooled": ([Conv1D(2, 40, strides=2), MaxPooling1D(9), LSTM(2)], 56),
    "cropped": ([Cropping1D((5, 5)), LSTM(2)], 14),
    "beyond_reason": ([Conv1D(2, 10**5), LSTM(2)], 7),
}


@pytest.mark.parametrize("label", WIDE)
def test_a_model_gets_enough_timesteps_for_its_windows(label):
    layers, timesteps = WIDE[label]
    assert enough_timesteps(Sequential(layers, input_shape=(None, 3))) == timesteps


def test_the_inputs_of_a_case_have_these_timesteps():
    case = model_case(Sequential([Conv1D(2, 8), LSTM(2)], input_shape=(None, 3)))
    assert {batch.inputs["input_layer"].shape for batch in case.forward.batches()} == {(3, 2 * TIMESTEPS, 3)}


ALL = slice(None)
TABLES = {  # models whose Embeddings have tables of 5 and 9 rows, behind layers that only move values
    "parts": lambda x: [Embedding(9, 2)(GetItem((ALL, ALL, 0))(x)), Embedding(5, 2)(GetItem((ALL, ALL, 1))(x))],
    "reshape": lambda x: [Embedding(5, 2)(Reshape((8,))(x)), Embedding(9, 2)(Reshape((8,))(x))],
    "time distributed": lambda x: [TimeDistributed(Embedding(size, 2))(Concatenate()([x, x])) for size in (5, 9)],
}


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_tokens_fit_the_smallest_table_behind_layers_that_move_values(make):
    x = Input((4, 2), name="x")
    spec = Model(x, make(x))
    assert sorted(spec.token_tables["x"]) == [5, 9]
    values = np.concatenate([batch.inputs["x"].ravel() for batch in model_case(spec, 2).forward.batches()])
    assert set(values) <= set(range(5))
    assert values.max() == 4


def test_values_that_a_layer_computes_are_no_tokens():
    x = Input((4, 2), name="x")
    assert Model(x, Embedding(9, 2)(GetItem((ALL, ALL, 0))(Dense(2)(x)))).token_tables == {}


@pytest.mark.parametrize("depth", [1, 2], ids=["documents", "pages"])
def test_each_kind_of_row_is_in_the_sequences_that_a_model_inside_masks(depth):
    inner = Sequential([Embedding(9, 2, mask_zero=True), LSTM(2)], (None,), input_dtype="int32")
    for _ in range(depth):
        inner = TimeDistributed(inner)
    case = model_case(Sequential([inner], (None,) * (depth + 1), input_dtype="int32"))
    rows = np.concatenate([b.inputs["input_layer"].reshape(-1, TIMESTEPS) != 0 for b in case.forward.batches()])
    kinds = {tuple(row) for row in rows.tolist()}
    assert kinds == {tuple(_kept(row, TIMESTEPS).tolist()) for row in ROWS}
    assert all(row in case.description for row in ROWS)
