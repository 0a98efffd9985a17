"""Layers of Keras 2 and tf.keras: hard_sigmoid, defaults, CuDNN's layers, initializers, refused arguments."""

import pytest
from keras2_entries import SCALING, lstm, stack

from multilstm.errors import SpecError
from multilstm.spec import L1L2, LSTM, Bidirectional, Embedding, Input, Sequential, from_json
from multilstm.spec.dialects import keras3_config
from multilstm.spec.keras_json.model import read_json


def first(model):
    """Return the first layer after the input."""
    return from_json(model).layers[1]


@pytest.mark.parametrize("version", ["2.0.5", "2.1.2", "2.2.4", "2.2.4.2", "2.3.1", "2.3.0-tf", "2.12.0", "2.21.0"])
def test_hard_sigmoid_of_every_version_before_3(version):
    spec, translated = read_json(stack(lstm(), version=version))
    assert spec.layers[1].recurrent_activation == "hard_sigmoid_keras2"
    note = f"hard_sigmoid of Keras {version} is clip(0.2 * x + 0.5, 0, 1); Keras 3 would use relu6(x + 3) / 6"
    assert translated.notes == (note,)


def test_hard_sigmoid_of_keras_3_stays():
    model = stack(lstm(batch_input_shape="LEFT OUT", kernel_initializer="zeros", implementation=2), version="3.4.1")
    model["config"]["build_input_shape"] = [None, None, 3]
    spec, translated = read_json(model)
    assert spec.layers[1].recurrent_activation == "hard_sigmoid"
    assert translated.notes == ()
    assert translated.config == model


@pytest.mark.parametrize("layer", ["Dense", "Activation", "TimeDistributed"])
def test_hard_sigmoid_in_other_layers(layer):
    dense = {"class_name": "Dense", "config": {"name": "d", "units": 2, "activation": "hard_sigmoid"}}
    entries = {
        "Dense": dense,
        "Activation": {"class_name": "Activation", "config": {"name": "d", "activation": "hard_sigmoid"}},
        "TimeDistributed": {"class_name": "TimeDistributed", "config": {"name": "d", "layer": dense}},
    }
    last = from_json(stack(lstm(return_sequences=True), entries[layer])).layers[-1]
    assert (last.wrapped or last).activation == "hard_sigmoid_keras2"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.2.2", "hard_sigmoid_keras2"),
        ("2.2.4", "hard_sigmoid_keras2"),
        ("2.2.5", "hard_sigmoid_keras2"),
        ("2.3.0", "sigmoid"),
        ("2.3.0-tf", "sigmoid"),
        ("2.4.3", "sigmoid"),
        ("2.21.0", "sigmoid"),
    ],
)
def test_a_missing_recurrent_activation_is_that_versions_default(version, expected):
    assert first(stack(lstm(recurrent_activation="LEFT OUT"), version=version)).recurrent_activation == expected


@pytest.mark.parametrize("version", ["2.2.4-tf", "2.1.6-tf", None])
def test_refuses_a_missing_recurrent_activation_that_the_version_does_not_decide(version):
    model = stack(lstm(recurrent_activation="LEFT OUT"), version=version)
    with pytest.raises(SpecError, match=r"layer 0 'a' \(LSTM\): recurrent_activation is missing, and its default dep"):
        from_json(model)


@pytest.mark.parametrize(
    ("version", "expected"), [("2.1.2", 1), ("2.2.4", 1), ("2.3.0", 2), ("2.3.0-tf", 2), ("2.9.0", 2)]
)
def test_a_missing_implementation_is_that_versions_default(version, expected):
    assert first(stack(lstm(implementation="LEFT OUT"), version=version)).implementation == expected


@pytest.mark.parametrize(
    ("changes", "argument", "expected"),
    [
        ({"implementation": 0}, "implementation", 1),
        ({"use_bias": 1}, "use_bias", True),
        ({"return_sequences": 1}, "return_sequences", True),
        ({"time_major": False}, "units", 4),
        ({"time_major": 0}, "units", 4),
        ({"num_constants": None}, "units", 4),
        ({"activation": "swish"}, "activation", "silu"),
        ({"kernel_regularizer": {"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.0}}}, "kernel_regularizer", None),
        (
            {"kernel_regularizer": {"class_name": "L1L2", "config": {"l1": 0.5, "l2": 0.0}}},
            "kernel_regularizer",
            L1L2(0.5, 0.0),
        ),
        ({"dtype": {"class_name": "Policy", "config": {"name": "float32"}}}, "units", 4),
        ({"batch_input_shape": {"class_name": "__tuple__", "items": [None, None, 3]}}, "units", 4),
        ({"stateful": True, "batch_input_shape": [2, None, 3]}, "stateful", True),
    ],
    ids=str,
)
def test_an_argument_of_an_lstm(changes, argument, expected):
    assert getattr(first(stack(lstm(**changes))), argument) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"time_major": True},
            r"layer 0 'a' \(LSTM\): time_major is not executed by multilstm: given True; expected Fal",
        ),
        ({"ragged": True}, "ragged is not executed by multilstm"),
        ({"num_constants": 1}, "num_constants is not executed by multilstm: given 1; expected None"),
        ({"implementation": 3}, "implementation: given 3; expected one of 0, 1, 2"),
        ({"implementation": True}, "implementation: given True; expected one of 0, 1, 2"),
        ({"unknown": 1}, "given 'unknown'; expected only the arguments"),
        ({"dtype": "float16"}, "dtype policy: given 'float16'"),
        ({"activity_regularizer": {"class_name": "L2", "config": {"l2": 0.5}}}, "activity_regularizer is not executed"),
        ({"kernel_initializer": {"class_name": "Evil", "config": {}}}, "unknown class 'Evil'"),
        ({"kernel_initializer": {"class_name": "Constant", "config": {}, "module": "evil"}}, None),
    ],
    ids=str,
)
def test_refuses_an_argument(changes, message):
    if message is None:  # an initializer is replaced by its class; nothing of its module is used
        assert first(stack(lstm(**changes))).kernel_initializer == "glorot_uniform"
        return
    with pytest.raises(SpecError, match=message):
        from_json(stack(lstm(**changes)))


@pytest.mark.parametrize(
    ("initializer", "expected", "is_noted"),
    [
        ({"class_name": "VarianceScaling", "config": SCALING}, "glorot_uniform", False),
        ({"class_name": "VarianceScaling", "config": {**SCALING, "distribution": "normal"}}, "glorot_normal", False),
        ({"class_name": "VarianceScaling", "config": {**SCALING, "scale": 2, "mode": "fan_in"}}, "he_uniform", False),
        (
            {
                "class_name": "VarianceScaling",
                "config": {"scale": 1, "mode": "fan_in", "distribution": "truncated_normal"},
            },
            "lecun_normal",
            False,
        ),
        ({"class_name": "VarianceScaling", "config": {**SCALING, "scale": 0.5}}, "glorot_uniform", True),
        ({"class_name": "VarianceScaling", "config": {**SCALING, "scale": 10**400}}, "glorot_uniform", True),
        ({"class_name": "VarianceScaling", "config": None}, "glorot_uniform", True),
        ({"class_name": "RandomUniform", "config": {"minval": -0.5, "maxval": 0.5}}, "glorot_uniform", True),
        ({"class_name": "RandomUniform", "config": {"minval": -0.05, "maxval": 0.05}}, "random_uniform", False),
        ({"class_name": "TruncatedNormal", "config": {"mean": 0.0, "stddev": 0.1}}, "glorot_uniform", True),
        ({"class_name": "Orthogonal", "config": {"gain": 2.0}}, "glorot_uniform", True),
        ({"class_name": "GlorotNormal", "config": {"seed": 3}, "shared_object_id": 4}, "glorot_normal", False),
    ],
    ids=str,
)
def test_an_initializer(initializer, expected, is_noted):
    spec, translated = read_json(stack(lstm(kernel_initializer=initializer, recurrent_activation="sigmoid")))
    assert spec.layers[1].kernel_initializer == expected
    name = initializer["class_name"]
    note = (
        f"layer 0 'a' (LSTM): kernel_initializer: the initializer '{name}' is read as glorot_uniform: it decides only"
    )
    assert translated.notes == ((f"{note} new weights",) if is_noted else ())


def test_a_bias_initializer_without_a_name_is_zeros():
    constant = {"class_name": "Constant", "config": {"value": 0.5}}
    assert first(stack(lstm(bias_initializer=constant))).bias_initializer == "zeros"


def test_cudnn_lstm_has_tanh_and_sigmoid():
    config = {"name": "a", "units": 4, "batch_input_shape": [None, 5, 3], "stateful": False, "unit_forget_bias": False}
    spec, translated = read_json(stack({"class_name": "CuDNNLSTM", "config": config}))
    layers = [Input((5, 3), name="input_layer"), LSTM(4, unit_forget_bias=False, name="a")]
    assert spec == Sequential(layers, name="s")
    assert translated.notes == ("CuDNNLSTM is an LSTM with tanh and sigmoid; its weights are laid out otherwise",)


def test_cudnn_layers_inside_bidirectional():
    inner = {"class_name": "CuDNNLSTM", "config": {"name": "i", "units": 4, "return_sequences": True}}
    config = {"name": "b", "merge_mode": "sum", "batch_input_shape": [None, 5, 3], "layer": inner}
    layer = first(stack({"class_name": "Bidirectional", "config": config}))
    assert layer == Bidirectional(LSTM(4, return_sequences=True, name="i"), "sum", name="b")


def test_cudnn_gru_is_a_gru_with_reset_after():
    model = stack({"class_name": "CuDNNGRU", "config": {"name": "g", "units": 4}})
    (entry,) = keras3_config(model).config["config"]["layers"]
    arguments = {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True, "reset_after": True}
    assert entry == {"class_name": "GRU", "config": {"name": "g", "units": 4, **arguments}}


@pytest.mark.parametrize(("axis", "expected"), [([2], 2), (-1, -1)], ids=str)
def test_the_axis_of_a_batch_normalization(axis, expected):
    config = {"name": "b", "axis": axis, "fused": None, "renorm": False, "center": 1}
    (entry,) = keras3_config(stack({"class_name": "BatchNormalization", "config": config})).config["config"]["layers"]
    assert entry["config"] == {"name": "b", "axis": expected, "center": True}


def test_a_depthwise_convolution_of_tensorflow_has_one_group():
    config = {"name": "d", "kernel_size": [3, 3], "groups": 1}
    (entry,) = keras3_config(stack({"class_name": "DepthwiseConv2D", "config": config})).config["config"]["layers"]
    assert entry["config"] == {"name": "d", "kernel_size": [3, 3]}
    with pytest.raises(SpecError, match="groups is not executed by multilstm: given 2"):
        keras3_config(stack({"class_name": "DepthwiseConv2D", "config": {**config, "groups": 2}}))


@pytest.mark.parametrize("layer", ["Attention", "AdditiveAttention"])
def test_an_attention_of_tensorflow_that_is_not_causal(layer):
    config = {"name": "a", "causal": False, "use_scale": True, "dropout": 0.0}
    (entry,) = keras3_config(stack({"class_name": layer, "config": config})).config["config"]["layers"]
    assert entry == {"class_name": layer, "config": {"name": "a", "use_scale": True, "dropout": 0.0}}
    with pytest.raises(SpecError, match=f"{layer}.: causal is not executed by multilstm: given True; expected False"):
        keras3_config(stack({"class_name": layer, "config": {**config, "causal": True}}))


def test_tokens_are_integers_where_an_embedding_alone_reads_them():
    source = {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [None, 6], "dtype": "float32"}}
    config = {"name": "e", "input_dim": 9, "output_dim": 3, "input_length": 6, "dtype": "int32", "mask_zero": False}
    spec = from_json(stack(source, {"class_name": "Embedding", "config": config}))
    assert spec == Sequential([Input((6,), dtype="int32", name="x"), Embedding(9, 3, name="e")], name="s")


@pytest.mark.parametrize("version", ["2.12.0", "3.4.1"])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_policy_of_mixed_precision_is_noted(version, policy):
    """A policy decides the dtype of a computation, no formula; the spec is that of float32."""
    dtype = {"class_name": "DTypePolicy", "config": {"name": policy}}
    changes = {"recurrent_activation": "sigmoid", "kernel_initializer": "zeros", "batch_input_shape": "LEFT OUT"}
    models = [stack(lstm(**changes, dtype=given, implementation=2), version=version) for given in (dtype, "float32")]
    for model in models:
        model["config"]["build_input_shape"] = [None, None, 3]
    (spec, translated), (plain, _) = map(read_json, models)
    assert spec == plain
    note = f"layers of the file compute in {policy}; here the dtype of a run decides: compare with --dtype {policy}"
    assert note in translated.notes
