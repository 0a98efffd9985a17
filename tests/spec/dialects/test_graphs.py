"""Graphs of Keras 2 and tf.keras: calls as lists, initial states, models inside models, TensorFlow.js."""

import copy
import json

import pytest
from keras2_entries import lstm, stack

from multilstm.errors import SpecError
from multilstm.spec import LSTM, Dense, Input, Model, Sequential, from_json
from multilstm.spec.keras_json.model import read_json

# Functional ------------------------------------------------------------------------------------------------------


def functional(*entries, inputs, outputs, version="2.0.5"):
    config = {"name": "f", "layers": list(entries), "input_layers": inputs, "output_layers": outputs}
    return {"class_name": "Model", "keras_version": version, "config": copy.deepcopy(config)}


def source(name, *shape):
    config = {"name": name, "batch_input_shape": [None, *shape], "dtype": "float32", "sparse": False}
    return {"class_name": "InputLayer", "name": name, "config": config, "inbound_nodes": []}


def called(layer, *nodes):
    return {**layer, "name": layer["config"]["name"], "inbound_nodes": list(nodes)}


def translator(node):
    """Return an encoder and a decoder, whose one call is `node`."""
    return functional(
        source("x", None, 3),
        source("y", None, 3),
        called(lstm(name="e", return_state=True), [["x", 0, 0, {}]]),
        called(lstm(name="d"), node),
        inputs=[["x", 0, 0], ["y", 0, 0]],
        outputs=[["d", 0, 0]],
    )


STATES = [["e", 0, 1], ["e", 0, 2]]
STATE_ITEMS = [["e", 0, 1, {}], ["e", 0, 2, {}]]


@pytest.mark.parametrize(
    "node",
    [
        [["y", 0, 0, {}], *STATE_ITEMS],
        [["y", 0, 0], *STATES],
        [["y", 0, 0, {"initial_state": STATES}]],
        [["y", 0, 0, {"initial_state": STATES, "training": None, "mask": None}]],
        ["y", 0, 0, {"initial_state": STATES}],
    ],
    ids=["inputs", "keras_1", "argument", "other_arguments", "flat"],
)
def test_initial_states(node):
    x, y = Input((None, 3), name="x"), Input((None, 3), name="y")
    old = {"recurrent_activation": "hard_sigmoid_keras2", "implementation": 1}
    _, *states = LSTM(4, return_state=True, name="e", **old)(x)
    expected = Model([x, y], LSTM(4, name="d", **old)(y, states), "f")
    assert from_json(translator(node)) == expected


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ([["y", 0, 0, {"constants": STATES}]], "layer 'd', call 0: constants: given .* expected only initial_state"),
        ([["y", 0, 0, {"training": True}]], "layer 'd', call 0: training: given True"),
        ([["y", 0, 0, {"mask": ["e", 0, 0]}]], "layer 'd', call 0: mask"),
        ([["y", 0]], "layer 3, call 0: given .* expected a layer, a call and an output"),
        ([["y", True, 0]], "layer 3, call 0: given .* expected a layer, a call and an output"),
        ([["y", 0, 0, []]], "layer 3, call 0: arguments: given .* expected an object"),
        ([], r"layer 3, call 0: given \[\]; expected a list such as"),
        ({"args": []}, "layer 3, call 0: given .* expected a list such as"),
        ([["z", 0, 0, {}]], "the graph uses call"),
        ([["d", 0, 0, {}]], "feed each other in a circle"),
        ([["y", 0, 0, {}], ["e", 0, 1, {}]], "expected 2"),
    ],
    ids=str,
)
def test_refuses_a_call(node, message):
    with pytest.raises(SpecError, match=message):
        from_json(translator(node))


@pytest.mark.parametrize(("key", "value"), [("input_layers", []), ("output_layers", {"a": 1}), ("input_layers", None)])
def test_refuses_ends(key, value):
    model = translator([["y", 0, 0, {}]])
    model["config"][key] = value
    with pytest.raises(SpecError, match=rf"{key}: given .* expected a list such as \[\[\"input_1\", 0, 0\]\]"):
        from_json(model)


# Models inside models --------------------------------------------------------------------------------------------


def dense(name, units=2):
    return {"class_name": "Dense", "config": {"name": name, "units": units, "activation": "linear"}}


def twins(offset):
    """Return a model that calls a model inside it twice; TensorFlow counts the calls from 1."""
    inner = {
        **functional(
            source("i", None, 3),
            called(lstm(name="read", recurrent_activation="sigmoid", implementation=2), [["i", 0, 0, {}]]),
            inputs=[["i", 0, 0]],
            outputs=[["read", 0, 0]],
        ),
    }
    inner["config"]["name"] = "encoder"
    add = {"class_name": "Concatenate", "config": {"name": "both", "axis": -1}}
    return functional(
        source("l", None, 3),
        source("r", None, 3),
        called(inner, [["l", 0, 0, {}]], [["r", 0, 0, {}]]),
        called(add, [["encoder", offset, 0, {}], ["encoder", offset + 1, 0, {}]]),
        inputs=[["l", 0, 0], ["r", 0, 0]],
        outputs=[["both", 0, 0]],
        version="2.4.0" if offset else "2.2.4",
    )


@pytest.mark.parametrize("offset", [0, 1], ids=["keras", "tensorflow"])
def test_a_model_inside_that_is_called_twice(offset):
    spec, translated = read_json(twins(offset))
    names = [(call.layer, [spec.calls[ref.call].layer for ref in call.inputs]) for call in spec.calls]
    assert names == [("l", []), ("r", []), ("read", ["l"]), ("read", ["r"]), ("both", ["read", "read"])]
    assert [ref.call for ref in spec.calls[4].inputs] == [2, 3]
    assert translated.notes == ("the layers of the model 'encoder' are read as layers of the whole model",)


def test_refuses_a_call_that_a_model_inside_has_not():
    model = twins(0)
    model["config"]["layers"][3]["inbound_nodes"][0][1][1] = 7
    with pytest.raises(SpecError, match=r"layer 2 'encoder': given \['encoder', 0, 0\]; expected a call and an output"):
        from_json(model)


def test_refuses_a_tensor_that_a_model_inside_has_not():
    model = twins(0)
    model["config"]["layers"][2]["config"]["layers"][1]["inbound_nodes"][0][0][0] = "z"
    with pytest.raises(SpecError, match=r"a model inside the model uses tensor: given \['z', 0, 0\]; expected a layer"):
        from_json(model)


def test_an_error_in_a_model_inside_names_its_place():
    model = twins(0)
    model["config"]["layers"][2]["config"]["layers"][1]["config"]["units"] = 0
    with pytest.raises(SpecError, match=r"^layer 2: layer 1 'read' \(LSTM\): LSTM: units must be a positive integer"):
        from_json(model)


def nested(inner, **changes):
    """Return a Sequential with a model as its second layer."""
    config = {"name": "head", "layers": inner, **changes}
    first = lstm(return_sequences=True, recurrent_activation="sigmoid", implementation=2)
    return stack(first, {"class_name": "Sequential", "config": config}, dense("last"))


def test_a_sequential_inside_a_sequential_stays_a_stack():
    layers = [Input((None, 3), name="a_input"), LSTM(4, return_sequences=True, name="a")]
    layers += [Dense(5, "linear", name="one"), Dense(2, "linear", name="two"), Dense(2, "linear", name="last")]
    assert from_json(nested([dense("one", 5), dense("two")])) == Sequential(layers, name="s")


def test_a_model_inside_that_is_not_trained():
    spec = from_json(nested([dense("one", 5)], trainable=False))
    assert [weight for weight in spec.weight_shapes if weight not in spec.trainable_weights] == [
        "one/kernel",
        "one/bias",
    ]


def test_names_that_occur_twice_are_made_unique():
    spec, translated = read_json(nested([dense("a", 5), dense("last")]))
    assert [layer.name for layer in spec.layers] == ["a_input", "a", "head_a", "head_last", "last"]
    assert "layer 'a' of the model 'head' has the name 'head_a' here" in translated.notes


def test_a_sequential_inside_time_distributed():
    inner = {"class_name": "Sequential", "config": {"name": "i", "layers": [dense("one", 5), dense("two")]}}
    wrapper = {"class_name": "TimeDistributed", "config": {"name": "t", "layer": inner}}
    spec = from_json(stack(lstm(return_sequences=True), wrapper))
    assert [(type(layer).__name__, layer.name, layer.wrapped and layer.wrapped.name) for layer in spec.layers[2:]] == [
        ("TimeDistributed", "one", "one"),
        ("TimeDistributed", "two", "two"),
    ]


def distributed(*layers, outputs, inputs=("x",), shape=(4,)):
    """Return a model of a TimeDistributed around a graph, behind an LSTM where its timesteps are no sequences."""
    ends = {"inputs": [[name, 0, 0] for name in inputs], "outputs": [[name, 0, 0] for name in outputs]}
    inner = functional(*(source(name, *shape) for name in inputs), *layers, **ends)
    wrapper = {"class_name": "TimeDistributed", "config": {"name": "t", "layer": inner}}
    if shape == (4,):
        return stack(lstm(return_sequences=True), wrapper)
    return stack({**wrapper, "config": {**wrapper["config"], "batch_input_shape": [None, None, *shape]}})


def test_a_graph_inside_time_distributed():
    one, two = called(dense("one"), [["x", 0, 0, {}]]), called(dense("two"), [["one", 0, 0, {}]])
    both = {"class_name": "Concatenate", "config": {"name": "both", "axis": 1}}
    both = called(both, [["one", 0, 0, {}], ["two", 0, 0, {}]])
    spec = from_json(distributed(one, two, both, outputs=["both"]))
    assert [type(layer).__name__ for layer in spec.layers[2:]] == ["TimeDistributed", "TimeDistributed", "Concatenate"]
    assert spec.layer("both").axis == 2
    assert spec.output_shapes == ((None, None, 4),)


MASKS = {
    "masking": {"class_name": "Masking", "config": {"name": "m", "mask_value": -1.0}},
    "mask_zero": {
        "class_name": "Embedding",
        "config": {"name": "m", "input_dim": 9, "output_dim": 4, "mask_zero": True},
    },
}


@pytest.mark.parametrize("layer", MASKS.values(), ids=MASKS)
def test_a_model_that_masks_stays_a_model_inside_time_distributed(layer):
    """Its recurrent layer and its Dropout drop in training alone."""
    end = called(lstm(name="end", dropout=0.5, batch_input_shape=None), [["d", 0, 0, {}]])
    dropout = called({"class_name": "Dropout", "config": {"name": "d", "rate": 0.5}}, [["m", 0, 0, {}]])
    shape = (None,) if layer["class_name"] == "Embedding" else (None, 4)
    model = distributed(called(layer, [["x", 0, 0, {}]]), dropout, end, outputs=["end"], shape=shape)
    spec, translated = read_json(model)
    inner = spec.layers[-1].inner_model.model
    assert [type(part).__name__ for part in inner.layers] == ["InputLayer", layer["class_name"], "Dropout", "LSTM"]
    assert [inner.layer("d").rate, inner.layer("end").dropout] == [0.0, 0.0]
    assert sum("acts in training alone" in note for note in translated.notes) == 2
    assert {weight for weight in spec.weight_shapes if weight.startswith("t/end")} == {
        "t/end/kernel", "t/end/recurrent_kernel", "t/end/bias"
    }  # fmt: skip


@pytest.mark.parametrize("layer", MASKS.values(), ids=MASKS)
def test_refuses_a_mask_that_leaves_the_model_of_keras_2(layer):
    shape = (None,) if layer["class_name"] == "Embedding" else (None, 4)
    model = distributed(called(layer, [["x", 0, 0, {}]]), outputs=["m"], shape=shape)
    with pytest.raises(SpecError, match=r"passes the mask of the output of the model inside on, and Keras 3 loses it"):
        from_json(model)


def test_refuses_a_mask_of_a_layer_inside_time_distributed_of_keras_2():
    wrapper = {"class_name": "TimeDistributed", "config": {"name": "t", "layer": MASKS["mask_zero"]}}
    with pytest.raises(SpecError, match=r"'t': Keras 2 passes the mask of the Embedding inside on, and Keras 3 loses"):
        from_json(stack(lstm(return_sequences=True), wrapper))


@pytest.mark.parametrize(("inputs", "outputs"), [(("x", "y"), ["one"]), (("x",), ["one", "x"])], ids=str)
def test_refuses_a_graph_of_several_ends_inside_time_distributed(inputs, outputs):
    one = called(dense("one"), [["x", 0, 0, {}]])
    with pytest.raises(SpecError, match=r"model inside TimeDistributed: given .* expected one input and one output"):
        from_json(distributed(one, outputs=outputs, inputs=inputs))


@pytest.mark.parametrize("kind", [None, {}, 3], ids=str)
def test_refuses_a_class_that_is_no_text_beside_a_model_of_keras_3(kind):
    inner = {"class_name": "Sequential", "config": {"name": "i", "layers": [dense("one")]}}
    other = {"class_name": kind, "config": {"name": "o"}}
    model = {"class_name": "Sequential", "config": {"name": "m", "layers": [inner, other]}, "keras_version": "3.8.0"}
    with pytest.raises(SpecError, match=r"layer 1: class_name: given .* expected text"):
        from_json(model)


def test_a_wrapper_that_is_not_trained_freezes_its_layer():
    inner = {"class_name": "LSTM", "config": {**lstm()["config"], "name": "i"}}
    wrapper = {"class_name": "Bidirectional", "config": {"name": "b", "trainable": False, "layer": inner}}
    assert not from_json(stack(lstm(return_sequences=True), wrapper)).layer("b").layer.trainable


def deep(levels):
    entry = dense("d")
    for level in range(levels):
        entry = {"class_name": "Sequential", "config": {"name": f"m{level}", "layers": [entry]}}
    return stack(lstm(), entry)


def test_refuses_deep_nesting():
    with pytest.raises(SpecError, match="expected at most 16 models inside one another"):
        from_json(deep(40))
    assert [layer.name for layer in from_json(deep(16)).layers] == ["a_input", "a", "d"]


def test_refuses_calls_that_multiply():
    """Each model calls the one inside it 20 times: 20 ** 5 calls in all."""
    entry = functional(
        source("x", 3), called(dense("d", 3), [["x", 0, 0, {}]]), inputs=[["x", 0, 0]], outputs=[["d", 0, 0]]
    )
    for level in range(5):
        entry["config"]["name"] = f"m{level}"
        nodes = [[["x", 0, 0, {}]]] + [[[f"m{level}", number, 0, {}]] for number in range(19)]
        ends = {"inputs": [["x", 0, 0]], "outputs": [[f"m{level}", 19, 0]]}
        entry = functional(source("x", 3), called(entry, *nodes), **ends)
    with pytest.raises(SpecError, match="are too many; expected at most 100,000"):
        from_json(entry)


# TensorFlow.js ---------------------------------------------------------------------------------------------------


def test_the_file_of_tensorflow_js():
    model = stack(lstm(), version=None)
    topology = {"keras_version": "2.6.0", "backend": "tensorflow", "model_config": model}
    del model["keras_version"]
    spec, translated = read_json(json.dumps({"format": "layers-model", "modelTopology": topology}))
    assert spec.layers[1].recurrent_activation == "hard_sigmoid_keras2"
    assert translated.version == "2.6.0"
