import dataclasses
import math

import numpy as np
import pytest

from multilstm.errors import MultilstmError, SpecError
from multilstm.spec import (
    GRU,
    LSTM,
    Activation,
    AlphaDropout,
    Bidirectional,
    Concatenate,
    Conv1D,
    Conv2D,
    ConvLSTM2D,
    Dense,
    DepthwiseConv2D,
    Dot,
    Dropout,
    Embedding,
    GaussianDropout,
    GaussianNoise,
    GetItem,
    Input,
    InputLayer,
    Masking,
    Permute,
    RepeatVector,
    Rescaling,
    Reshape,
    SimpleRNN,
    Softmax,
    SpatialDropout1D,
    SpatialDropout2D,
    TimeDistributed,
)
from multilstm.spec import layers as spec_layers
from multilstm.spec.arguments import check_name, is_integer, is_real
from multilstm.spec.layers import ACTIVATIONS, INITIALIZERS, LAYERS

WITHOUT_ARGUMENTS = """
    ZeroPadding2D MaxPooling2D AveragePooling2D GlobalMaxPooling2D GlobalAveragePooling2D
    Flatten ZeroPadding1D Cropping1D UpSampling1D ReLU LeakyReLU ELU Softmax Add Subtract Multiply Average Maximum
    Minimum MaxPooling1D AveragePooling1D GlobalMaxPooling1D GlobalAveragePooling1D LayerNormalization
    BatchNormalization Attention AdditiveAttention ActivityRegularization PReLU UnitNormalization Normalization
    Masking Concatenate
"""
WITH_ARGUMENTS = (
    *(InputLayer((None, 3)), Embedding(5, 2), LSTM(2), GRU(2), SimpleRNN(2), Bidirectional(LSTM(2)), Dense(2)),
    *(TimeDistributed(Dense(2)), Dropout(0.5), Activation("tanh"), RepeatVector(2)),
    *(Reshape((2, -1)), Permute((2, 1)), GetItem((slice(None), -1)), SpatialDropout1D(0.5)),
    *(Conv1D(2, 3), Conv2D(2, 3), DepthwiseConv2D(2), Dot(1), ConvLSTM2D(2, 3), SpatialDropout2D(0.5)),
    *(GaussianNoise(0.5), GaussianDropout(0.5), AlphaDropout(0.5), Rescaling(0.5)),
)
# One of every class, with all that it needs.
EXAMPLES = {
    type(layer): layer
    for layer in (*(getattr(spec_layers, name)() for name in WITHOUT_ARGUMENTS.split()), *WITH_ARGUMENTS)
}
X = Input((None, 3), name="x")


def test_an_unknown_argument_is_refused_with_the_one_that_is_meant():
    with pytest.raises(SpecError, match=r"^LSTM: unknown argument 'actvation': .*; did you mean activation"):
        LSTM(3, actvation="tanh")


def test_every_class_has_an_example():
    assert set(EXAMPLES) == set(LAYERS)


@pytest.mark.parametrize("layer", EXAMPLES.values(), ids=lambda layer: type(layer).__name__)
def test_layers_are_values(layer):
    again = dataclasses.replace(layer)
    assert again == layer
    assert hash(again) == hash(layer)
    assert dataclasses.replace(layer, name="other") != layer
    with pytest.raises(dataclasses.FrozenInstanceError):
        layer.name = "changed"


@pytest.mark.parametrize("name", ["", "a/b", "/", 3, True, b"a", ["a"], "\ud800"], ids=repr)
@pytest.mark.parametrize("layer", EXAMPLES.values(), ids=lambda layer: type(layer).__name__)
def test_refuses_a_name(layer, name):
    expected = f"{layer.class_name}: name must be a non-empty string of Unicode characters without '/', got "
    with pytest.raises(SpecError) as raised:
        dataclasses.replace(layer, name=name)
    assert str(raised.value) == expected + repr(name)


@pytest.mark.parametrize("name", ["lstm", "a b", "..", "\x1b[31m", "a\nb", "::error::", "[bold]", "名", "😀"], ids=repr)
def test_accepts_a_name_that_keras_accepts(name):
    assert check_name("name", name) == name


REFUSED = [(layer, name) for layer in EXAMPLES.values() for name in type(layer).refused]


@pytest.mark.parametrize(("layer", "argument"), REFUSED, ids=lambda value: getattr(value, "class_name", value))
def test_refuses_by_name_arguments_that_are_not_executed(layer, argument):
    default = repr(getattr(type(layer), argument))
    message = rf"{layer.class_name}: {argument} is not executed by multilstm yet; given 'l2', expected {default}; l"
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(layer, **{argument: "l2"})


NOT_POSITIVE = [0, -1, True, False, 1.5, 3.0, "8", None, [8], math.nan, 2**31, 10**400]


@pytest.mark.parametrize("value", NOT_POSITIVE, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize(
    ("layer", "argument"),
    [(LSTM(1), "units"), (Dense(1), "units"), (Embedding(1, 1), "input_dim"), (Embedding(1, 1), "output_dim"),
     (RepeatVector(1), "n")],
    ids=lambda value: getattr(value, "class_name", value),
)  # fmt: skip
def test_refuses_a_size(layer, argument, value):
    with pytest.raises(SpecError, match=rf"{type(layer).__name__}: {argument} must be (a positive integer|below 2)"):
        dataclasses.replace(layer, **{argument: value})


@pytest.mark.parametrize("value", [1, 2**31 - 1, np.int64(7), np.uint8(7)], ids=repr)
def test_a_size_becomes_an_int(value):
    units = LSTM(value).units
    assert (units, type(units)) == (int(value), int)


@pytest.mark.parametrize("value", [-0.1, 1, 1.0, 2, True, "0.5", None, math.nan, math.inf, 10**400, [0.5]], ids=str)
@pytest.mark.parametrize(
    ("layer", "argument"),
    [(LSTM(1), "dropout"), (LSTM(1), "recurrent_dropout"), (Dropout(0.5), "rate")],
    ids=lambda value: getattr(value, "class_name", value),
)
def test_refuses_a_rate(layer, argument, value):
    with pytest.raises(SpecError, match=rf"{argument} must be a number with 0 <= {argument} < 1, got "):
        dataclasses.replace(layer, **{argument: value})


@pytest.mark.parametrize("value", [0, 0.0, 0.999, np.float32(0.5)], ids=repr)
def test_a_rate_becomes_a_float(value):
    rate = Dropout(value).rate
    assert (rate, type(rate)) == (float(value), float)


BOOLEANS = [
    (LSTM(1), ("use_bias", "unit_forget_bias", "return_sequences", "return_state", "go_backwards", "stateful", "unroll",
               "zero_output_for_mask")),
    (Dense(1), ("use_bias",)),
    (Embedding(1, 1), ("mask_zero",)),
    *((layer, ("trainable",)) for layer in EXAMPLES.values() if "trainable" not in layer.refused),
]  # fmt: skip


@pytest.mark.parametrize("value", [0, 1, None, "True", np.True_], ids=repr)
@pytest.mark.parametrize(("layer", "argument"), [(layer, name) for layer, names in BOOLEANS for name in names],
                         ids=lambda value: getattr(value, "class_name", value))  # fmt: skip
def test_refuses_values_that_are_not_booleans(layer, argument, value):
    with pytest.raises(SpecError, match=rf"{argument} must be True or False, got "):
        dataclasses.replace(layer, **{argument: value})


@pytest.mark.parametrize("value", ["swoosh", "", 3, True, ["tanh"], np.zeros(3)], ids=repr)
@pytest.mark.parametrize(
    ("layer", "argument"),
    [(LSTM(1), "activation"), (LSTM(1), "recurrent_activation"), (Dense(1), "activation"),
     (Activation("tanh"), "activation")],
    ids=lambda value: getattr(value, "class_name", value),
)  # fmt: skip
def test_refuses_an_activation(layer, argument, value):
    message = rf"{type(layer).__name__}: unknown {argument} .*: expected one of linear, tanh, sigmoid"
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(layer, **{argument: value})


@pytest.mark.parametrize("given", [*ACTIVATIONS, "TANH", None, math.tanh], ids=str)
def test_activations_become_names(given):
    name = "linear" if given is None else getattr(given, "__name__", given)
    assert Dense(1, given).activation == LSTM(1, given).activation == Activation(given).activation == name.lower()


@pytest.mark.parametrize("value", ["glorot", None, 0.5, {"class_name": "Zeros"}], ids=repr)
@pytest.mark.parametrize(
    ("layer", "argument"),
    [(LSTM(1), "kernel_initializer"), (LSTM(1), "recurrent_initializer"), (LSTM(1), "bias_initializer"),
     (Dense(1), "kernel_initializer"), (Dense(1), "bias_initializer"), (Embedding(1, 1), "embeddings_initializer")],
    ids=lambda value: getattr(value, "class_name", value),
)  # fmt: skip
def test_refuses_an_initializer(layer, argument, value):
    with pytest.raises(SpecError, match=rf"unknown {argument} .*: expected one of zeros, ones"):
        dataclasses.replace(layer, **{argument: value})


@pytest.mark.parametrize("name", INITIALIZERS)
def test_accepts_initializers(name):
    assert LSTM(1, kernel_initializer=name, recurrent_initializer=name).kernel_initializer == name
    assert Embedding(1, 1, name).embeddings_initializer == name


@pytest.mark.parametrize("layer", [LSTM(1), Dense(1)], ids=["LSTM", "Dense"])
def test_a_bias_cannot_be_orthogonal(layer):
    with pytest.raises(SpecError, match="unknown bias_initializer 'orthogonal'"):
        dataclasses.replace(layer, bias_initializer="orthogonal")


@pytest.mark.parametrize("value", [0.5, True, "7", [7]], ids=repr)
@pytest.mark.parametrize("layer", [LSTM(1), Dropout(0.5)], ids=["LSTM", "Dropout"])
def test_refuses_a_seed(layer, value):
    with pytest.raises(SpecError, match=r"seed must be an integer or None, got "):
        dataclasses.replace(layer, seed=value)


@pytest.mark.parametrize("value", [1, 0, None, "always", 1.0, ["auto"]], ids=repr)
def test_refuses_use_cudnn(value):
    with pytest.raises(SpecError, match="LSTM: use_cudnn must be 'auto', True or False, got "):
        LSTM(1, use_cudnn=value)


@pytest.mark.parametrize("value", [0, 3, None, True, "2", [2]], ids=repr)
def test_refuses_an_implementation(value):
    with pytest.raises(SpecError, match="LSTM: implementation must be 1 or 2, got "):
        LSTM(1, implementation=value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, "0", None, 1j, 10**400, [0]], ids=str)
def test_refuses_a_mask_value(value):
    with pytest.raises(SpecError, match="Masking: mask_value must be a finite number, got "):
        Masking(value)


@pytest.mark.parametrize("value", [0, -1, 1.5, np.float32(0.25)], ids=repr)
def test_a_mask_value_becomes_a_float(value):
    assert type(Masking(value).mask_value) is float
    assert Masking(value).mask_value == value


@pytest.mark.parametrize("axis", [None, "last", 1.0, True, 99, [1]], ids=repr)
@pytest.mark.parametrize("layer", [Concatenate, Softmax], ids=lambda layer: layer.__name__)
def test_refuses_an_axis(layer, axis):
    with pytest.raises(SpecError, match=rf"{layer.__name__}: axis must be one integer, the number of an axis, got "):
        layer(axis=axis)


@pytest.mark.parametrize("mode", ["add", "", 1, True], ids=repr)
def test_refuses_a_merge_mode(mode):
    with pytest.raises(SpecError, match=r"Bidirectional: unknown merge_mode .*: expected one of concat, sum, mul, ave"):
        Bidirectional(LSTM(1), mode)


@pytest.mark.parametrize("layer", [Dense(1), 3, None, LSTM, Bidirectional(LSTM(1))], ids=repr)
def test_bidirectional_refuses_layers_that_are_not_recurrent(layer):
    with pytest.raises(SpecError, match="Bidirectional: layer must be of class LSTM, GRU, SimpleRNN, ConvLSTM2D, got "):
        Bidirectional(layer)


def test_bidirectional_refuses_a_layer_that_runs_backwards():
    with pytest.raises(SpecError, match="Bidirectional: the layer must run forward; given go_backwards=True"):
        Bidirectional(LSTM(1, go_backwards=True))


@pytest.mark.parametrize("zero_output_for_mask", [True, False])
@pytest.mark.parametrize("return_sequences", [True, False])
def test_bidirectional_has_zeros_where_a_sequence_is_masked(return_sequences, zero_output_for_mask):
    layer = Bidirectional(LSTM(1, return_sequences=return_sequences, zero_output_for_mask=zero_output_for_mask))
    forward, backward = layer.directions.values()
    assert list(layer.directions) == ["forward", "backward"]
    assert forward == layer.layer
    assert backward == dataclasses.replace(forward, go_backwards=True)
    assert forward.zero_output_for_mask == return_sequences


@pytest.mark.parametrize("layer", [ConvLSTM2D(1, 1), 3, None, Dense], ids=repr)
def test_time_distributed_refuses_other_layers(layer):
    with pytest.raises(SpecError, match=r"TimeDistributed: layer must be of class Dense, Activation, .*, got "):
        TimeDistributed(layer)


@pytest.mark.parametrize("wrapper", [Bidirectional, TimeDistributed], ids=lambda wrapper: wrapper.__name__)
def test_a_wrapper_is_frozen_with_the_layer_inside(wrapper):
    inner = LSTM(1) if wrapper is Bidirectional else Dense(1)
    frozen = dataclasses.replace(inner, trainable=False)
    kind = type(inner).__name__
    message = rf"{wrapper.__name__}: given trainable=False around a {kind} that is trainable, which Keras would train"
    with pytest.raises(SpecError, match=message):
        wrapper(inner, trainable=False)
    assert not wrapper(frozen, trainable=False).layer.trainable
    assert not wrapper(frozen).layer.trainable


# Input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, -1, True, 1.5, "5", 2**31, 10**400], ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize("place", ["shape", "batch_size"])
def test_refuses_a_dimension(place, size):
    arguments = {"shape": (None, size)} if place == "shape" else {"shape": (None, 3), "batch_size": size}
    with pytest.raises(SpecError, match=rf"Input: {place} must be made of positive integers below 2\*\*31, or None"):
        Input(**arguments)


@pytest.mark.parametrize("shape", [3, True, 1.5], ids=repr)
def test_refuses_a_shape_that_is_no_tuple(shape):
    with pytest.raises(SpecError, match=r"Input: shape must be a tuple such as \(None, 5\), got "):
        Input(shape)


@pytest.mark.parametrize("batch_shape", [3, (), "abc", {}], ids=repr)
def test_refuses_a_batch_shape(batch_shape):
    with pytest.raises(SpecError, match=r"Input: batch_shape must be a tuple such as \(200, None, 5\), got "):
        Input(batch_shape=batch_shape)


@pytest.mark.parametrize("other", [{"shape": (None, 3)}, {"batch_size": 4}], ids=str)
def test_refuses_batch_shape_with_shape_or_batch_size(other):
    with pytest.raises(SpecError, match="batch_shape replaces shape and batch_size; give either, not both"):
        Input(batch_shape=(4, None, 3), **other)


def test_refuses_an_input_without_a_shape():
    with pytest.raises(SpecError, match=r"Input: shape is missing; expected for example shape=\(None, 5\)"):
        Input()


@pytest.mark.parametrize("dtype", ["float64", "string", None, int], ids=repr)
def test_refuses_the_dtype_of_an_input(dtype):
    with pytest.raises(SpecError, match=r"unknown dtype .*: expected one of float32, int32"):
        Input((3,), dtype=dtype)


def test_batch_shape_is_shape_with_the_batch_in_front():
    assert Input(batch_shape=(4, None, 3)).layer == Input((None, 3), 4).layer == InputLayer((None, 3), 4)


def test_sizes_of_an_input_become_ints():
    layer = Input([None, np.int32(3)], batch_size=np.int64(4)).layer
    assert layer == InputLayer((None, 3), 4)
    assert [type(layer.shape[1]), type(layer.batch_size)] == [int, int]


# Calls -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [np.zeros((1, 2, 3)), None, 3, "x", [X, 3]], ids=lambda given: type(given).__name__)
def test_a_layer_is_called_on_symbolic_tensors(given):
    with pytest.raises(
        SpecError, match=r"LSTM: called on \w+; expected the result of Input\(\) or of a layer .*multilstm.run"
    ):
        LSTM(2)(given)


@pytest.mark.parametrize(
    ("layer", "count", "expected"),
    [
        (LSTM(3), 1, r"LSTM: initial_state has 1 tensors, expected 2 \(hidden, cell\)"),
        (LSTM(3), 4, r"LSTM: initial_state has 4 tensors, expected 2 \(hidden, cell\)"),
        (Bidirectional(LSTM(3)), 2, r"has 2 tensors, expected 4 \(hidden, cell, for each direction\)"),
        (Dense(3), 2, "Dense: it has no state, so that initial_state means nothing; leave it out"),
    ],
    ids=["LSTM-1", "LSTM-4", "Bidirectional-2", "Dense-2"],
)
def test_refuses_initial_states(layer, count, expected):
    with pytest.raises(SpecError, match=expected):
        layer(X, initial_state=[X] * count)


@pytest.mark.parametrize(
    ("layer", "states", "outputs"),
    [
        (LSTM(2), 2, 1),
        (LSTM(2, return_state=True), 2, 3),
        (Bidirectional(LSTM(2)), 4, 1),
        (Bidirectional(LSTM(2, return_state=True)), 4, 5),
        (Bidirectional(LSTM(2), merge_mode=None), 4, 2),
        (Bidirectional(LSTM(2, return_state=True), merge_mode=None), 4, 6),
        (Dense(2), 0, 1),
    ],
    ids=["lstm", "lstm-states", "both", "both-states", "apart", "apart-states", "dense"],
)
def test_counts_of_states_and_outputs(layer, states, outputs):
    assert (layer.state_count, layer.output_count) == (states, outputs)
    returned = layer(X)
    assert (1 if not isinstance(returned, list) else len(returned)) == outputs


def test_a_spec_error_is_a_value_error_and_one_of_ours():
    assert issubclass(SpecError, ValueError)
    assert issubclass(SpecError, MultilstmError)


@pytest.mark.parametrize(
    ("value", "integer", "real"),
    [(1, True, True), (True, False, False), (1.0, False, True), (np.int8(1), True, True), (np.float32(1), False, True),
     (math.nan, False, False), ("1", False, False), (None, False, False), (1j, False, False), (10**400, True, False)],
    ids=lambda value: repr(value)[:12],
)  # fmt: skip
def test_kinds_of_numbers(value, integer, real):
    assert (is_integer(value), is_real(value)) == (integer, real)
