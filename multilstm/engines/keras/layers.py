"""Keras layers for the layers of a spec, one function a layer type."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import keras

from multilstm import keras_layers
from multilstm.engines.keras.dropout import GivenDropout
from multilstm.spec import Bidirectional, Dropout, Layer, SpatialDropout1D, TimeDistributed
from multilstm.spec.arguments import KERAS3_LACKS
from multilstm.spec.layers import Recurrent
from multilstm.spec.penalties import Regularizer, WeightFunction


@functools.singledispatch
def make_layer(layer: Layer, portable: bool) -> Any:
    """Return the Keras layer for a layer of a spec.

    Args:
        layer: the layer of the spec.
        portable: whether to use the class of multilstm.keras_layers, where that has one.
    """
    return _make(layer, portable)


@make_layer.register(Dropout)
@make_layer.register(SpatialDropout1D)
def _(layer: Dropout | SpatialDropout1D, portable: bool) -> Any:
    """Return a layer that takes its mask as an input, or Keras's own where nothing is dropped."""
    return GivenDropout(name=layer.name) if layer.rate else keras.layers.Dropout(0.0, name=layer.name)


@make_layer.register
def _(layer: Recurrent, portable: bool) -> Any:
    """Return a layer that returns its final states, unless it keeps them in variables."""
    return _make(layer, portable, return_state=layer.return_state or not layer.stateful)


@make_layer.register
def _(layer: Bidirectional, portable: bool) -> Any:
    """Return a wrapper around the Keras layer of its inner layer."""
    return _make(layer, portable, layer=make_layer(layer.layer, portable))


@make_layer.register
def _(layer: TimeDistributed, portable: bool) -> Any:
    """Return a wrapper around the Keras layer of its inner layer. A dropout needs none: its mask has timesteps."""
    inner = make_layer(layer.layer, portable)
    return GivenDropout(name=layer.name) if isinstance(inner, GivenDropout) else _make(layer, portable, layer=inner)


def _make(layer: Layer, portable: bool, /, **replaced: Any) -> Any:
    """Return the Keras layer of the same class and arguments, except for the replaced arguments."""
    unset = ("name", *layer.refused)  # a spec refuses every value but Keras's default
    fields = [field.name for field in dataclasses.fields(layer) if field.name not in unset]
    arguments = {field: _argument(field, getattr(layer, field), portable) for field in fields}
    if layer.name:
        arguments["name"] = layer.name
    return named_class(keras.layers, type(layer).__name__, portable)(**{**arguments, **replaced})


def named_class(plain: Any, name: str, portable: bool) -> Any:
    """Return the class of that name from multilstm.keras_layers, or from a module of Keras where that has none."""
    return getattr(keras_layers if portable and hasattr(keras_layers, name) else plain, name)


def _argument(field: str, value: Any, portable: bool) -> Any:
    """Return the value of a layer's argument as Keras takes it."""
    if field.endswith("_initializer"):
        return "zeros"  # Every job brings its weights. On JAX each initializer would be compiled for each shape.
    if field.endswith("activation") and (portable or value in KERAS3_LACKS):
        return getattr(keras_layers.activations, value, value)
    if isinstance(value, WeightFunction):
        plain = keras.regularizers if isinstance(value, Regularizer) else keras.constraints
        return named_class(plain, type(value).__name__, portable)(**dataclasses.asdict(value))
    return value
