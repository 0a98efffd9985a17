"""The service that writes `.keras` files: Keras builds a model from data, and saves it with its own `Model.save`.

A message is `{"spec": JSON, "config": configuration, "weights": arrays, "training": configuration or None, "slots":
arrays, "iteration": count}`. The answer is `{"file": bytes, "version": Keras's version}`. The process has no engine.
"""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

import multilstm.keras_layers  # noqa: F401 - registers the classes that a configuration may name
from multilstm.errors import UnsupportedError
from multilstm.frameworks import private_keras
from multilstm.spec import Graph, from_json
from multilstm.spec.arrays import Array

__all__ = ["named_variables", "serve", "set_slots"]


def serve() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the service, for `multilstm.workers.child`."""
    return lambda message: {"file": _written(message), "version": keras.__version__}


def _written(message: Mapping[str, Any]) -> Array:
    """Return the bytes of a `.keras` file."""
    spec = from_json(message["spec"])
    try:
        model = keras.saving.deserialize_keras_object(message["config"])
    except (TypeError, ValueError) as error:
        raise UnsupportedError(f"Keras {keras.__version__} does not build this model: {error}") from error
    variables = named_variables(spec, model)
    for name, variable in variables.items():
        variable.assign(message["weights"][name])
    if message["training"] is not None:
        model.compile_from_config(message["training"])
        names = {id(variable): name for name, variable in variables.items()}
        trained = [names[id(variable)] for variable in model.trainable_variables]
        set_slots(model.optimizer, trained, message["slots"], message["iteration"])
        _check_portable(message["training"]["optimizer"], model)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.keras")
        model.save(path)
        return np.frombuffer(path.read_bytes(), np.uint8)


def _check_portable(optimizer: Mapping[str, Any], model: Any) -> None:
    """Refuse an optimizer of Keras that Keras on PyTorch saves under the name of a class of PyTorch's backend.

    Raises:
        UnsupportedError: for such an optimizer.
    """
    module = keras.saving.serialize_keras_object(model.optimizer)["module"]
    if module != optimizer["module"]:
        raise UnsupportedError(
            f"Keras on {keras.backend.backend()} saves the optimizer {optimizer['class_name']} as a class of {module}, "
            f"which its other backends do not load; install JAX or TensorFlow, which write files for all backends"
        )


def named_variables(spec: Graph, model: Any) -> dict[str, Any]:
    """Return the weights of a Keras model by `layer/weight`, found by the names of its layers.

    Keras orders the layers of a functional model by their depth, so the order of the model's weights is another one.

    Raises:
        AssertionError: for a weight whose shape differs from the spec's.
    """
    variables = {}
    for layer in model.layers:
        shapes = {name: shape for name, shape in spec.weight_shapes.items() if name.split("/")[0] == layer.name}
        for (name, shape), variable in zip(shapes.items(), layer.weights, strict=True):
            if tuple(variable.shape) != shape:
                raise AssertionError(f"Keras has {name} with the shape {variable.shape}, the spec says {shape}")
            variables[name] = variable
    return {name: variables[name] for name in spec.weight_shapes}


def set_slots(optimizer: Any, trained: Sequence[str], slots: Mapping[str, Array], iteration: int) -> None:
    """Set the arrays of an optimizer, and its number of updates.

    Args:
        optimizer: a built Keras optimizer.
        trained: the trained weights in the optimizer's order.
        slots: arrays as `layer/weight/slot`.
        iteration: the number of updates made before.
    """
    for slot in dict.fromkeys(name.rpartition("/")[2] for name in slots):
        variables = private_keras.optimizer_slots(optimizer, slot)
        for weight, variable in zip(trained, variables, strict=True):
            variable.assign(slots[f"{weight}/{slot}"])
    optimizer.iterations.assign(iteration)
