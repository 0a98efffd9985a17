"""Operations in Keras 3's JSON of functional models: read as layers without masks, or refused as what they are."""

import json

import numpy as np
import pytest

from multilstm.errors import SpecError
from multilstm.spec import (
    LSTM,
    Activation,
    Add,
    Concatenate,
    Dense,
    Dot,
    GetItem,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    Input,
    Masking,
    Maximum,
    Minimum,
    Model,
    Multiply,
    Permute,
    Rescaling,
    Reshape,
    Softmax,
    Subtract,
    from_json,
)
from multilstm.spec.source import keras_source

ALL = slice(None)
SHAPES = {"x": (4, 3), "y": (4, 3), "flat": (3,), "free": (None, 3)}
NUMPY, NN = "keras.src.ops.numpy", "keras.src.ops.nn"


def tensor(layer, shape=(None, 4, 3), call=0):
    return {"class_name": "__keras_tensor__", "config": {"shape": list(shape), "keras_history": [layer, call, 0]}}


def span(start=None, stop=None, step=None):
    return {"class_name": "__slice__", "config": {"start": start, "stop": stop, "step": step}}


X, Y, FLAT = tensor("x"), tensor("y"), tensor("flat", (None, 3))


def operation(kind, *args, module=NUMPY, name="op", **config):
    return {
        "module": module, "class_name": kind, "config": {"name": name, **config}, "registered_name": kind,
        "name": name, "inbound_nodes": [{"args": list(args), "kwargs": {}}],
    }  # fmt: skip


def with_operations(*entries, output="op"):
    """Return the JSON of a model of the inputs of `SHAPES` with operations."""
    inputs = [Input(shape, name=name) for name, shape in SHAPES.items()]
    data = json.loads(Model(inputs, inputs).to_json())
    data["config"]["layers"] += entries
    data["config"]["output_layers"] = [[output, 0, 0]]
    return data


def read(*entries, output="op"):
    """Return the layer of an operation, and whether its inputs are parts without a mask."""
    graph = from_json(with_operations(*entries, output=output))
    call = graph.calls[graph.outputs[0].call]
    sources = [graph.layer(graph.calls[ref.call].layer) for ref in call.inputs]
    return graph.layer(call.layer), [isinstance(source, GetItem) for source in sources]


BLIND = {  # layers that ignore masks
    "last timestep": (operation("GetItem", X, [span(), -1]), GetItem((ALL, -1))),
    "steps": (operation("GetItem", X, [span(), span(1, None, 2)]), GetItem((ALL, slice(1, None, 2)))),
    "ellipsis and a new axis": (
        operation("GetItem", X, [{"class_name": "__ellipsis__", "config": {}}, None, 0]), GetItem((..., None, 0)),
    ),
    "reshape": (operation("Reshape", X, newshape=[-1, 6, 2]), Reshape((6, 2))),
    "reshape with two open sizes": (operation("Reshape", X, newshape=[None, 2, -1]), Reshape((2, -1))),
    "transpose": (operation("Transpose", X, axes=[0, 2, 1]), Permute((2, 1))),
    "expand_dims": (operation("ExpandDims", X, axis=-1), GetItem((ALL, ALL, ALL, None))),
    "expand_dims of the timesteps": (operation("ExpandDims", FLAT, axis=1), GetItem((ALL, None))),
    "max": (operation("Max", X, axis=1, keepdims=False, initial=None), GlobalMaxPooling1D()),
}  # fmt: skip
SEEING = {  # layers that use masks or pass them on
    "add": (operation("Add", X, Y), Add()),
    "subtract": (operation("Subtract", X, Y), Subtract()),
    "multiply": (operation("Multiply", X, Y), Multiply()),
    "maximum": (operation("Maximum", X, Y), Maximum()),
    "minimum": (operation("Minimum", X, Y), Minimum()),
    "concatenate": (operation("Concatenate", [X, Y], axis=-1), Concatenate()),
    "concatenate timesteps": (operation("Concatenate", [X, Y, X], axis=1), Concatenate(1)),
    "mean": (operation("Mean", X, axis=1, keepdims=False), GlobalAveragePooling1D()),
    "mean of a list": (operation("Mean", X, axis=[-2], keepdims=True), GlobalAveragePooling1D(keepdims=True)),
    "softmax": (operation("Softmax", X, module=NN, axis=-1), Activation("softmax")),
    "softmax over timesteps": (operation("Softmax", X, module=NN, axis=1), Softmax(1)),
    "a product with a number": (operation("Multiply", X, 0.5), Rescaling(0.5)),
    "a sum with a number": (operation("Add", 2, X), Rescaling(1.0, 2)),
    "a number less x": (operation("Subtract", 1, X), Rescaling(-1.0, 1)),
    "x less a number": (operation("Subtract", X, 0.25), Rescaling(1.0, -0.25)),
    "a quarter": (operation("TrueDivide", X, 4), Rescaling(0.25)),
    "negative": (operation("Negative", X), Rescaling(-1.0)),
    "relu": (operation("Relu", X, module=NN), Activation("relu")),
    "tanh": (operation("Tanh", X), Activation("tanh")),
    "sigmoid": (operation("Sigmoid", X, module=NN), Activation("sigmoid")),
    "exp": (operation("Exp", X), Activation("exponential")),
}


@pytest.mark.parametrize(("entry", "layer"), BLIND.values(), ids=BLIND)
def test_an_operation_is_the_layer_that_computes_the_same(entry, layer):
    found, parts = read(entry)
    assert found == type(layer)(**{**vars(layer), "name": "op"})
    assert not any(parts)


@pytest.mark.parametrize(("entry", "layer"), SEEING.values(), ids=SEEING)
def test_a_layer_that_uses_masks_gets_none(entry, layer):
    found, parts = read(entry)
    assert found == type(layer)(**{**vars(layer), "name": "op"})
    assert all(parts)


HDF5 = [key for key in SEEING if not key.startswith(("concatenate", "softmax"))]
HDF5 += [key for key in BLIND if not key.startswith("reshape")]


@pytest.mark.parametrize("key", HDF5)
def test_an_operation_without_its_module_is_read_as_hdf5_holds_it(key):
    entry, layer = {**BLIND, **SEEING}[key]
    found, _ = read({name: value for name, value in entry.items() if name not in ("module", "registered_name")})
    assert found == type(layer)(**{**vars(layer), "name": "op"})


def test_a_layer_without_its_module_stays_a_layer():
    x = Input((4, 3), name="x")
    graph = Model(x, Add(name="add")([Masking(name="m")(x), x]))
    data = json.loads(graph.to_json())
    for entry in data["config"]["layers"]:
        del entry["module"]
    assert from_json(data) == graph


def test_a_product_of_matrices_is_a_dot():
    turned = operation("Transpose", Y, axes=[0, 2, 1], name="turned")
    found, _ = read(turned, operation("Matmul", X, tensor("turned", (None, 3, 4))))
    assert found == Dot((2, 1), name="op")


def test_a_sum_over_timesteps_is_their_mean_times_their_number():
    graph = from_json(with_operations(operation("Sum", X, axis=1, keepdims=False)))
    assert graph.layer("op") == Rescaling(4.0, name="op")
    (source,) = graph.calls[graph.outputs[0].call].inputs
    assert isinstance(graph.layer(graph.calls[source.call].layer), GlobalAveragePooling1D)


def test_squeeze_takes_an_axis_of_size_1():
    wide = operation("ExpandDims", FLAT, axis=1, name="wide")
    found, _ = read(wide, operation("Squeeze", tensor("wide", (None, 1, 3)), axis=[1]))
    assert found == GetItem((ALL, 0), name="op")


def test_parts_without_a_mask_are_made_once_and_never_of_tensors_without_one():
    total = operation("Add", X, Y, name="total")
    product = operation("Multiply", X, tensor("total"), name="product")
    graph = from_json(with_operations(total, product, operation("Add", tensor("product"), tensor("total"))))
    assert [layer.class_name for layer in graph.layers].count("GetItem") == 2  # of x and of y


def test_an_operation_drops_the_mask():
    x = Input((4, 3), name="x")
    h = LSTM(3, return_sequences=True, name="h")(Masking(name="m")(x))
    data = json.loads(Model(x, LSTM(2, name="top")(h)).to_json())
    data["config"]["layers"].append(operation("Add", tensor("h"), tensor("h")))
    (top,) = (entry for entry in data["config"]["layers"] if entry["name"] == "top")
    top["inbound_nodes"][0]["args"] = [tensor("op")]
    graph = from_json(data)
    part = graph.layer("get_item")
    assert part == GetItem((...,), name="get_item")
    assert part.output_mask([np.zeros((2, 4, 3))], [np.ones((2, 4), bool)]) is None
    assert [graph.calls[ref.call].layer for ref in graph.calls[-1].inputs] == ["op"]


def test_a_get_item_survives_keras_json():
    x = Input((None, 3), name="x")
    part = GetItem((ALL, slice(1, None, 2), None, ..., -1), name="part")
    graph = Model(x, [part(x), part(Dense(3)(x)), GetItem((...,))(x)])
    entries = {entry["name"]: entry for entry in json.loads(graph.to_json())["config"]["layers"]}
    assert entries["part"]["module"] == NUMPY
    assert entries["part"]["inbound_nodes"][0]["args"][1][:2] == [span(), span(1, None, 2)]
    assert from_json(graph.to_json()) == graph


def test_the_source_of_a_get_item_is_python_s():
    x = Input((None, 3), name="x")
    graph = Model(x, GetItem((ALL, None, slice(1, None, 2)))(GetItem((...,))(x)))
    assert "get_item = x[...,]\nget_item_1 = get_item[:, None, 1::2]\n" in keras_source(graph)


def test_an_operation_of_an_untrained_model_is_read():
    data = with_operations(operation("GetItem", X, [span(), -1]))
    data["config"]["trainable"] = False
    assert from_json(data).layer("op") == GetItem((ALL, -1), name="op")


REFUSED = {
    "unknown": (operation("Var", X, axis=1), r"operation 'op': given 'Var', an operation of keras.ops that multilstm"),
    "a number": (operation("Maximum", X, 0.5), r"'op' \(Maximum\): operands: given 0.5; expected 2 tensors"),
    "an array": (operation("Multiply", X, [0.5, 1.0, 2.0]), "operands: given .* expected 2 tensors"),
    "two numbers": (operation("Subtract", 1, 2), "operands: given 1; expected 2 tensors"),
    "a number by a tensor": (operation("Divide", 1, X), "expected a tensor and a number other than 0"),
    "division by 0": (operation("Divide", X, 0), "expected a tensor and a number other than 0"),
    "a sum of an open number of timesteps": (
        operation("Sum", tensor("free", (None, None, 3)), axis=1, keepdims=False), "a fixed number of them",
    ),
    "one tensor": (operation("Add", X), "operands: given 1; expected 2 tensors"),
    "an argument": (operation("Relu", X, module=NN, limit=6), "given 'limit'; expected only the arguments"),
    "a tensor as an index": (operation("GetItem", X, [span(), tensor("y")]), "a tensor as an index is not executed"),
    "an index beyond the axis": (operation("GetItem", X, [span(), 4]), r"\[:, 4\] takes index 4 of an axis of 4"),
    "a part of the batch": (operation("GetItem", X, [0]), "takes a part of the batch"),
    "a step backwards": (operation("GetItem", X, [span(), span(None, None, -1)]), "must have steps of at least 1"),
    "a bound that is text": (operation("GetItem", X, [span(), span("a")]), "key must be made of integers"),
    "a slice without bounds": (operation("GetItem", X, [{"class_name": "__slice__"}]), "slice: given None"),
    "too many items": (operation("GetItem", X, [None] * 33), "given '33 items'; expected at most 32"),
    "a huge index": (operation("GetItem", X, [span(), 2**40]), "key must be made of integers"),
    "without a key": (operation("GetItem", X), "expected a tensor and a key"),
    "the axis of the batch": (operation("Concatenate", [X, Y], axis=0), "Concatenate 'op': axis is 0; expected 1 to 2"),
    "reshape of the batch": (operation("Reshape", X, newshape=[8, 6]), "a list that begins with -1, the batch"),
    "reshape to huge sizes": (operation("Reshape", X, newshape=[-1, 2**40]), "target_shape must be a tuple"),
    "reshape to other sizes": (operation("Reshape", X, newshape=[-1, 5]), "does not hold the 12 numbers"),
    "transpose of the batch": (operation("Transpose", X, axes=[1, 0, 2]), "a list that begins with 0, the batch"),
    "transpose without axes": (operation("Transpose", X, axes=None), "a list that begins with 0, the batch"),
    "mean over features": (operation("Mean", X, axis=-1, keepdims=False), "the timesteps, axis 1 of"),
    "mean over everything": (operation("Mean", X, axis=None, keepdims=False), "axis: given None; expected one axis"),
    "mean of two axes": (operation("Mean", FLAT, axis=1, keepdims=False), "the timesteps, axis 1 of"),
    "softmax over the batch": (operation("Softmax", X, module=NN, axis=0), "axis: given 0; expected one axis"),
    "squeeze of a size": (operation("Squeeze", X, axis=1), "given 4; expected an axis of size 1"),
    "matmul of two axes": (operation("Matmul", FLAT, FLAT), "expected three axes"),
    "shapes that differ": (operation("Add", X, FLAT), "Add 'op': shapes do not fit each other"),
    "registered by a user": ({**operation("Add", X, Y), "registered_name": "mine>Add"}, "given 'mine>Add'"),
    "by keyword": (
        {**operation("Add", X, Y), "inbound_nodes": [{"args": [X], "kwargs": {"x2": Y}}]}, "kwargs: .* expected none",
    ),
    "without args": ({**operation("Add"), "inbound_nodes": [{"args": 3, "kwargs": {}}]}, "args: given 3; expected"),
    "a mask as a value": (operation("NotEqual", X, 0), "given 'NotEqual', an operation of keras.ops"),
    "two names": ({**operation("Add", X, Y), "name": "other"}, "expected the name 'op' of its config"),
}  # fmt: skip


@pytest.mark.parametrize(("entry", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_an_operation_as_what_it_is(entry, message):
    with pytest.raises(SpecError, match=message):
        from_json(with_operations(entry, output=entry["name"]))


def test_an_operation_that_is_called_twice_has_one_key():
    entry = operation("GetItem", X, [span(), -1])
    entry["inbound_nodes"].append({"args": [Y, [span(), 0]], "kwargs": {}})
    with pytest.raises(SpecError, match="the operands of its first call"):
        from_json(with_operations(entry))


def test_operations_in_a_circle_are_refused():
    data = with_operations(operation("Add", X, tensor("b"), name="a"), operation("Add", X, tensor("a"), name="b"))
    data["config"]["output_layers"] = ["a", 0, 0]
    with pytest.raises(SpecError, match="feed each other in a circle"):
        from_json(data)


def test_an_operation_in_a_sequential_is_no_layer():
    source = {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 4, 3]}}
    layers = [source, operation("Add", X, Y)]
    data = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    with pytest.raises(SpecError, match=r"class of the module keras.src.ops.numpy: given 'Add'; expected a layer"):
        from_json(data)
