"""Configs of Keras 0.3: arguments next to the class, `Merge` and `Graph`."""

import copy

import pytest

from multilstm.errors import SpecError
from multilstm.spec import LSTM, Activation, Concatenate, Dense, Dropout, Input, Model, from_json
from multilstm.spec.keras_json.model import read_json

OLD = {"recurrent_activation": "hard_sigmoid_keras2", "implementation": 1}


def test_keras_0_has_the_arguments_next_to_the_class():
    branch = {
        "name": "Sequential",
        "layers": [
            {
                "name": "LSTM", "output_dim": 4, "input_shape": [7, 3], "input_dim": None, "input_length": None,
                "init": "glorot_uniform", "inner_init": "orthogonal", "forget_bias_init": "one", "activation": "tanh",
                "inner_activation": "hard_sigmoid", "truncate_gradient": -1, "return_sequences": False,
            }
        ],
    }  # fmt: skip
    model = {
        "name": "Sequential",
        "layers": [
            {"name": "Merge", "mode": "concat", "concat_axis": -1, "layers": [branch, branch]},
            {"name": "Activation", "activation": "tanh", "beta": 0.1, "target": 0},
            {"name": "Dropout", "p": 0.5},
        ],
    }
    spec, translated = read_json(model)
    left, right = Input((7, 3), name="inputlayer_1"), Input((7, 3), name="model_inputlayer_1")
    states = [LSTM(4, name="lstm_1", **OLD)(left), LSTM(4, name="model_lstm_1", **OLD)(right)]
    merged = Activation("tanh", name="activation_1")(Concatenate(name="concatenate_1")(states))
    assert spec == Model([left, right], Dropout(0.5, name="dropout_1")(merged), "sequential")
    assert translated.version == "0"
    assert translated.notes[0] == (
        "the file names no version of Keras and is read as one of Keras 0: its layers have no class_name"
    )


# Graph -----------------------------------------------------------------------------------------------------------


def node(name, *inputs, mode=None):
    merged = {"merge_mode": mode, "concat_axis": -1, "dot_axes": -1, "create_output": False}
    several = list(inputs) if len(inputs) > 1 else []
    return {"name": name, "input": None if several else inputs[0], "inputs": several, **merged}


def graph():
    """Return two LSTMs whose sequences a Dense reads side by side."""
    lstm = {"name": "LSTM", "output_dim": 4, "init": "glorot_uniform", "inner_activation": "hard_sigmoid"}
    return {
        "name": "Graph",
        "input_config": [{"name": name, "input_shape": [7, 3], "dtype": "float"} for name in ("x", "y")],
        "node_config": [node("a", "x"), node("b", "y"), node("c", "a", "b", mode="concat")],
        "output_config": [{"name": "out", "input": "c", "inputs": [], "merge_mode": None}],
        "input_order": ["y", "x"],
        "output_order": ["out"],
        "nodes": {"a": lstm, "b": lstm, "c": {"name": "Dense", "output_dim": 2, "activation": "linear"}},
    }


def expected():
    x, y = Input((7, 3), name="x"), Input((7, 3), name="y")
    merged = Concatenate(name="merge_inputs_for_c")([LSTM(4, name="a", **OLD)(x), LSTM(4, name="b", **OLD)(y)])
    return Model([y, x], Dense(2, "linear", name="c")(merged), "graph")


def test_a_graph():
    spec, translated = read_json(graph())
    assert spec.calls[-1].layer == "c"
    assert {layer.name: layer for layer in spec.layers} == {layer.name: layer for layer in expected().layers}
    assert (spec.input_order, spec.outputs) == (expected().input_order, expected().outputs)
    assert translated.version == "0"


def test_a_graph_of_keras_1_is_the_same():
    inside = graph()
    for name, config in inside["nodes"].items():
        inside["nodes"][name] = {
            "class_name": config["name"],
            "config": {k: v for k, v in config.items() if k != "name"},
        }
    assert from_json({"class_name": "Graph", "config": inside}) == from_json(graph())


def test_an_output_that_merges():
    model = graph()
    model["output_config"] = [node("out", "a", "b", mode="concat")]
    spec = from_json(model)
    assert [spec.calls[ref.call].layer for ref in spec.outputs] == ["out"]
    assert spec.output_shapes == ((None, 8),)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["nodes", "a"], None, "node 'a' of Graph: given None; expected an object"),
        (["nodes", "a", "name"], "Siamese", "layer 2 'a': unknown class 'Siamese'"),
        (["node_config"], {}, "node_config of Graph: given {}; expected a list of objects"),
        (["node_config", 0, "name"], 3, "name in node_config of Graph: given 3; expected text"),
        (["node_config", 0, "input"], 3, "layer 2, call 0: given .* expected a layer, a call and an output"),
        (["node_config", 0, "input"], "z", "the graph uses"),
        (["node_config", 0, "inputs"], "xy", "inputs of 'merge_inputs_for_a': given 'xy'; expected a list of names"),
        (["node_config", 2, "merge_mode"], "join", "mode: given 'join'; expected one of sum, mul, concat"),
        (["input_config", 0, "dtype"], "complex", "input 'x' of Graph: given .* expected a shape such as"),
        (["input_config", 0, "input_shape"], None, "input 'x' of Graph: given .* expected a shape such as"),
        (["input_order"], "x", "input_order of Graph: given 'x'; expected a list of names"),
        (["output_config"], [], "output_config of Graph: given"),
    ],
    ids=str,
)
def test_refuses_a_graph(path, value, message):
    model = copy.deepcopy(graph())
    *folders, key = path
    place = model
    for folder in folders:
        place = place[folder]
    place[key] = value
    with pytest.raises(SpecError, match=message):
        from_json(model)


def two_lstms(mask_zero, **merging):
    """Return a Graph of Keras 0 in which two LSTMs read one Embedding, and a third one both of them."""
    lstm = {"name": "LSTM", "output_dim": 4, "return_sequences": True}
    embedding = {"name": "Embedding", "input_dim": 6, "output_dim": 3, "mask_zero": mask_zero}
    return {
        "name": "Graph", "input_config": [{"name": "x", "input_shape": [4], "dtype": "int"}], "input_order": ["x"],
        "nodes": {"e": embedding, "a": lstm, "b": lstm, "out": {**lstm, "return_sequences": False}},
        "node_config": [
            {"name": "e", "input": "x"}, {"name": "a", "input": "e"}, {"name": "b", "input": "e"},
            {"name": "out", "inputs": ["a", "b"], "concat_axis": -1, "dot_axes": -1, **merging},
        ],
        "output_config": [{"name": "out", "input": "out"}], "output_order": ["out"],
    }  # fmt: skip


def test_a_dot_passes_no_mask_on_in_any_version():
    assert from_json(two_lstms(True, merge_mode="dot")).recurrent.keys() == {"a", "b", "out"}


@pytest.mark.parametrize("mode", ["concat", "sum", "ave", "mul"])
def test_a_mask_that_ends_at_a_merge_of_keras_0_is_refused(mode):
    from_json(two_lstms(False, merge_mode=mode))
    with pytest.raises(SpecError, match="Keras 0 passes no mask through a Merge"):
        from_json(two_lstms(True, merge_mode=mode))


@pytest.mark.parametrize("axes", [0, 1, 2])
def test_axes_of_a_dot_that_keras_0_counts_otherwise_are_refused(axes):
    with pytest.raises(SpecError, match=f"given {axes}; expected a number below 0"):
        from_json(two_lstms(False, merge_mode="dot", dot_axes=axes))
