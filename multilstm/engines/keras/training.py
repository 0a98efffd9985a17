"""Keras losses and optimizers for those of a job."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from multilstm.engines.keras.layers import named_class
from multilstm.spec.optimizers import Optimizer
from multilstm.spec.schedules import Schedule

_LOSSES = {"categorical_crossentropy": "CategoricalCrossentropy", "mean_squared_error": "MeanSquaredError"}


def make_loss(name: str | None, portable: bool) -> Any:
    """Return the Keras loss of a job's name, or None."""
    return None if name is None else named_class(keras.losses, _LOSSES[name], portable)()


def make_optimizer(optimizer: Optimizer | None, weights: list[Any], portable: bool) -> Any:
    """Return the Keras optimizer with slots for the weights, or None.

    Args:
        optimizer: the job's optimizer.
        weights: the trained variables of the model.
        portable: whether to use the class of multilstm.keras_layers.
    """
    if optimizer is None:
        return None
    arguments = {field.name: getattr(optimizer, field.name) for field in dataclasses.fields(optimizer)}
    rate = optimizer.learning_rate
    if isinstance(rate, Schedule):
        schedule = getattr(keras.optimizers.schedules, type(rate).__name__)
        arguments["learning_rate"] = schedule(**dataclasses.asdict(rate))
    keras_optimizer = named_class(keras.optimizers, type(optimizer).__name__, portable)(**arguments)
    keras_optimizer.build(weights)
    return keras_optimizer
