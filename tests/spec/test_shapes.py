import math

import pytest

from multilstm.errors import SpecError
from multilstm.spec import (
    LSTM,
    Activation,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    InputLayer,
    Masking,
    RepeatVector,
    TimeDistributed,
)
from multilstm.spec.shapes import show


def parameter_count(layer, shape):
    return sum(math.prod(weight) for weight in layer.weight_shapes(shape).values())


SEQUENCE = (None, None, 3)  # [batch, timesteps, features]


@pytest.mark.parametrize(
    ("shape", "text"),
    [((), "()"), ((5,), "(5,)"), ((None,), "(any,)"), ((None, None, 5), "(any, any, 5)"), ((2, 3), "(2, 3)")],
)
def test_show(shape, text):
    assert show(shape) == text


@pytest.mark.parametrize(
    ("layer", "text"), [(LSTM(1), "LSTM"), (LSTM(1, name="a"), "LSTM 'a'"), (Dense(1, name="\x1b"), "Dense '\\x1b'")]
)
def test_the_label_of_a_layer(layer, text):
    assert layer.label == text


@pytest.mark.parametrize(
    ("layer", "inputs", "outputs"),
    [
        (InputLayer((None, 5), 7), [], [(7, None, 5)]),
        (InputLayer(()), [], [(None,)]),
        (Embedding(9, 4), [(None, 6)], [(None, 6, 4)]),
        (Masking(), [SEQUENCE], [SEQUENCE]),
        (LSTM(4), [SEQUENCE], [(None, 4)]),
        (LSTM(4, return_sequences=True), [(2, 5, 3)], [(2, 5, 4)]),
        (LSTM(4, return_state=True), [(2, None, 3)], [(2, 4), (2, 4), (2, 4)]),
        (LSTM(4, return_sequences=True, return_state=True), [SEQUENCE], [(None, None, 4), (None, 4), (None, 4)]),
        (LSTM(4, stateful=True), [(2, None, 3)], [(2, 4)]),
        (LSTM(4, unroll=True), [(None, 5, 3)], [(None, 4)]),
        (Bidirectional(LSTM(4)), [SEQUENCE], [(None, 8)]),
        (Bidirectional(LSTM(4, return_sequences=True), "sum"), [SEQUENCE], [(None, None, 4)]),
        (Bidirectional(LSTM(4), "mul"), [SEQUENCE], [(None, 4)]),
        (Bidirectional(LSTM(4), "ave"), [SEQUENCE], [(None, 4)]),
        (Bidirectional(LSTM(4), None), [(2, 5, 3)], [(2, 4), (2, 4)]),
        (Bidirectional(LSTM(4, return_state=True)), [(2, 5, 3)], [(2, 8), *[(2, 4)] * 4]),
        (Bidirectional(LSTM(4, return_state=True), None), [(2, 5, 3)], [(2, 4)] * 6),
        (Dense(4), [(None, 3)], [(None, 4)]),
        (Dense(4), [SEQUENCE], [(None, None, 4)]),
        (Dense(4), [(2, 5, 6, 3)], [(2, 5, 6, 4)]),
        (TimeDistributed(Dense(4)), [SEQUENCE], [(None, None, 4)]),
        (Dropout(0.5), [SEQUENCE], [SEQUENCE]),
        (Activation("relu"), [(None, 3)], [(None, 3)]),
        (RepeatVector(6), [(None, 3)], [(None, 6, 3)]),
        (Concatenate(), [(None, 5, 3), (2, 5, 4)], [(None, 5, 7)]),
        (Concatenate(), [(2, 1), (2, 2), (2, 3)], [(2, 6)]),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, list) else str(value),
)
def test_output_shapes(layer, inputs, outputs):
    assert list(layer.output_shapes(*inputs)) == outputs


@pytest.mark.parametrize(
    ("layer", "inputs", "message"),
    [
        (LSTM(4, name="a"), [(None, 3)], r"LSTM 'a': expected an input \[batch, timesteps, features\] \(a layer below"),
        (LSTM(4), [(None, None, None)], r"LSTM: the last dimension \(features\) .*; given shape \(any, any, any\)"),
        (
            LSTM(4, stateful=True),
            [SEQUENCE],
            r"stateful=True carries one state .* batch size must be fixed; give Input",
        ),
        (LSTM(4, unroll=True), [SEQUENCE], r"unroll=True needs a fixed number of timesteps; given \(any, any, 3\)"),
        (Bidirectional(LSTM(4)), [(None, 3)], r"LSTM: expected an input .*given shape \(any, 3\)"),
        (
            Embedding(9, 4, mask_zero=True),
            [SEQUENCE],
            r"Embedding: expected an input \[batch, timesteps\] of tokens, given shape",
        ),
        (Masking(), [(None, 3)], r"Masking: expected an input \[batch, timesteps, features\], given shape \(any, 3\)"),
        (Dense(4), [(None,)], r"Dense: expected an input \[batch, ..., features\], given shape \(any,\)"),
        (Dense(4), [(2, None)], r"Dense: the last dimension \(features\) decides the shape of the weights"),
        (TimeDistributed(Dense(4)), [(None, 3)], r"TimeDistributed: expected an input \[batch, timesteps, ...\]"),
        (RepeatVector(2), [SEQUENCE], r"RepeatVector: expected an input \[batch, features\], given shape"),
        (Concatenate(), [SEQUENCE], "Concatenate: expected at least two inputs, given 1"),
        (Concatenate(), [(2, 5, 3), (2, 6, 3)], r"shapes differ before the last axis: \(2, 5, 3\) and \(2, 6, 3\)"),
        (Concatenate(), [(2, 3), (2, 5, 3)], r"shapes differ before the last axis: \(2, 3\) and \(2, 5, 3\)"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, (list, str)) else str(value)[:30],
)
def test_refuses_inputs(layer, inputs, message):
    with pytest.raises(SpecError, match=message):
        layer.output_shapes(*inputs)


def test_the_message_about_a_missing_return_sequences_names_the_remedy():
    with pytest.raises(SpecError, match="a layer below it needs return_sequences=True"):
        LSTM(4).output_shapes((None, 3))


@pytest.mark.parametrize(
    ("layer", "shape", "weights", "count", "words"),
    [
        (
            LSTM(4),
            SEQUENCE,
            {"kernel": (3, 16), "recurrent_kernel": (4, 16), "bias": (16,)},
            128,
            "4*(features*units + units*units + units) = 4*(3*4 + 4*4 + 4)",
        ),
        (
            LSTM(4, use_bias=False),
            SEQUENCE,
            {"kernel": (3, 16), "recurrent_kernel": (4, 16)},
            112,
            "4*(features*units + units*units) = 4*(3*4 + 4*4)",
        ),
        (
            Bidirectional(LSTM(2)),
            SEQUENCE,
            {
                "forward/kernel": (3, 8),
                "forward/recurrent_kernel": (2, 8),
                "forward/bias": (8,),
                "backward/kernel": (3, 8),
                "backward/recurrent_kernel": (2, 8),
                "backward/bias": (8,),
            },
            96,
            "2*4*(features*units + units*units + units) = 2*4*(3*2 + 2*2 + 2)",
        ),
        (Dense(4), (None, 3), {"kernel": (3, 4), "bias": (4,)}, 16, "features*units + units = 3*4 + 4"),
        (Dense(4, use_bias=False), (None, 3), {"kernel": (3, 4)}, 12, "features*units = 3*4"),
        (TimeDistributed(Dense(2)), SEQUENCE, {"kernel": (3, 2), "bias": (2,)}, 8, "features*units + units = 3*2 + 2"),
        (Embedding(9, 4), (None, None), {"embeddings": (9, 4)}, 36, "input_dim*output_dim = 9*4"),
        *((layer, SEQUENCE, {}, 0, "") for layer in (Masking(), Dropout(0.5), Activation("relu"))),
        (RepeatVector(2), (None, 3), {}, 0, ""),
        (Concatenate(), SEQUENCE, {}, 0, ""),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, (tuple, dict, int, str)) else "",
)
def test_weights(layer, shape, weights, count, words):
    assert list(layer.weight_shapes(shape).items()) == list(weights.items())
    assert parameter_count(layer, shape) == count
    assert layer.parameter_formula(shape) == words


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (LSTM(7), (None, None, 5)),
        (LSTM(7, use_bias=False), (None, None, 5)),
        (Bidirectional(LSTM(7)), (None, None, 5)),
        (Dense(7), (None, 5)),
        (Dense(7, use_bias=False), (None, 5)),
        (TimeDistributed(Dense(7)), (None, None, 5)),
        (Embedding(7, 5), (None, None)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_formula_gives_the_count(layer, shape):
    figures = layer.parameter_formula(shape).split(" = ")[1]
    assert eval(figures, {"__builtins__": {}}) == parameter_count(layer, shape)


@pytest.mark.parametrize(
    ("layer", "features", "count"),
    [
        (LSTM(1), 1, 12),
        (LSTM(1), 2, 16),
        (LSTM(32), 5, 4_864),
        (LSTM(8), 32, 1_312),
        (TimeDistributed(Dense(2)), 8, 18),
        (LSTM(100), 100, 80_400),
        (Dense(2), 100, 202),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, int) else str(value),
)
def test_known_counts(layer, features, count):
    assert parameter_count(layer, (None, None, features)) == count
