"""RNNs around cells in the JSON of Keras 2 and 3: the layers, or the stack of layers, that they mean."""

import pytest
from keras2_entries import lstm, stack

from multilstm.errors import SpecError
from multilstm.spec import GRU, LSTM, Bidirectional, Input, Model, Sequential, SimpleRNN, from_json
from multilstm.spec.keras_json.model import read_json

IDENTITY = {"class_name": "DTypePolicy", "config": {"name": "float32"}}


def cell(kind="LSTMCell", **changes):
    """Return a cell as Keras 3.15 writes it."""
    config = {"name": kind.lower(), "trainable": True, "dtype": IDENTITY, "units": 4, "seed": None, **changes}
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}


def rnn(*cells, **changes):
    """Return an RNN of cells as Keras 3.15 writes it."""
    stacked = {"module": "keras.layers", "class_name": "StackedRNNCells", "config": {"name": "s", "cells": list(cells)}}
    config = {
        "name": "r", "trainable": True, "dtype": IDENTITY, "return_sequences": False, "return_state": False,
        "go_backwards": False, "stateful": False, "unroll": False, "zero_output_for_mask": False,
        "cell": cells[0] if len(cells) == 1 else stacked, **changes,
    }  # fmt: skip
    return {"module": "keras.layers", "class_name": "RNN", "config": config, "registered_name": None}


def keras3(*layers):
    config = {"name": "s", "layers": list(layers), "build_input_shape": [None, None, 3]}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}


ONE = {
    "lstm": (rnn(cell(dropout=0.25), return_sequences=True), LSTM(4, dropout=0.25, return_sequences=True, name="r")),
    "gru": (rnn(cell("GRUCell", reset_after=False)), GRU(4, reset_after=False, name="r")),
    "simple": (rnn(cell("SimpleRNNCell", activation="relu")), SimpleRNN(4, "relu", name="r")),
    "frozen": (rnn(cell(trainable=False)), LSTM(4, trainable=False, name="r")),
}


@pytest.mark.parametrize(("entry", "layer"), ONE.values(), ids=ONE)
def test_an_rnn_of_a_cell_is_the_layer(entry, layer):
    assert from_json(keras3(entry)) == Sequential([layer], input_shape=(None, 3), name="s")


def test_the_layer_of_a_cell_in_a_bidirectional():
    wrapper = {"class_name": "Bidirectional", "config": {"name": "b", "layer": rnn(cell(), name="forward_r")}}
    assert from_json(keras3(wrapper)).layers[1] == Bidirectional(LSTM(4, name="r"), name="b")


def test_an_rnn_of_several_cells_is_a_stack():
    spec, translated = read_json(keras3(rnn(cell(), cell("GRUCell", units=2), return_sequences=True)))
    layers = [LSTM(4, return_sequences=True, name="r_cell_1"), GRU(2, return_sequences=True, name="r_cell_2")]
    assert spec.layers[1:] == tuple(layers)
    (stacked,) = translated.parts[-1:]
    assert (stacked.class_name, [part.class_name for part in stacked.parts if part.name in spec.recurrent]) == (
        "RNN", ["LSTMCell", "GRUCell"],
    )  # fmt: skip


def test_the_calls_of_a_stack_in_a_graph():
    entry = rnn(cell(), cell(units=2))
    x = Input((None, 3), name="x")
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["r", 0, 0]]}
    source = {"class_name": "InputLayer", "name": "x", "config": {"name": "x", "batch_shape": [None, None, 3]}}
    tensor = {"class_name": "__keras_tensor__", "config": {"shape": [None, None, 3], "keras_history": ["x", 0, 0]}}
    call = [{"args": [tensor], "kwargs": {"training": False, "mask": None}}]
    layers = [{**source, "inbound_nodes": []}, {**entry, "name": "r", "inbound_nodes": call}]
    model = {"class_name": "Functional", "config": {"name": "f", "layers": layers, **ends}}
    first = LSTM(4, return_sequences=True, name="r_cell_1")(x)
    assert from_json(model) == Model(x, LSTM(2, name="r_cell_2")(first), "f")


def test_a_cell_of_keras_2_has_the_defaults_of_its_version():
    config = {"name": "r", "batch_input_shape": [None, None, 3], "return_sequences": False}
    inner = {**lstm(name="c", batch_input_shape="LEFT OUT")["config"], "implementation": 2}
    unwanted = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "activity_regularizer")
    inner = {"class_name": "LSTMCell", "config": {key: inner[key] for key in inner if key not in unwanted}}
    expected = LSTM(4, recurrent_activation="hard_sigmoid_keras2", name="r")
    assert from_json(stack({"class_name": "RNN", "config": {**config, "cell": inner}})).layers[1] == expected


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (rnn(cell("MyCell")), r"layer 'r' \(RNN\): cell: unknown class 'MyCell': expected one of LSTMCell"),
        (rnn(cell(), cell("MyCell")), r"layer 'r' \(RNN\): cell: unknown class 'MyCell'"),
        (
            rnn(cell(), cell(), return_state=True),
            "return_state of several cells is not executed by multilstm: given Tr",
        ),
        (rnn(cell(), cell(), go_backwards=True), "go_backwards of several cells is not executed by multilstm"),
        (rnn(cell(), cell=None), r"layer 'r' \(RNN\): cell: given None; expected an object"),
        ({**rnn(cell()), "registered_name": "Custom>RNN"}, "registered_name of class RNN: given 'Custom>RNN'"),
    ],
    ids=["class", "class_in_stack", "states", "backwards", "none", "registered"],
)
def test_refuses(entry, message):
    with pytest.raises(SpecError, match=message):
        from_json(keras3(entry))
