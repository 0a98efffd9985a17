"""TFOpLambda and SlicingOpLambda of tf.keras: read as operations of Keras 3, or refused by the name of the function."""

import pytest

from multilstm.errors import SpecError
from multilstm.spec import (
    ELU,
    LSTM,
    Activation,
    Add,
    Concatenate,
    Dot,
    Embedding,
    GetItem,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    LeakyReLU,
    Maximum,
    Multiply,
    Permute,
    Rescaling,
    Reshape,
    Subtract,
    from_json,
)

ALL = slice(None)
SPAN = {"start": None, "stop": None, "step": None}
X, Y = ["x", 0, 0], ["y", 0, 0]  # [batch, 4, 3]
INPUTS = {"x": [None, 4, 3], "y": [None, 4, 3], "square": [None, 4, 4]}


def entry(name, class_name, config, *calls):
    return {"class_name": class_name, "name": name, "config": {"name": name, **config}, "inbound_nodes": list(calls)}


def operation(function, *calls, name="op"):
    kind = "SlicingOpLambda" if function == "__operators__.getitem" else "TFOpLambda"
    return entry(name, kind, {"trainable": True, "dtype": "float32", "function": function}, *calls)


def model(*entries, output="op"):
    """Return the JSON of tf.keras for a model of three inputs with operations."""
    sources = [entry(name, "InputLayer", {"batch_input_shape": shape}) for name, shape in INPUTS.items()]
    config = {
        "name": "model",
        "layers": [*sources, *entries],
        "input_layers": [[name, 0, 0] for name in INPUTS],
        "output_layers": [[output, 0, 0]],
    }
    return {"class_name": "Functional", "config": config, "keras_version": "2.15.0", "backend": "tensorflow"}


def read(*entries):
    """Return the layer of the operation `op` without its name."""
    graph = from_json(model(*entries))
    layer = graph.layer(graph.calls[graph.outputs[0].call].layer)
    assert layer.name == "op"
    return type(layer)(**{**vars(layer), "name": None})


def with_arguments(tensor, **arguments):
    return [*tensor, arguments]


OPERATIONS = {
    "last timestep": ("__operators__.getitem", with_arguments(X, slice_spec=[SPAN, -1, SPAN]), GetItem((ALL, -1, ALL))),
    "steps": (
        "__operators__.getitem",
        with_arguments(X, slice_spec=[SPAN, {"start": 1, "stop": None, "step": 2}]),
        GetItem((ALL, slice(1, None, 2))),
    ),
    "ellipsis and a new axis": (
        "__operators__.getitem",
        with_arguments(X, slice_spec=[{"class_name": "__ellipsis__"}, None, 0]),
        GetItem((..., None, 0)),
    ),
    "sum": ("__operators__.add", with_arguments(X, y=Y, name=None), Add()),
    "sum by name": ("math.add", with_arguments(X, y=Y, name="total"), Add()),
    "difference": ("math.subtract", with_arguments(X, y=Y), Subtract()),
    "product": ("math.multiply", with_arguments(X, y=Y), Multiply()),
    "maximum": ("math.maximum", with_arguments(X, y=Y), Maximum()),
    "half": ("math.multiply", with_arguments(X, y=0.5, name=None), Rescaling(0.5)),
    "shifted": ("__operators__.add", with_arguments(X, y=2), Rescaling(1.0, 2)),
    "less a number": ("math.subtract", with_arguments(X, y=0.25), Rescaling(1.0, -0.25)),
    "a number less x": ("math.subtract", ["_CONSTANT_VALUE", -1, 1.0, {"y": X, "name": None}], Rescaling(-1.0, 1.0)),
    "a number times x": ("math.multiply", ["_CONSTANT_VALUE", -1, 0.5, {"y": X}], Rescaling(0.5)),
    "a quarter": ("math.truediv", with_arguments(X, y=4, name=None), Rescaling(0.25)),
    "negative": ("math.negative", with_arguments(X, name=None), Rescaling(-1.0)),
    "matrices": ("linalg.matmul", with_arguments(["square", 0, 0], b=X, transpose_a=False, name=None), Dot((2, 1))),
    "matrices of the same features": ("linalg.matmul", with_arguments(X, b=Y, transpose_b=True), Dot((2, 2))),
    "concat": ("concat", [with_arguments(X, axis=-1), with_arguments(Y, axis=-1)], Concatenate()),
    "concat of timesteps": ("concat", [with_arguments(X, axis=1), with_arguments(Y, axis=1)], Concatenate(1)),
    "expand_dims": ("expand_dims", with_arguments(X, axis=-1), GetItem((ALL, ALL, ALL, None))),
    "reshape": ("reshape", with_arguments(X, shape=[-1, 6, 2]), Reshape((6, 2))),
    "transpose": ("compat.v1.transpose", with_arguments(X, perm=[0, 2, 1], conjugate=False), Permute((2, 1))),
    "mean": ("math.reduce_mean", with_arguments(X, axis=1, keepdims=False), GlobalAveragePooling1D()),
    "max": ("math.reduce_max", with_arguments(X, axis=1, keepdims=True), GlobalMaxPooling1D(keepdims=True)),
    "softmax": ("nn.softmax", with_arguments(X, axis=-1, name=None), Activation("softmax")),
    "softmax of the last axis": ("nn.softmax", with_arguments(X, axis=None), Activation("softmax")),
    "relu": ("nn.relu", X, Activation("relu")),
    "elu": ("nn.elu", X, ELU(1.0)),
    "gelu": ("nn.gelu", with_arguments(X, name=None), Activation("gelu")),
    "leaky relu": ("nn.leaky_relu", with_arguments(X, alpha=0.5), LeakyReLU(0.5)),
    "leaky relu of the default slope": ("nn.leaky_relu", X, LeakyReLU(0.2)),
    "sigmoid": ("math.sigmoid", with_arguments(X, name=None), Activation("sigmoid")),
}


@pytest.mark.parametrize(("function", "call", "layer"), OPERATIONS.values(), ids=OPERATIONS)
def test_an_operation_is_the_layer_that_computes_the_same(function, call, layer):
    assert read(operation(function, call)) == layer


REFUSED = {
    "another function": (operation("signal.stft", X), r"layer 3, call 0 of 'op': given the function tf\.signal\.stft"),
    "a function that is no name": (operation(["math.add"], X), r"given the function tf\.\['math.add'\]"),
    "another argument": (
        operation("math.add", with_arguments(X, y=Y, twice=True)),
        r"tf\.math\.add\): twice: given True; expected only y",
    ),
    "a transposed matrix": (
        operation("linalg.matmul", with_arguments(X, b=Y, transpose_a=True)),
        "transpose_a: given True; expected False",
    ),
    "a tanh in place of a gelu": (
        operation("nn.gelu", with_arguments(X, approximate=True)),
        "approximate: given True; expected False",
    ),
    "a step backwards": (
        operation("__operators__.getitem", with_arguments(X, slice_spec=[SPAN, {**SPAN, "step": -1}])),
        r"operation 'op' \(GetItem\): GetItem: key must have steps of at least 1",
    ),
    "an array": (operation("math.add", with_arguments(X, y=[1.0, 2.0, 3.0])), "expected 2 tensors"),
    "a number by a tensor": (
        operation("math.truediv", ["_CONSTANT_VALUE", -1, 1.0, {"y": X}]),
        "expected a tensor and",
    ),
    "no tensor": (operation("math.negative", "x"), "given 'x'"),
    "arguments that differ": (
        operation("expand_dims", with_arguments(X, axis=-1), with_arguments(X, axis=1)),
        "arguments of its calls",
    ),
    "no call": (operation("math.negative"), "inbound_nodes"),
    "a tensor that is missing": (operation("math.negative", ["z", 0, 0]), "'z'"),
}


@pytest.mark.parametrize(("bad", "message"), REFUSED.values(), ids=REFUSED)
def test_an_operation_without_an_equal_is_refused(bad, message):
    with pytest.raises(SpecError, match=message):
        from_json(model(bad))


def test_an_operation_ignores_the_mask_of_its_inputs():
    masking = entry("m", "Masking", {"mask_value": 0.0}, [["x", 0, 0, {}]])
    graph = from_json(model(masking, operation("math.multiply", ["m", 0, 0, {"y": 0.5}])))
    (call,) = [call for call in graph.calls if call.layer == "op"]
    assert graph.layer(graph.calls[call.inputs[0].call].layer).key == (...,)


def test_tokens_pass_through_a_part():
    part = operation("__operators__.getitem", with_arguments(X, slice_spec=[SPAN, SPAN, 0]))
    embedding = entry("table", "Embedding", {"input_dim": 9, "output_dim": 2}, [["op", 0, 0, {}]])
    lstm = entry("lstm", "LSTM", {"units": 2}, [["table", 0, 0, {}]])
    graph = from_json(model(part, embedding, lstm, output="lstm"))
    assert graph.token_tables == {"x": [9]}
    assert [type(layer) for layer in graph.layers[-2:]] == [Embedding, LSTM]


def test_an_operation_inside_a_model_is_called_where_the_model_is():
    source = entry("inner", "InputLayer", {"batch_input_shape": [None, 4, 3]})
    last = operation("__operators__.getitem", with_arguments(["inner", 0, 0], slice_spec=[SPAN, -1]))
    ends = {"input_layers": [["inner", 0, 0]], "output_layers": [["op", 0, 0]]}
    inside = {"class_name": "Functional", "name": "part", "config": {"name": "part", "layers": [source, last], **ends}}
    calls = [[["x", 0, 0, {}]], [["y", 0, 0, {}]]]
    both = entry("both", "Concatenate", {"axis": -1}, [["part", 1, 0, {}], ["part", 2, 0, {}]])
    graph = from_json(model({**inside, "inbound_nodes": calls}, both, output="both"))
    assert graph.output_shapes == ((None, 6),)
    assert sum(call.layer == "op" for call in graph.calls) == 2


def test_inputs_and_outputs_by_name_have_the_order_of_the_names():
    data = model(operation("math.add", with_arguments(X, y=Y)))
    data["config"]["input_layers"] = {name: [name, 0, 0] for name in INPUTS}
    data["config"]["output_layers"] = {"total": ["op", 0, 0], "same": X}
    graph = from_json(data)
    assert list(graph.input_order) == sorted(INPUTS)
    assert [graph.calls[ref.call].layer for ref in graph.outputs] == ["x", "op"]  # "same" before "total"
