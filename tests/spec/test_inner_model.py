"""Models inside of a TimeDistributed: the meaning of their masks, their shapes and weights, JSON, and refusals."""

import re

import numpy as np
import pytest

from multilstm import initial_weights
from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.errors import InputError, SpecError, UnsupportedError
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import (
    GRU,
    LSTM,
    BatchNormalization,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Input,
    Masking,
    Model,
    Sequential,
    TimeDistributed,
    from_json,
)
from multilstm.spec.penalties import L2
from multilstm.spec.source import keras_source, layer_expression


def sentence(*layers):
    return Sequential([Embedding(9, 3, mask_zero=True), *layers], (None,), input_dtype="int32", name="sentence")


def branches():
    """Return a model with two branches, whose layers Keras orders by their depth and not by their calls."""
    word = Input((5,), dtype="int32", name="word")
    table = Embedding(9, 3, mask_zero=True, name="table")(word)
    deep = LSTM(2, name="deep")(Dense(3, name="dense")(table))
    flat = LSTM(2, go_backwards=True, kernel_regularizer=L2(0.1), name="flat")(table)
    return Model(word, Concatenate(name="both")([deep, flat]), name="branches")


def documents(inner, shape=(4, 5), **options):
    tokens = Input(shape, dtype="int32", name="tokens")
    read = TimeDistributed(inner, name="sentences", **options)(tokens)
    return Model(tokens, [LSTM(2, name="document")(read), read])


def outputs(spec, weights, inputs, masks=None):
    step = Step("forward", Batch(inputs, masks=masks or {}), keep=("outputs",))
    return Executor(ReferenceEngine()).execute(Job(spec, weights, (step,), dtype="float64")).answers[0].outputs


def tokens():
    """Return sentences that are complete, padded, interrupted and empty."""
    array = np.random.default_rng(0).integers(1, 9, (2, 4, 5)).astype(np.int32)
    array[0, 1, 3:] = array[0, 2, 1] = array[1, 0, :2] = array[1, 2] = 0
    return array


@pytest.mark.parametrize("make", [lambda: sentence(LSTM(2)), branches], ids=["chain", "branches"])
def test_each_timestep_is_a_sequence_of_the_model_by_itself(make):
    """The masks are those of the model alone, and no mask reaches the LSTM behind it."""
    inner, x = make(), tokens()
    spec = documents(inner)
    weights = initial_weights(spec, seed=1)
    inside = {name.removeprefix("sentences/"): w for name, w in weights.items() if name.startswith("sentences/")}
    source = inner.input_order[0]
    expected = np.stack([outputs(inner, inside, {source: x[:, time]})[0] for time in range(4)], axis=1)
    unmasked = Sequential([LSTM(2, name="document")], expected.shape[1:])
    behind = {name: array for name, array in weights.items() if name.startswith("document/")}
    document, sentences = outputs(spec, weights, {"tokens": x})
    np.testing.assert_array_equal(sentences, expected)
    np.testing.assert_array_equal(document, outputs(unmasked, behind, {"input_layer": expected})[0])


def test_a_mask_of_the_timesteps_passes_the_model():
    x = np.random.default_rng(2).normal(size=(2, 4, 5, 3))
    x[0, 1:3], x[1, 0, 2:] = -1.0, -1.0
    words = Input((4, 5, 3), name="words")
    inner = Sequential([Masking(-1.0), LSTM(2)], (5, 3))
    spec = Model(words, LSTM(2, name="document")(TimeDistributed(inner, name="sentences")(words)))
    weights = initial_weights(spec, seed=1)
    keep = np.array([[True, False, False, True], [True] * 4])
    (found,) = outputs(spec, weights, {"words": x}, {"words": keep})
    short = Input((2, 5, 3), name="words")
    alone = Model(short, LSTM(2, name="document")(TimeDistributed(inner, name="sentences")(short)))
    (rows,) = outputs(alone, weights, {"words": x[:1, [0, 3]]})
    np.testing.assert_allclose(found[:1], rows, rtol=1e-14)


def test_shapes_and_weights_are_those_of_the_model():
    spec = documents(branches(), (None, 5))
    assert spec.output_shapes == ((None, 2), (None, None, 4))
    assert spec.token_tables == {"tokens": [9]}
    assert spec.parameter_counts["sentences"] == 27 + 12 + 2 * 48
    assert list(spec.weight_shapes)[:3] == [
        "sentences/table/embeddings",
        "sentences/dense/kernel",
        "sentences/dense/bias",
    ]
    assert list(spec.regularizers) == ["sentences/flat/kernel"]
    assert spec.layer("sentences/deep") == LSTM(2, name="deep")
    assert "document" in spec.recurrent
    assert len(spec.recurrent) == 1


@pytest.mark.parametrize("make", [lambda: sentence(GRU(2)), branches], ids=["chain", "branches"])
@pytest.mark.parametrize("depth", [1, 2, "page"])
def test_survives_keras_json(make, depth):
    x = Input((3, 4, 5), dtype="int32")
    inner = TimeDistributed(make(), name="sentences")
    if depth == "page":
        inner = Sequential([inner, LSTM(2)], (4, 5), input_dtype="int32", name="page")
    spec = documents(make()) if depth == 1 else Model(x, TimeDistributed(inner, name="pages")(x))
    assert from_json(spec.to_json()) == spec


def test_the_summary_states_that_the_masks_stay_inside():
    text = documents(sentence(LSTM(2))).summary()
    assert re.sub(r"\s+", " ", text).count("masks of the model do not leave it") == 1
    assert "75 = embedding + lstm" in text
    lost = Sequential([TimeDistributed(Embedding(9, 2, mask_zero=True))], (4, 5), input_dtype="int32").summary()
    assert "its mask is lost, as in Keras 3" in lost


def test_the_source_has_a_chain_as_an_expression_and_branches_as_a_variable():
    assert 'keras.Sequential([keras.Input((None,), dtype="int32"' in re.sub(
        r"\(\s+", "(", re.sub(r"\[\s+", "[", re.sub(r",\n\s+", ", ", keras_source(documents(sentence(LSTM(2))))))
    )
    lines = keras_source(documents(branches())).splitlines()
    assert 'branches = keras.Model(word, both, name="branches")' in lines
    assert 'sentences = layers.TimeDistributed(branches, name="sentences")(tokens)' in lines
    with pytest.raises(UnsupportedError, match=r"'branches' inside of a TimeDistributed has no source code here"):
        layer_expression(TimeDistributed(branches()))


def passed_states():
    x = Input((5,), dtype="int32")
    table = Embedding(9, 3, mask_zero=True)(x)
    return Model(x, LSTM(2)(table, [Dense(2)(LSTM(2)(table)), Dense(2)(LSTM(2)(table))]))


def two_ends():
    x, y = Input((3,)), Input((3,))
    return Model([x, y], Concatenate()([x, y]))


REFUSED = {
    "dropout": (lambda: sentence(Dropout(0.5), LSTM(2)), "Dropout 'dropout' with dropout or noise"),
    "recurrent dropout": (lambda: sentence(LSTM(2, dropout=0.5)), "LSTM 'lstm' with dropout or noise"),
    "statistics": (lambda: sentence(BatchNormalization(), LSTM(2)), "with statistics of batches"),
    "returned states": (lambda: Model(x := Input((4, 2)), LSTM(2, return_state=True)(x)[0]), "return_state=True"),
    "states": (passed_states, "passes states between its layers"),
    "two inputs": (two_ends, "must have one input and one output, got 2 inputs and 1 outputs"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_what_it_does_not_execute_inside(make, message):
    with pytest.raises(SpecError, match=message):
        TimeDistributed(make())


def test_refuses_an_input_that_does_not_fit():
    with pytest.raises(SpecError, match=r"Model 'branches': its input is \(any, 5\), given \(any, 6\)"):
        documents(branches(), (4, 6))
    with pytest.raises(SpecError, match="a TimeDistributed around a Dense, expected one around a model"):
        TimeDistributed(TimeDistributed(Dense(2)))


@pytest.mark.parametrize("nested", [False, True], ids=["layer", "nested"])
def test_refuses_a_mask_of_timesteps_that_would_reach_a_layer_inside(nested):
    """Keras would give the model one number of the mask for each sequence."""
    inner = Sequential([Dense(2), LSTM(2)], (5, 3)) if not nested else Sequential([Masking(), LSTM(2)], (5, 3))
    shape = (3, 4, 5, 3) if nested else (4, 5, 3)
    words = Input(shape, name="words")
    layer = TimeDistributed(TimeDistributed(inner)) if nested else TimeDistributed(inner)
    spec = Model(words, layer(words))
    with pytest.raises(InputError, match=r"gets a mask of timesteps, which Keras would give to"):
        outputs(
            spec, initial_weights(spec, 0), {"words": np.ones((2, *shape))}, {"words": np.ones((2, shape[0]), bool)}
        )
