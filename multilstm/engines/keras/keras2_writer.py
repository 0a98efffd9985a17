"""The service that writes files of Keras 2: tf-keras builds a model from data, and saves it as HDF5 with `Model.save`.

A message is `{"spec": JSON, "weights": arrays}`. The answer is `{"file": bytes}`. The process has no engine.
"""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tf_keras

from multilstm.engines.keras.keras2_toolkit import Keras2Toolkit
from multilstm.engines.keras.model import floats_of
from multilstm.errors import UnsupportedError
from multilstm.spec import Bidirectional, GetItem, Graph, InputLayer, Layer, Ref, TimeDistributed, from_json
from multilstm.spec.arrays import Array
from multilstm.spec.layers.opaque import OpaqueLayer

__all__ = ["serve"]


def serve() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the service, for `multilstm.workers.child`."""
    return lambda message: {"file": _written(from_json(message["spec"]), message["weights"])}


def _written(spec: Graph, weights: Mapping[str, Array]) -> Array:
    """Return the bytes of an HDF5 file."""
    layers = {str(layer.name): _layer(layer) for layer in spec.layers if not isinstance(layer, InputLayer)}
    model = _sequential(spec, layers) if spec.sequential else _functional(spec, layers)
    for name, layer in layers.items():
        names = [weight for weight in spec.weight_shapes if weight.split("/")[0] == name]
        for weight, variable in zip(names, floats_of(layer), strict=True):
            variable.assign(weights[weight])
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.h5")
        model.save(path, save_format="h5")
        return np.frombuffer(path.read_bytes(), np.uint8)


def _input(layer: InputLayer) -> Any:
    shape = (layer.batch_size, *layer.shape)
    return tf_keras.Input(batch_shape=shape, dtype=layer.dtype or "float32", name=layer.name)


def _sequential(spec: Graph, layers: Mapping[str, Any]) -> Any:
    """Return a Sequential, whose configuration is shorter than that of a functional model."""
    names = [str(layer.name) for layer in spec.layers]
    tensors = [_input(spec.inputs[name]) if name in spec.inputs else layers[name] for name in names]
    return tf_keras.Sequential(tensors, name=spec.name)


def _functional(spec: Graph, layers: Mapping[str, Any]) -> Any:
    tensors: dict[Ref, Any] = {}
    inputs = {}
    for number, call in enumerate(spec.calls):
        if call.layer in spec.inputs:
            tensors[Ref(number)] = inputs[call.layer] = _input(spec.inputs[call.layer])
            continue
        given = [tensors[ref] for ref in call.inputs]
        start = {"initial_state": [tensors[ref] for ref in call.initial_state]} if call.initial_state else {}
        answer = layers[call.layer](given[0] if len(given) == 1 else given, **start)
        outputs = answer if isinstance(answer, (list, tuple)) else [answer]
        tensors |= {Ref(number, place): output for place, output in enumerate(outputs)}
    outputs = [tensors[ref] for ref in spec.outputs]
    return tf_keras.Model([inputs[name] for name in spec.inputs], outputs, name=spec.name)


def _layer(layer: Layer) -> Any:
    """Return a layer of Keras 2.

    Raises:
        UnsupportedError: for a layer, an argument or an activation that Keras 2 lacks.
    """
    if isinstance(layer, GetItem | OpaqueLayer):
        raise UnsupportedError(f"keras2: {layer.label} cannot be converted; its class is written by Keras 3 alone")
    toolkit = Keras2Toolkit()
    kind = toolkit.find("layers", type(layer).__name__)
    with toolkit.defaults("float64", "float64"):  # Keras 2 rounds the numbers of a regularizer to its floatx
        arguments = toolkit.arguments(layer)
    for name, value in arguments.items():
        given = getattr(layer, name, None)
        if callable(value) and isinstance(given, str):
            raise UnsupportedError(
                f"keras2: {layer.label} cannot be converted because of {name}={given!r}: Keras 2 has no such function, "
                f"or one that rounds its constants to float32; change the layer"
            )
        if name.endswith("_initializer") and isinstance(given, str):
            arguments[name] = given
    if isinstance(layer, Bidirectional | TimeDistributed):
        arguments["layer"] = _layer(dataclasses.replace(layer.layer, name=layer.layer.name))
    return kind(**arguments, **({"name": layer.name} if layer.name else {}))
