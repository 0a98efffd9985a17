"""Sequences that are masked whole, on which layers of plain Keras differ: left out of a conversion, with a note."""

import numpy as np
import pytest
from marks import needs

import multilstm
from multilstm.spec import LSTM, Attention, Dense, Embedding, GlobalAveragePooling1D, Input, Model, Sequential
from multilstm.suite.empty_sequences import FILLED, notes_on_empty_sequences
from multilstm.suite.hidden_masks import exercising_case


def pooled(mask_zero=True):
    layers = [Embedding(7, 4, mask_zero=mask_zero), LSTM(3, return_sequences=True), GlobalAveragePooling1D(), Dense(2)]
    return Sequential(layers, (5,), input_dtype="int32")


def attending():
    tokens = Input((5,), dtype="int32", name="tokens")
    sequence = LSTM(3, return_sequences=True)(Embedding(7, 4, mask_zero=True)(tokens))
    return Model(tokens, Attention(name="look")([sequence, sequence]))


SPECS = {
    "pooled": (pooled(), "global_average_pooling1d: GlobalAveragePooling1D returns NaN"),
    "attending": (attending(), "look: Attention and AdditiveAttention return masked values"),
    "without_a_mask": (pooled(mask_zero=False), ""),
    "other_layers": (Sequential([Embedding(7, 4, mask_zero=True), LSTM(3)], (5,), input_dtype="int32"), ""),
}


@pytest.mark.unit
@pytest.mark.parametrize(("spec", "words"), SPECS.values(), ids=SPECS)
def test_the_layer_is_named_where_it_differs(spec, words):
    notes = list(notes_on_empty_sequences(exercising_case(spec)))
    assert [words in note for note in notes] == ([True] if words else [])
    assert not list(notes_on_empty_sequences(exercising_case(spec, rows=FILLED)))


@pytest.mark.unit
def test_only_the_empty_rows_are_left_out():
    batches = [
        np.concatenate([batch.inputs[name] for batch in case.forward.batches() for name in batch.inputs])
        for case in (exercising_case(pooled()), exercising_case(pooled(), rows=FILLED))
    ]
    assert [bool((tokens == 0).all(axis=1).any()) for tokens in batches] == [True, False]
    assert all((tokens == 0).any() for tokens in batches)


@needs("keras-jax")
@needs("keras-torch")
def test_such_a_model_is_converted_with_a_note():
    conversion = multilstm.convert(pooled(), "keras")
    assert conversion.report.agrees
    assert any("global_average_of_masked_sequence" in note for note in conversion.notes)
