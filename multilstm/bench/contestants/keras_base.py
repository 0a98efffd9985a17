"""Plain Keras layers on one backend, for all contestants on Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from multilstm.bench.contestants.base import weight_names
from multilstm.bench.shapes import Problem
from multilstm.spec.arrays import Array


def sequential(problem: Problem) -> Any:
    """Return a built `keras.Sequential` of LSTM or Bidirectional layers with the problem's weights."""
    shape = problem.shape
    keras.config.set_floatx(str(problem.x.dtype))
    layers: list[Any] = [keras.layers.LSTM(shape.units, return_sequences=True) for _ in range(shape.layers)]
    if shape.bidirectional:
        layers = [keras.layers.Bidirectional(layer) for layer in layers]
    model = keras.Sequential([keras.Input((None, shape.features)), *layers])
    for weight, array in zip(model.trainable_variables, _arrays(problem), strict=True):
        weight.assign(array)
    return model


def named(problem: Problem, arrays: Sequence[Array]) -> dict[str, Array]:
    """Return gradients, given in the order of Keras's weights, by `layer/direction/weight`."""
    names = [
        prefix + weight
        for _, _, prefix in weight_names(problem.shape)
        for weight in ("kernel", "recurrent_kernel", "bias")
    ]
    return dict(zip(names, arrays, strict=True))


def _arrays(problem: Problem) -> list[Array]:
    return [array for layer in problem.weights for direction in layer for array in direction]
