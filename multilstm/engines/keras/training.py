"""Keras losses and optimizers for those of a job."""

from __future__ import annotations

import dataclasses
from typing import Any

from multilstm.engines.keras.layers import AbstractToolkit
from multilstm.spec.optimizers import Optimizer
from multilstm.spec.schedules import Schedule

_LOSSES = {"categorical_crossentropy": "CategoricalCrossentropy", "mean_squared_error": "MeanSquaredError"}


def make_loss(name: str | None, toolkit: AbstractToolkit) -> Any:
    """Return the Keras loss of a job's name, or None."""
    return None if name is None else toolkit.find("losses", _LOSSES[name])()


def make_optimizer(optimizer: Optimizer | None, weights: list[Any], toolkit: AbstractToolkit) -> Any:
    """Return the Keras optimizer with slots for the weights, or None.

    Args:
        optimizer: the job's optimizer.
        weights: the trained variables of the model.
        toolkit: the classes of Keras.
    """
    if optimizer is None:
        return None
    arguments = {field.name: getattr(optimizer, field.name) for field in dataclasses.fields(optimizer)}
    rate = optimizer.learning_rate
    if isinstance(rate, Schedule):
        schedule = getattr(toolkit.keras.optimizers.schedules, type(rate).__name__)
        arguments["learning_rate"] = schedule(**dataclasses.asdict(rate))
    keras_optimizer = toolkit.find("optimizers", type(optimizer).__name__)(**arguments)
    keras_optimizer.build(weights)
    return keras_optimizer
