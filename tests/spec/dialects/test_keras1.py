"""Configs of Keras 0.3 to 1.2: renamed arguments, Merge, and the layers that no later Keras has."""

import copy
import json

import pytest

from multilstm.errors import SpecError
from multilstm.spec import (
    L2,
    LSTM,
    Activation,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Input,
    MaxNorm,
    Model,
    Sequential,
    TimeDistributed,
    from_json,
)
from multilstm.spec.dialects import keras3_config
from multilstm.spec.keras_json.model import read_json

HARD_SIGMOID = "hard_sigmoid of Keras 1.2.2 is clip(0.2 * x + 0.5, 0, 1); Keras 3 would use relu6(x + 3) / 6"


def lstm(**changes):
    """Return an LSTM as Keras 1.2.2 writes it."""
    config = {
        "name": "lstm_1", "trainable": True, "output_dim": 4, "init": "glorot_uniform", "inner_init": "orthogonal",
        "forget_bias_init": "one", "activation": "tanh", "inner_activation": "hard_sigmoid", "W_regularizer": None,
        "U_regularizer": None, "b_regularizer": None, "dropout_W": 0.0, "dropout_U": 0.0, "return_sequences": False,
        "go_backwards": False, "stateful": False, "unroll": False, "consume_less": "cpu", "input_dim": 3,
        "input_length": None, "input_dtype": "float32", "batch_input_shape": [None, None, 3],
    }  # fmt: skip
    return {"class_name": "LSTM", "config": {**config, **changes}}


def dense(**changes):
    """Return a Dense as Keras 1.2.2 writes it."""
    config = {
        "name": "dense_1", "trainable": True, "output_dim": 2, "init": "uniform", "activation": "linear", "bias": True,
        "W_regularizer": None, "b_regularizer": None, "activity_regularizer": None, "W_constraint": None,
        "b_constraint": None, "input_dim": 4,
    }  # fmt: skip
    return {"class_name": "Dense", "config": {**config, **changes}}


def stack(*layers, version="1.2.2"):
    """Return a Sequential as Keras 1 writes it: its config is the list of its layers."""
    return {"class_name": "Sequential", "keras_version": version, "config": copy.deepcopy(list(layers))}


OLD = {"recurrent_activation": "hard_sigmoid_keras2", "implementation": 1}


def test_a_whole_model():
    layers = [
        {
            "class_name": "Embedding",
            "config": {
                "name": "e", "trainable": True, "input_dim": 20, "output_dim": 3, "init": "uniform", "mask_zero": True,
                "activity_regularizer": None, "W_regularizer": None, "W_constraint": None, "input_length": 5,
                "dropout": 0.25, "batch_input_shape": [None, 5], "input_dtype": "int32",
            },
        },
        {
            "class_name": "Bidirectional",
            "config": {"name": "b", "trainable": True, "merge_mode": "ave", "layer": lstm(return_sequences=True)},
        },
        lstm(name="l", dropout_W=0.25, dropout_U=0.5, consume_less="gpu", forget_bias_init="zero"),
        {"class_name": "Dropout", "config": {"name": "o", "trainable": True, "p": 0.5}},
        dense(W_constraint={"name": "MaxNorm", "m": 3, "axis": 0}, bias=False, input_dim=None),
        {"class_name": "Activation", "config": {"name": "a", "trainable": True, "activation": "softmax"}},
    ]  # fmt: skip
    expected = Sequential(
        [
            Input((5,), dtype="int32", name="input_layer"),
            Embedding(20, 3, mask_zero=True, name="e"),
            Bidirectional(LSTM(4, return_sequences=True, name="lstm_1", **OLD), "ave", name="b"),
            LSTM(
                4,
                recurrent_activation="hard_sigmoid_keras2",
                unit_forget_bias=False,
                dropout=0.25,
                recurrent_dropout=0.5,
                name="l",
            ),
            Dropout(0.5, name="o"),
            Dense(2, "linear", False, "uniform", kernel_constraint=MaxNorm(3), name="dense_1"),
            Activation("softmax", name="a"),
        ],
        name="sequential",
    )
    spec, translated = read_json(json.dumps(stack(*layers)))
    assert spec == expected
    assert translated.version == "1.2.2"
    dropout = "layer 0 'e' (Embedding): dropout=0.25 acts in training alone and is left out; Keras 3 lacks it"
    assert translated.notes == (dropout, HARD_SIGMOID)


def test_time_distributed_dense_is_a_dense():
    entry = {**dense(name="d", input_dim=None, input_length=None), "class_name": "TimeDistributedDense"}
    spec = from_json(stack(lstm(return_sequences=True), entry))
    layers = [Input((None, 3), name="input_layer"), LSTM(4, return_sequences=True, name="lstm_1", **OLD)]
    assert spec == Sequential([*layers, Dense(2, "linear", True, "uniform", name="d")], name="sequential")


@pytest.mark.parametrize(
    ("changes", "argument", "value"),
    [
        ({"W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.5}}, "kernel_regularizer", None),
        ({"U_regularizer": {"name": "L2", "l2": 0.5}}, "recurrent_regularizer", L2(0.5)),
        ({"b_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.0}}, "bias_regularizer", None),
        ({"W_constraint": "maxnorm"}, "kernel_constraint", MaxNorm()),
        ({"U_constraint": "max_norm"}, "recurrent_constraint", MaxNorm()),
        ({"inner_init": "identity"}, "recurrent_initializer", "glorot_uniform"),
        ({"inner_init": "he_normal"}, "recurrent_initializer", "he_normal"),
        ({"init": "normal"}, "kernel_initializer", "random_normal"),
        ({"forget_bias_init": "zeros"}, "unit_forget_bias", False),
        ({"consume_less": "mem"}, "implementation", 1),
        ({"consume_less": "gpu"}, "implementation", 2),
        ({"inner_activation": "sigmoid"}, "recurrent_activation", "sigmoid"),
        ({"activation": "hard_sigmoid"}, "activation", "hard_sigmoid_keras2"),
        ({"unroll": True, "batch_input_shape": [None, 7, 3]}, "unroll", True),
        ({"stateful": True, "batch_input_shape": [2, 7, 3]}, "stateful", True),
        ({"dropout_U": 0.5}, "recurrent_dropout", 0.5),
    ],
    ids=str,
)
def test_an_argument_of_an_lstm(changes, argument, value):
    (layer,) = from_json(stack(lstm(**changes))).layers[1:]
    if argument == "kernel_regularizer":
        assert (layer.kernel_regularizer.l1, layer.kernel_regularizer.l2) == (0.0, 0.5)
    else:
        assert getattr(layer, argument) == value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"consume_less": "tpu"},
            r"layer 0 'lstm_1' \(LSTM\): consume_less: given 'tpu'; expected one of cpu, mem, gpu",
        ),
        ({"forget_bias_init": "he_normal"}, "forget_bias_init: given 'he_normal'; expected one of one, ones, zero"),
        ({"truncate_gradient": 5}, "truncate_gradient is not executed by multilstm: given 5; expected -1"),
        ({"units": 5}, "(output_dim|units): given .*, which the layer has under another name of units"),
        (
            {"output_dim": -1},
            r"units must be a positive integer, got -1 \(the file, of Keras '1.2.2', has output_dim for",
        ),
        ({"inner_activation": "evil"}, "unknown recurrent_activation 'evil'.*has inner_activation for recurrent_activ"),
        ({"W_regularizer": {"name": "EigenvalueRegularizer", "k": 1}}, "unknown class 'EigenvalueRegularizer'"),
        ({"weights": [1.0]}, "weights is not executed by multilstm"),
    ],
    ids=str,
)
def test_refuses_an_argument_by_its_name_in_the_file(changes, message):
    with pytest.raises(SpecError, match=message):
        from_json(stack(lstm(**changes)))


@pytest.mark.parametrize("name", ["Highway", "MaxoutDense"])
def test_refuses_a_layer_that_no_later_keras_has(name):
    message = rf"layer 1 'h': class {name} is not executed by multilstm: Keras 2 and 3 have no such layer; write it"
    with pytest.raises(SpecError, match=message):
        from_json(stack(lstm(), {"class_name": name, "config": {"name": "h"}}))


# Layers that are translated although the spec may lack them ------------------------------------------------------


@pytest.mark.parametrize(
    ("class_name", "config", "into", "expected"),
    [
        (
            "Convolution1D",
            {
                "nb_filter": 8, "filter_length": 3, "border_mode": "same", "subsample_length": 2, "init": "he_normal",
                "bias": True, "W_regularizer": None, "input_dim": 3, "input_length": 9,
            },
            "Conv1D",
            {
                "filters": 8, "kernel_size": 3, "padding": "same", "strides": 2, "kernel_initializer": "he_normal",
                "use_bias": True, "kernel_regularizer": None, "batch_shape": [None, 9, 3],
            },
        ),
        ("AtrousConvolution1D", {"atrous_rate": 2}, "Conv1D", {"dilation_rate": 2}),
        (
            "Convolution2D",
            {"nb_filter": 8, "nb_row": 3, "nb_col": 5, "subsample": [1, 2], "dim_ordering": "th"},
            "Conv2D",
            {"filters": 8, "strides": [1, 2], "data_format": "channels_first", "kernel_size": [3, 5]},
        ),
        (
            "MaxPooling1D",
            {"pool_length": 2, "stride": 3, "border_mode": "valid"},
            "MaxPooling1D",
            {"pool_size": 2, "strides": 3, "padding": "valid"},
        ),
        ("SpatialDropout1D", {"p": 0.5, "noise_shape": None}, "SpatialDropout1D", {"rate": 0.5}),
        ("GaussianNoise", {"sigma": 0.1}, "GaussianNoise", {"stddev": 0.1}),
        ("Reshape", {"dims": [4, 2]}, "Reshape", {"target_shape": [4, 2]}),
        ("LeakyReLU", {"alpha": 0.3}, "LeakyReLU", {"negative_slope": 0.3}),
        (
            "BatchNormalization",
            {"mode": 0, "axis": -1, "beta_init": "zero", "gamma_init": "one", "epsilon": 1e-5, "momentum": 0.9},
            "BatchNormalization",
            {"axis": -1, "beta_initializer": "zero", "gamma_initializer": "one", "epsilon": 1e-5, "momentum": 0.9},
        ),
        (
            "GRU",
            {"output_dim": 3},
            "GRU",
            {"units": 3, "recurrent_activation": "hard_sigmoid_keras2", "reset_after": False},
        ),
        ("SimpleRNN", {"output_dim": 3, "U_constraint": None}, "SimpleRNN", {"units": 3, "recurrent_constraint": None}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_layer_in_keras_3s_form(class_name, config, into, expected):
    model = stack({"class_name": class_name, "config": {"name": "x", **config}})
    (entry,) = keras3_config(model).config["config"]["layers"]
    assert entry == {"class_name": into, "config": {"name": "x", **expected}}


def test_refuses_a_mode_of_batch_normalization():
    model = stack({"class_name": "BatchNormalization", "config": {"name": "x", "mode": 2}})
    with pytest.raises(
        SpecError, match=r"layer 0 'x' \(BatchNormalization\): mode is not executed.* given 2; expected 0"
    ):
        keras3_config(model)


# Merge -----------------------------------------------------------------------------------------------------------


def merge(*branches, **changes):
    config = {
        "name": "merge_1", "mode": "concat", "mode_type": "raw", "concat_axis": -1, "dot_axes": -1,
        "output_shape": None, "output_shape_type": "raw", "output_mask": None, "arguments": {},
    }  # fmt: skip
    return {"class_name": "Merge", "config": {**config, **changes, "layers": list(branches)}}


def test_merge_in_a_sequential_becomes_a_graph():
    branches = [stack(lstm(name="left")), stack(lstm(name="right", go_backwards=True))]
    spec = from_json(stack(merge(*branches), dense()))
    left, right = Input((None, 3), name="left_input"), Input((None, 3), name="right_input")
    states = [LSTM(4, name="left", **OLD)(left), LSTM(4, go_backwards=True, name="right", **OLD)(right)]
    merged = Concatenate(name="merge_1")(states)
    expected = Model([left, right], Dense(2, "linear", True, "uniform", name="dense_1")(merged), "sequential")
    assert spec == expected


def test_branches_of_one_name_get_names_of_their_own():
    spec, translated = read_json(stack(merge(stack(lstm()), stack(lstm())), dense()))
    assert list(spec.lstms) == ["lstm_1", "model_lstm_1"]
    assert "layer 'lstm_1' of the model 'model' has the name 'model_lstm_1' here" in translated.notes


@pytest.mark.parametrize(
    ("mode", "into", "arguments"),
    [
        ("sum", "Add", {}),
        ("mul", "Multiply", {}),
        ("ave", "Average", {}),
        ("max", "Maximum", {}),
        ("dot", "Dot", {"axes": -1}),
    ],
    ids=["sum", "mul", "ave", "max", "dot"],
)
def test_the_mode_of_a_merge(mode, into, arguments):
    model = stack(merge(stack(lstm(name="left")), stack(lstm(name="right")), mode=mode), dense())
    entries = {entry["name"]: entry for entry in keras3_config(model).config["config"]["layers"]}
    assert entries["merge_1"]["class_name"] == into
    assert entries["merge_1"]["config"] == {"name": "merge_1", **arguments}


@pytest.mark.parametrize(
    "changes", [{"mode": "cos"}, {"mode": "<lambda>"}, {"mode_type": "lambda"}, {"mode": None}], ids=str
)
def test_refuses_a_mode_of_a_merge(changes):
    with pytest.raises(SpecError, match=r"layer 0 \(Merge\): mode: given .* expected one of sum, mul, concat"):
        from_json(stack(merge(stack(lstm(name="left")), stack(lstm(name="right")), **changes), dense()))


def test_an_error_in_a_branch_names_its_place():
    broken = stack(lstm(name="left")), stack(lstm(name="right", output_dim=0))
    with pytest.raises(
        SpecError, match=r"layer 0 \(Merge\), model 1: layer 0 'right' \(LSTM\): LSTM: units must be a pos"
    ):
        from_json(stack(merge(*broken), dense()))


def test_a_merge_in_a_functional_model():
    def entry(layer, *nodes):
        return {**layer, "name": layer["config"]["name"], "inbound_nodes": list(nodes)}

    source = {
        "class_name": "InputLayer",
        "config": {"name": "x", "batch_input_shape": [None, 5, 3], "input_dtype": "float32", "sparse": False},
    }
    merged = {"class_name": "Merge", "config": {"name": "m", "mode": "concat", "concat_axis": -1}}
    layers = [
        entry(source),
        entry(lstm(name="a"), [["x", 0, 0]]),
        entry(lstm(name="b", inner_activation="sigmoid"), [["x", 0, 0]]),
        entry(merged, [["a", 0, 0], ["b", 0, 0]]),
    ]  # fmt: skip
    config = {"name": "m", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["m", 0, 0]]}
    x = Input((5, 3), name="x")
    states = [LSTM(4, name="a", **OLD)(x), LSTM(4, implementation=1, name="b")(x)]
    expected = Model(x, Concatenate(name="m")(states), "m")
    assert from_json({"class_name": "Model", "keras_version": "1.2.2", "config": config}) == expected


def test_time_distributed_layers_inside_wrappers_are_translated():
    wrapped = {"class_name": "TimeDistributed", "config": {"name": "t", "trainable": True, "layer": dense(name="d")}}
    spec = from_json(stack(lstm(return_sequences=True), wrapped))
    assert spec.layers[-1] == TimeDistributed(Dense(2, "linear", True, "uniform", name="d"), name="t")
