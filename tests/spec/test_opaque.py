"""Built-in layers of Keras that the spec does not describe: data alone, with the answers of Keras."""

import json

import pytest

from multilstm.errors import SpecError
from multilstm.spec import LSTM, Conv1D, Dense, Input, Model, from_json
from multilstm.spec.keras_json.model import read_json
from multilstm.spec.layers.opaque import OPAQUE_CLASSES, Facts, OpaqueLayer, OpaqueWeight, checked_config
from multilstm.spec.source import keras_source

NORM = {"groups": 1, "axis": -1, "epsilon": 0.001, "center": True, "gamma_initializer": {"class_name": "Ones"}}
ATTENTION = {"num_heads": 2, "key_dim": 3, "dropout": 0.0}
FACTS = Facts(((None, None, 4),), (((0, 0), (0, 1), 4),), (OpaqueWeight("gamma", (4,), True),), passes_mask=True)


def answer(question):
    """Return facts for a layer that keeps the shape of its first input."""
    shape = tuple(tuple(size) for size in question.inputs)
    last = shape[0][-1]
    outputs = (tuple((0, axis) if size is None else size for axis, size in enumerate(shape[0])),)
    return Facts(shape, outputs, (OpaqueWeight("gamma", (last,), True),))


def layer(**changes):
    config = {key: value for key, value in NORM.items() if key != "gamma_initializer"}
    arguments = {"keras_class": "GroupNormalization", "config": json.dumps(config), "facts": FACTS, "name": "norm"}
    return OpaqueLayer(**{**arguments, "call": json.dumps({"positional": False, "arguments": {}}), **changes})


def model(opaque):
    """Return the model of an opaque layer between a convolution and an LSTM."""
    x = Input((None, 3), name="x")
    return Model(x, Dense(2)(LSTM(2)(opaque(Conv1D(4, 2)(x)))))


def entry(kind, config, **more):
    """Return the JSON of a Sequential with a layer as Keras writes it."""
    source = {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 5, 3]}}
    layer = {"module": "keras.layers", "class_name": kind, "config": {"name": "odd", **config}, "registered_name": None}
    layers = [source, {**layer, **more}, {"module": "keras.layers", "class_name": "LSTM", "config": {"units": 2}}]
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": layers}}


def test_its_shapes_follow_those_of_its_input():
    graph = model(layer())
    assert graph.opaque == (layer(),)
    assert layer().output_shapes((2, 7, 4)) == ((2, 7, 4),)
    assert graph.parameter_counts["norm"] == 4
    assert graph.weight_shapes["norm/gamma"] == (4,)


def test_other_inputs_than_keras_was_asked_about_are_refused():
    with pytest.raises(SpecError, match=r"GroupNormalization 'norm': its shapes are known for inputs \(any, any, 5\)"):
        model(layer(facts=Facts(((None, None, 5),), ((None, None, 5),))))


@pytest.mark.parametrize("shared", [False, True], ids=["once", "twice"])
def test_its_json_is_keras_s_with_the_answers(shared):
    x = Input((None, 4), name="x")
    norm = layer()
    graph = Model(x, norm(norm(x)) if shared else norm(x))
    (written,) = (item for item in json.loads(graph.to_json())["config"]["layers"] if item["name"] == "norm")
    assert (written["module"], written["class_name"]) == ("keras.layers", "GroupNormalization")
    assert written["config"]["epsilon"] == 0.001
    assert from_json(graph.to_json()) == graph


def test_positional_inputs_and_arguments_of_the_call_are_kept():
    facts = Facts(((None, 5, 4), (None, 6, 4)), (((0, 0), 5, 4),))
    call = json.dumps({"positional": True, "arguments": {"use_causal_mask": True}})
    attention = layer(keras_class="MultiHeadAttention", config=json.dumps(ATTENTION), call=call, facts=facts)
    inputs = [Input((5, 4), name="x"), Input((6, 4), name="y")]
    graph = Model(inputs, attention(inputs))
    (written,) = (item for item in json.loads(graph.to_json())["config"]["layers"] if item["name"] == "norm")
    assert len(written["inbound_nodes"][0]["args"]) == 2
    assert written["inbound_nodes"][0]["kwargs"] == {"use_causal_mask": True}
    assert from_json(graph.to_json()) == graph
    assert "num_heads=2" in keras_source(graph)
    assert "(x,y,use_causal_mask=True,)" in "".join(keras_source(graph).split())


@pytest.mark.parametrize(
    ("args", "kwargs", "later"),
    [
        (2, {"use_causal_mask": True}, "several inputs by position and use_causal_mask=True"),
        (1, {}, "one input or list and no further argument"),
    ],
    ids=["arguments", "inputs"],
)
def test_a_shared_layer_whose_calls_differ_is_refused(args, kwargs, later):
    facts = Facts(((None, 5, 4), (None, 5, 4)), (((0, 0), 5, 4),))
    call = json.dumps({"positional": True, "arguments": {}})
    attention = layer(keras_class="MultiHeadAttention", config=json.dumps(ATTENTION), call=call, facts=facts)
    x = Input((5, 4), name="x")
    file = json.loads(Model(x, [attention([x, x]), attention([x, x])]).to_json())
    (nodes,) = (item["inbound_nodes"] for item in file["config"]["layers"] if item["name"] == "norm")
    assert from_json(file).layer("norm") == attention
    nodes[1] = {"args": nodes[1]["args"] if args == 2 else [nodes[1]["args"]], "kwargs": kwargs}
    expected = f"'norm' .* the first has several inputs by position and no further argument, a later one {later}"
    with pytest.raises(SpecError, match=expected):
        from_json(file)


def test_the_reader_asks_keras():
    graph, _ = read_json(entry("GroupNormalization", NORM), ask=answer)
    assert graph.opaque[0].facts.inputs == ((None, 5, 3),)
    assert "gamma_initializer" not in graph.opaque[0].arguments


def test_without_keras_it_is_refused():
    with pytest.raises(SpecError, match=r"layer 1 'odd' \(GroupNormalization\): .* read the model with multilstm.load"):
        from_json(entry("GroupNormalization", NORM))


def test_a_refusal_of_keras_names_the_layer():
    def refuse(question):
        raise SpecError("Keras refuses the layer: ValueError: odd")

    with pytest.raises(SpecError, match=r"'odd' \(GroupNormalization\): Keras refuses the layer: ValueError: odd"):
        read_json(entry("GroupNormalization", NORM), ask=refuse)


LAMBDA = {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}
CODE = {"module": "os", "class_name": "system", "config": {"command": "true"}, "registered_name": "os>system"}
REGULARIZER = {"module": "keras.regularizers", "class_name": "L2", "config": {}, "registered_name": None}
HOSTILE = {
    "a function": ({"activation": LAMBDA}, "activation"),
    "an unknown activation": ({"activation": "os.system"}, "activation"),
    "an object": ({"epsilon": CODE}, "epsilon"),
    "an object in a list": ({"axis": [[CODE]]}, "axis"),
    "a layer": ({"layer": {"module": "keras.layers", "class_name": "Lambda", "config": {}}}, "layer"),
    "another regularizer": ({"beta_regularizer": CODE}, "beta_regularizer"),
    "a registered regularizer": (
        {"beta_regularizer": {**REGULARIZER, "registered_name": "x>L2"}}, "beta_regularizer",
    ),
    "a regularizer of objects": (
        {"beta_regularizer": {**REGULARIZER, "config": {"l2": CODE}}}, "beta_regularizer",
    ),
    "a constraint as text": ({"gamma_constraint": "os.system"}, "gamma_constraint"),
    "a huge size": ({"groups": 2**40}, "groups"),
    "an infinite number": ({"epsilon": float("inf")}, "epsilon"),
    "a long list": ({"axis": [1] * 65}, "axis"),
    "a deep list": ({"axis": [[[[[1]]]]]}, "axis"),
    "a long text": ({"equation": "a" * 201}, "equation"),
    "an escape sequence": ({"equation": "\x1b[2J"}, "equation"),
    "a path": ({"vocabulary": "/etc/passwd"}, "vocabulary"),
    "states that stay": ({"stateful": True}, "stateful"),
    "another dtype": ({"dtype": "float16"}, "dtype"),
    "a policy of a module": ({"dtype": {"module": "evil", "class_name": "DTypePolicy"}}, "module of the dtype policy"),
    "a number for trainable": ({"trainable": 1}, "trainable"),
}  # fmt: skip


@pytest.mark.parametrize(("config", "place"), HOSTILE.values(), ids=HOSTILE)
def test_arguments_are_data_alone(config, place):
    def never(question):
        raise AssertionError("Keras was asked about a hostile layer")

    with pytest.raises(SpecError, match=rf"layer 1 'odd' \(GroupNormalization\): {place}"):
        read_json(entry("GroupNormalization", config), ask=never)


NEVER = ["Lambda", "TFSMLayer", "TorchModuleWrapper", "StringLookup", "TextVectorization", "RandomFlip", "Layer"]


@pytest.mark.parametrize("kind", [*NEVER, "__class__", "os.system"])
def test_classes_outside_of_the_list_are_refused(kind):
    assert kind not in OPAQUE_CLASSES
    with pytest.raises(SpecError, match=r"layer 1 'odd'.*class"):
        read_json(entry(kind, {}), ask=answer)


@pytest.mark.parametrize(
    "more",
    [{"module": "mine.layers"}, {"module": "keras.layers", "registered_name": "mine>GroupNormalization"}],
    ids=["module", "registered_name"],
)
def test_a_class_of_the_user_s_own_is_refused(more):
    with pytest.raises(SpecError, match="layer 1 'odd'"):
        read_json(entry("GroupNormalization", {}, **more), ask=answer)


WRONG_FACTS = {
    "none": None,
    "no weights": {"inputs": [[None, 5, 3]], "outputs": [[None, 5, 3]], "passes_mask": False},
    "a huge size": {"inputs": [[None, 2**40]], "outputs": [[None, 5]], "weights": [], "passes_mask": False},
    "an axis that is not there": {
        "inputs": [[None, 5, 3]], "outputs": [[[0, 3]]], "weights": [], "passes_mask": False,
    },
    "a weight of open size": {
        "inputs": [[None, 5, 3]], "outputs": [[None, 5, 3]], "weights": [["g", [None], True]], "passes_mask": False,
    },
    "a name with a slash": {
        "inputs": [[None, 5, 3]], "outputs": [[None, 5, 3]], "weights": [["g/h", [3], True]], "passes_mask": False,
    },
    "no outputs": {"inputs": [[None, 5, 3]], "outputs": [], "weights": [], "passes_mask": False},
    "text": "facts",
}  # fmt: skip


@pytest.mark.parametrize("facts", WRONG_FACTS.values(), ids=WRONG_FACTS)
def test_answers_of_another_form_are_refused(facts):
    with pytest.raises(SpecError, match=r"'odd' \(GroupNormalization\): facts"):
        from_json(entry("GroupNormalization", {}, facts=facts))


def test_regularizers_and_constraints_of_keras_are_kept():
    penalty = {"module": "keras.regularizers", "class_name": "L2", "config": {"l2": 0.1}, "registered_name": None}
    limit = {"module": "keras.constraints", "class_name": "NonNeg", "config": {}, "registered_name": None}
    config = {"beta_regularizer": penalty, "gamma_constraint": limit, "activation": "relu", "name": "odd"}
    expected = {"beta_regularizer": penalty, "gamma_constraint": limit, "activation": "relu"}
    assert checked_config(config, "here") == expected
