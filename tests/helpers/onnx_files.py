"""Protocol buffers of ONNX, written field by field, so that a unit test needs no library and can write broken ones."""

import struct

import numpy as np


def varint(number):
    content = b""
    while number > 127:
        content += bytes([number & 127 | 128])
        number >>= 7
    return content + bytes([number])


def field(number, value):
    """Return the bytes of a field: an integer, bytes, or text."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name, array, **changes):
    array = np.asarray(array, "<f4")
    values = {"dims": list(array.shape), "type": 1, "raw": array.tobytes(), **changes}
    content = b"".join(field(1, size) for size in values["dims"]) + field(2, values["type"]) + field(8, name)
    return content + field(9, values["raw"]) + values.get("more", b"")


def node(inputs=("x", "W", "R", "B"), attributes=(), kind="LSTM"):
    content = b"".join(field(1, name) for name in inputs) + field(2, "y") + field(3, "rnn") + field(4, kind)
    return content + b"".join(field(5, attribute) for attribute in attributes)


def attribute(name, *values):
    return field(1, name) + b"".join(values)


def number(name, value):
    """Return an attribute with a float."""
    return field(1, name) + bytes([2 << 3 | 5]) + struct.pack("<f", value) + field(20, 1)


def integers(name, *values):
    """Return an attribute with a list of integers."""
    return field(1, name) + b"".join(field(8, value % 2**64) for value in values) + field(20, 7)


def operator(kind, inputs, outputs, *attributes, name=""):
    """Return a node."""
    content = b"".join(field(1, item) for item in inputs) + b"".join(field(2, item) for item in outputs)
    return content + field(3, name) + field(4, kind) + b"".join(field(5, item) for item in attributes)


def indices(name, values):
    """Return a tensor of 64-bit integers."""
    array = np.asarray(values, "<i8")
    dims = b"".join(field(1, size) for size in array.shape)
    return dims + field(2, 7) + field(8, name) + field(9, array.tobytes())


def value_info(name, kind, sizes):
    """Return an input or output; a size of None varies."""
    dims = b"".join(field(1, field(1, size) if size else field(2, "n")) for size in sizes)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, dims)))


def onnx_file(nodes, tensors, inputs, outputs, opset=17):
    """Return the bytes of a model."""
    graph = b"".join(field(1, item) for item in nodes) + field(2, "graph")
    graph += b"".join(field(5, item) for item in tensors) + b"".join(field(11, item) for item in inputs)
    graph += b"".join(field(12, item) for item in outputs)
    return field(1, 8) + field(2, "test") + field(7, graph) + field(8, field(1, "") + field(2, opset))


FLOAT, INT64 = 1, 7


def lstm_weights(features, units, directions=1, prefix="", seed=0):
    """Return the arrays W, R and B of an LSTM node."""
    rng = np.random.default_rng(seed)
    shapes = {"W": (4 * units, features), "R": (4 * units, units), "B": (8 * units,)}
    return {f"{prefix}{name}": rng.normal(size=(directions, *s)).astype("float32") for name, s in shapes.items()}


def lstm_file(
    *attributes, extra=(), states=(), directions=1, sizes=(None, 2, 5), before=(), nodes=None, tensors=(), outputs="y"
):
    """Return a model with one LSTM of 5 features and 4 units, whose outputs are `y`, `h` and `c`."""
    inputs = ["x", "W", "R", "B", *extra]
    lstm = operator("LSTM", inputs, ["y", "h", "c"], *attributes, name="rnn")
    constants = [tensor(name, array) for name, array in lstm_weights(5, 4, directions).items()]
    infos = [value_info("x", FLOAT, sizes), *(value_info(name, FLOAT, shape) for name, shape in states)]
    results = [value_info(name, FLOAT, ()) for name in outputs.split()]
    return onnx_file([*before, lstm, *(nodes or ())], [*constants, *tensors], infos, results)
