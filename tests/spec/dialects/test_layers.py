"""Layers around an LSTM in the JSON of Keras 0.3 to 2, as their programs wrote them."""

import pytest
from keras2_entries import stack

from multilstm.errors import SpecError
from multilstm.spec import (
    Activation,
    AlphaDropout,
    ConvLSTM2D,
    Embedding,
    GaussianDropout,
    GaussianNoise,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    LeakyReLU,
    PReLU,
    ReLU,
    SimpleRNN,
    SpatialDropout1D,
    SpatialDropout2D,
    from_json,
)
from multilstm.spec.keras_json.model import read_json

KERAS_1_CONV_LSTM = {
    "name": "c", "trainable": True, "batch_input_shape": [None, 3, 6, 5, 2], "input_dtype": "float32",
    "nb_filter": 4, "nb_row": 3, "nb_col": 2, "init": "glorot_uniform", "inner_init": "orthogonal",
    "forget_bias_init": "one", "activation": "tanh", "inner_activation": "hard_sigmoid", "dim_ordering": "tf",
    "border_mode": "same", "subsample": [2, 1], "W_regularizer": None, "U_regularizer": None, "b_regularizer": None,
    "dropout_W": 0.25, "dropout_U": 0.0, "return_sequences": True, "go_backwards": False, "stateful": False,
    "unroll": False, "consume_less": "cpu", "input_dim": None, "input_length": None,
}  # fmt: skip
KERAS_2_CONV_LSTM = {
    "name": "c", "trainable": True, "batch_input_shape": [None, 3, 6, 5, 2], "dtype": "float32",
    "return_sequences": True, "return_state": False, "go_backwards": False, "stateful": False, "unroll": False,
    "filters": 4, "kernel_size": [3, 2], "strides": [2, 1], "padding": "same", "data_format": "channels_last",
    "dilation_rate": [1, 1], "activation": "tanh", "recurrent_activation": "hard_sigmoid", "use_bias": True,
    "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}}, "unit_forget_bias": True,
    "recurrent_initializer": {"class_name": "Orthogonal", "config": {"gain": 1.0, "seed": None}},
    "bias_initializer": {"class_name": "Zeros", "config": {}}, "kernel_regularizer": None,
    "recurrent_regularizer": None, "bias_regularizer": None, "activity_regularizer": None, "kernel_constraint": None,
    "recurrent_constraint": None, "bias_constraint": None, "dropout": 0.25, "recurrent_dropout": 0.0,
}  # fmt: skip
CONV_LSTM = ConvLSTM2D(
    4,
    (3, 2),
    (2, 1),
    "same",
    recurrent_activation="hard_sigmoid_keras2",
    dropout=0.25,
    return_sequences=True,
    name="c",
)


@pytest.mark.parametrize(
    ("version", "config"),
    [("1.2.2", KERAS_1_CONV_LSTM), ("2.2.4", KERAS_2_CONV_LSTM), ("2.12.0", KERAS_2_CONV_LSTM)],
    ids=["keras1", "keras2", "tf_keras"],
)
def test_a_conv_lstm(version, config):
    model = stack({"class_name": "ConvLSTM2D", "config": config}, version=version)
    model["config"] = model["config"]["layers"] if version == "1.2.2" else model["config"]
    assert from_json(model).layers[1] == CONV_LSTM


def test_a_conv_lstm_without_recurrent_activation_has_hard_sigmoid_in_every_old_version():
    """TensorFlow 2 changed this default for LSTM alone."""
    config = {key: value for key, value in KERAS_2_CONV_LSTM.items() if key != "recurrent_activation"}
    assert from_json(stack({"class_name": "ConvLSTM2D", "config": config}, version="2.12.0")).layers[1] == CONV_LSTM


@pytest.mark.parametrize(
    ("version", "class_name", "config", "layer"),
    [
        ("1.2.2", "GaussianNoise", {"sigma": 0.5}, GaussianNoise(0.5, name="n")),
        ("2.0.8", "GaussianNoise", {"stddev": 0.5}, GaussianNoise(0.5, name="n")),
        ("1.2.2", "GaussianDropout", {"p": 0.5}, GaussianDropout(0.5, name="n")),
        ("2.0.8", "GaussianDropout", {"rate": 0.5}, GaussianDropout(0.5, name="n")),
        ("2.0.8", "AlphaDropout", {"rate": 0.5}, AlphaDropout(0.5, name="n")),
        ("1.2.2", "PReLU", {"init": "zero", "shared_axes": [1]}, PReLU(shared_axes=(1,), name="n")),
        (
            "2.0.8",
            "PReLU",
            {"alpha_initializer": {"class_name": "Zeros", "config": {}}, "shared_axes": [1], "alpha_regularizer": None},
            PReLU(shared_axes=(1,), name="n"),
        ),
        (
            "2.2.4",
            "ReLU",
            {"max_value": 6.0, **{key: {"type": "ndarray", "value": 0.5} for key in ("negative_slope", "threshold")}},
            ReLU(6.0, 0.5, 0.5, name="n"),
        ),
        ("2.2.4", "LeakyReLU", {"alpha": {"type": "ndarray", "value": 0.25}}, LeakyReLU(0.25, name="n")),
        ("2.2.4", "Dropout", {"rate": 0.5, "noise_shape": [None, 1, 3]}, SpatialDropout1D(0.5, name="n")),
        ("1.2.2", "Activation", {"activation": "time_distributed_softmax"}, Activation("softmax", name="n")),
        (
            "1.2.2",
            "SimpleRNN",
            {"output_dim": 2, "consume_less": "mem", "activation": "tanh", "dropout_U": 0.5},
            SimpleRNN(2, recurrent_dropout=0.5, name="n"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_layer_after_an_input(version, class_name, config, layer):
    shape = {"batch_input_shape": [None, None, 3], "name": "n", "trainable": True}
    assert (
        from_json(stack({"class_name": class_name, "config": {**shape, **config}}, version=version)).layers[1] == layer
    )


def test_a_spatial_dropout_of_keras_1():
    config = {"name": "d", "batch_input_shape": [None, 6, 5, 2], "p": 0.5, "dim_ordering": "tf"}
    model = stack({"class_name": "SpatialDropout2D", "config": config}, version="1.2.2")
    assert from_json(model).layers[1] == SpatialDropout2D(0.5, name="d")


def test_noise_of_keras_0():
    """Keras 0 has the arguments next to the class."""
    entries = [
        {"name": "GaussianNoise", "sigma": 0.5, "input_shape": [7, 3]},
        {"name": "GaussianDropout", "p": 0.25},
    ]
    spec = from_json({"name": "Sequential", "layers": entries})
    noise, dropout = (type(layer) for layer in spec.layers[1:])
    assert (noise, dropout) == (GaussianNoise, GaussianDropout)
    assert (spec.layers[1].stddev, spec.layers[2].rate) == (0.5, 0.25)


@pytest.mark.parametrize("order", ["tf", "th"])
@pytest.mark.parametrize("kind", [GlobalAveragePooling2D, GlobalMaxPooling2D], ids=lambda kind: kind.__name__)
def test_a_global_pooling_of_images_of_keras_1(kind, order):
    image = {"batch_input_shape": [None, 4, 4, 3], "name": "n", "dim_ordering": order}
    model = {**stack({"class_name": kind.__name__, "config": image}), "keras_version": "1.2.2"}
    if order == "tf":
        assert from_json(model).layers[1] == kind(name="n")
    else:
        with pytest.raises(SpecError, match="data_format is 'channels_first'; multilstm executes"):
            from_json(model)


def test_a_dropout_that_keeps_whole_sequences_is_refused_by_its_argument():
    config = {"batch_input_shape": [None, 4, 3], "name": "n", "rate": 0.5, "noise_shape": [1, 1, 3]}
    with pytest.raises(SpecError, match="noise_shape is not executed by multilstm"):
        from_json(stack({"class_name": "Dropout", "config": config}))


def test_a_regularizer_of_strength_0_is_none():
    zero = {"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.0}}
    config = {"batch_input_shape": [None, 4], "name": "n", "input_dim": 9, "output_dim": 2}
    config |= {"activity_regularizer": zero}
    assert from_json(stack({"class_name": "Embedding", "config": config})).layers[1] == Embedding(9, 2, name="n")


def test_the_dropout_of_sequences_inside_of_a_time_distributed_is_left_out_with_a_note():
    lstm = {"class_name": "LSTM", "config": {"name": "l", "units": 2, "dropout": 0.5, "recurrent_dropout": 0.25}}
    both = {"class_name": "Bidirectional", "config": {"name": "b", "layer": lstm, "merge_mode": "concat"}}
    config = {"name": "t", "batch_input_shape": [None, 4, 5, 3], "layer": both}
    graph, translated = read_json(stack({"class_name": "TimeDistributed", "config": config}))
    inside = graph.layers[1].layer.layer
    assert (inside.dropout, inside.recurrent_dropout) == (0, 0)
    assert [note for note in translated.notes if "inside acts in training alone" in note] == [
        "layer 0 't' (TimeDistributed): dropout=0.5 inside acts in training alone and is left out",
        "layer 0 't' (TimeDistributed): recurrent_dropout=0.25 inside acts in training alone and is left out",
    ]
