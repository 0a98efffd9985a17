"""Valid files of every format that `multilstm.files` reads, small enough to be changed a hundred thousand times."""

from __future__ import annotations

import dataclasses
import io
import json
import pathlib
from typing import Any

import h5py
import numpy as np
from hostile_mutants import field

from multilstm.files import LoadedModel, load
from multilstm.files.parsers.parsed import DTYPES
from multilstm.spec import LSTM, Bidirectional, Dense, Graph, Sequential

__all__ = ["Original", "originals"]

MADE = pathlib.Path(__file__).parents[1] / "tests" / "files" / "made"
ENDINGS = {
    "keras": ".keras", "weights.h5": "weights.h5", "hdf5": ".h5", "json": ".json", "torch_old": ".old.pt",
    "torch": (".pt", ".ckpt"), "safetensors": ".safetensors", "onnx": ".onnx", "npz": ".npz",
}  # fmt: skip
TORCH = Sequential([LSTM(2, return_sequences=True), LSTM(2, return_sequences=True),
                    Bidirectional(LSTM(2, return_sequences=True)), Dense(2)], input_shape=(None, 3))  # fmt: skip
ONNX = Sequential([LSTM(2, return_sequences=True), Bidirectional(LSTM(2, return_sequences=True)), Dense(3), Dense(2)],
                  input_shape=(None, 3))  # fmt: skip
SMALL = Sequential([LSTM(2, name="a"), Dense(1, name="b")], input_shape=(4, 3), name="small")


@dataclasses.dataclass(frozen=True)
class Original:
    """A valid file.

    Attributes:
        name: the name of the file.
        content: its bytes.
        architecture: the model for a file with weights alone.
        shard: the bytes of the second file of a TensorFlow.js model; None for others.
    """

    name: str
    content: bytes
    architecture: Graph | LoadedModel | None = None
    shard: bytes | None = None


def originals() -> dict[str, list[Original]]:
    """Return the valid files by format."""
    files: dict[str, list[Original]] = {"tensorflow_js": [_tensorflow_js()], "keras_metadata": [_keras_metadata()]}
    for path in sorted(MADE.iterdir()):
        kind = next((name for name, ending in ENDINGS.items() if path.name.endswith(ending)), None)
        if kind is not None and ".opaque." not in path.name:  # reading these starts a process of Keras
            files.setdefault(kind, []).append(Original(path.name, path.read_bytes(), _architecture(path)))
    files["json"] += [Original("keras-0.json", _keras_0()), Original("keras-1.json", _keras_1())]
    files["hdf5"].append(Original("keras-1.h5", _keras_1_hdf5()))
    files["npz"].append(Original("compressed.npz", _npz(np.arange(12.0), np.ones((3, 4), np.int32))))
    files["onnx"].append(Original("small.onnx", _onnx()))
    files["npy"] = [Original(f"{name}.npy", _npy(np.arange(12).reshape(3, 4).astype(name))) for name in DTYPES]
    return files


def _architecture(path: pathlib.Path) -> Graph | LoadedModel | None:
    if path.name.startswith("torch"):
        return TORCH
    if path.name.endswith(".onnx"):
        return ONNX
    if path.name.endswith(".cudnn.h5"):
        return Sequential([LSTM(2)], input_shape=(None, 3))
    if path.name.endswith("weights.h5"):
        version = path.name.removesuffix(".weights.h5").removesuffix(".legacy_weights.h5")
        return load(MADE / f"{'keras-3.15.1' if 'legacy' in path.name else version}.json")
    return None


def _keras_1_layers() -> list[dict[str, Any]]:
    lstm = {"name": "a", "output_dim": 2, "inner_activation": "hard_sigmoid", "activation": "tanh", "init": "uniform",
            "batch_input_shape": [None, 4, 3], "consume_less": "cpu", "return_sequences": False}  # fmt: skip
    dense = {"name": "b", "output_dim": 1, "activation": "linear", "bias": True, "W_regularizer": None}
    return [{"class_name": "LSTM", "config": lstm}, {"class_name": "Dense", "config": dense}]


def _keras_1() -> bytes:
    return json.dumps({"class_name": "Sequential", "config": _keras_1_layers(), "keras_version": "1.2.2"}).encode()


def _keras_0() -> bytes:
    lstm = {"name": "LSTM", "output_dim": 4, "input_shape": [7, 3], "init": "glorot_uniform", "activation": "tanh",
            "inner_activation": "hard_sigmoid", "truncate_gradient": -1, "return_sequences": False}  # fmt: skip
    branch = {"name": "Sequential", "layers": [lstm]}
    merge = {"name": "Merge", "mode": "concat", "concat_axis": -1, "layers": [branch, branch]}
    return json.dumps({"name": "Sequential", "layers": [merge, {"name": "Dropout", "p": 0.5}]}).encode()


def _keras_1_hdf5() -> bytes:
    """Return a whole model of Keras 1, with three arrays for each gate of the LSTM."""
    arrays = {"a": {}, "b": {"b_W": np.ones((2, 1), "f4"), "b_b": np.ones(1, "f4")}}
    for gate in "icfo":
        for kind, shape in (("W", (3, 2)), ("U", (2, 2)), ("b", (2,))):
            arrays["a"][f"a_{kind}_{gate}"] = np.full(shape, ord(gate), "f4")
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.attrs["model_config"] = _keras_1().decode()
        file.attrs["keras_version"] = "1.2.2"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in arrays]
        for layer, weights in arrays.items():
            inner = group.create_group(layer)
            inner.attrs["weight_names"] = [name.encode() for name in weights]
            for name, array in weights.items():
                inner[name] = array
    return stream.getvalue()


def _tensorflow_js() -> Original:
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=shape).astype("<f4") for name, shape in SMALL.weight_shapes.items()}
    entries = [{"name": name, "shape": list(array.shape), "dtype": "float32"} for name, array in weights.items()]
    topology = {"keras_version": "3.8.0", "backend": "jax", "model_config": json.loads(SMALL.to_json())}
    model = {"modelTopology": topology, "weightsManifest": [{"paths": ["shard"], "weights": entries}]}
    shard = b"".join(array.tobytes() for array in weights.values())
    return Original("model.json", json.dumps(model).encode(), shard=shard)


def _keras_metadata() -> Original:
    """Return the metadata of a SavedModel: the node of the root with its path, identifier and configuration."""
    parts = ((3, "root"), (4, "_tf_keras_sequential"), (5, SMALL.to_json()))
    return Original("keras_metadata.pb", field(1, b"".join(field(number, part) for number, part in parts)))


def _onnx() -> bytes:
    """Return a model of ONNX that is read without an architecture: Transpose, LSTM, Squeeze, MatMul and Add."""
    rng = np.random.default_rng(0)
    arrays = {"half": (1, 8, 3), "other": (1, 8, 3), "R": (1, 16, 4), "B": (1, 32), "kernel": (4, 2), "bias": (2,)}
    tensors = [_tensor(name, 1, rng.normal(size=shape).astype("<f4")) for name, shape in arrays.items()]
    tensors.append(_tensor("one", 7, np.asarray([1], "<i8")))
    nodes = [
        _node("Concat", ["half", "other"], ["W"], field(1, "axis") + field(3, 1) + field(20, 2)),
        _node("Transpose", ["x"], ["t"], field(1, "perm") + field(8, 1) + field(8, 0) + field(8, 2) + field(20, 7)),
        _node("LSTM", ["t", "W", "R", "B"], ["s"], field(1, "hidden_size") + field(3, 4) + field(20, 2)),
        _node("Squeeze", ["s", "one"], ["h"]),
        _node("MatMul", ["h", "kernel"], ["m"]),
        _node("Add", ["m", "bias"], ["y"]),
    ]
    sizes = field(1, field(2, "n")) + field(1, field(1, 4)) + field(1, field(1, 3))
    place = field(1, "x") + field(2, field(1, field(1, 1) + field(2, sizes)))
    parts = [(1, node) for node in nodes] + [(5, tensor) for tensor in tensors] + [(11, place), (12, field(1, "y"))]
    graph = b"".join(field(number, part) for number, part in parts)
    return field(1, 8) + field(2, "small") + field(7, graph) + field(8, field(1, "") + field(2, 17))


def _node(kind: str, inputs: list[str], outputs: list[str], attribute: bytes = b"") -> bytes:
    parts = [*((1, name) for name in inputs), *((2, name) for name in outputs), (3, kind.lower()), (4, kind)]
    content = b"".join(field(number, part) for number, part in parts)
    return content + (field(5, attribute) if attribute else b"")


def _tensor(name: str, kind: int, array: np.ndarray) -> bytes:
    sizes = b"".join(field(1, size) for size in array.shape)
    return sizes + field(2, kind) + field(8, name) + field(9, array.tobytes())


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _npz(*arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, *arrays)
    return stream.getvalue()
