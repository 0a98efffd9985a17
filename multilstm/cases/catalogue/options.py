"""Each option of the LSTM alone, at every value, and sizes: batch, timesteps, units and features.

Unless `full`, some cases have a forward pass alone: sizes, activations that every backend computes exactly, and options
that the sweep trains.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from multilstm.cases.case import Case
from multilstm.cases.catalogue.covering import covering, product
from multilstm.cases.catalogue.sweep import FACTORS
from multilstm.cases.random_batches import RandomBatches, shortened, trainable
from multilstm.spec import (
    L1,
    L1L2,
    L2,
    LSTM,
    Bidirectional,
    Constraint,
    Input,
    MaxNorm,
    MinMaxNorm,
    Model,
    NonNeg,
    OrthogonalRegularizer,
    Regularizer,
    Sequential,
    UnitNorm,
)
from multilstm.spec.layers import ACTIVATIONS

BATCH, TIMESTEPS, FEATURES, UNITS = 3, 5, 3, 4
INEXACT = ("gelu", "leaky_relu", "hard_sigmoid", "softplus")  # in float64, on some backend of plain Keras
# Every argument and every class once; tests/engines/test_penalties.py tests each class on each weight.
PENALTIES: tuple[tuple[str, Regularizer | Constraint], ...] = (
    ("kernel_regularizer", L1(0.01)),
    ("recurrent_regularizer", L2(0.01)),
    ("bias_regularizer", L1L2(0.01, 0.02)),
    ("kernel_regularizer", OrthogonalRegularizer(0.1)),
    ("kernel_constraint", MaxNorm(0.6)),
    ("recurrent_constraint", NonNeg()),
    ("bias_constraint", UnitNorm()),
    ("recurrent_constraint", MinMaxNorm(0.3, 0.9, rate=0.7)),
)
SIZES = {
    "batch": (1, 2, 3, 4, 5, 6),
    "timesteps": (1, 2, 3, 7, 20, 35, 50),
    "units": (1, 2, 5, 16, 33, 64),
    "features": (1, 2, 4, 9),
}


def options(full: bool = False) -> Iterator[Case]:
    """Yield the cases of all options alone, then the sizes."""
    trained = {*(f"activation-{each}" for each in INEXACT), "recurrent_activation-hard_sigmoid_keras2"}
    forward_alone = {*_activations(), *FACTORS} - trained
    for name, arguments in {**_values(), **_in_training()}.items():
        case = _alone(name, arguments)
        yield case if full else shortened(case, name not in forward_alone)
    rows = list(product(SIZES))
    for place in covering(rows, 2):
        case = _size(**rows[place])
        yield case if full else shortened(case, False)


def _activations() -> dict[str, dict[str, Any]]:
    defaults = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    return {
        f"{argument}-{activation}": {argument: activation}
        for argument, default in defaults.items()
        for activation in ACTIVATIONS
        if activation != default
    }


def _values() -> dict[str, dict[str, Any]]:
    """Return the options that act in the forward pass."""
    flags = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll")
    return {
        **_activations(),
        **{flag: {flag: True} for flag in flags},
        "zero_output_for_mask": {"zero_output_for_mask": True, "return_sequences": True},
        "use_bias-False": {"use_bias": False},
        "unit_forget_bias-False": {"unit_forget_bias": False},
        "use_cudnn-False": {"use_cudnn": False},
        "implementation-1": {"implementation": 1},
    }


def _in_training() -> dict[str, dict[str, Any]]:
    """Return the options that act in training alone."""
    return {
        "dropout": {"dropout": 0.3},
        "recurrent_dropout": {"recurrent_dropout": 0.3},
        "dropout-recurrent_dropout": {"dropout": 0.2, "recurrent_dropout": 0.4},
        "dropout-implementation-1": {"dropout": 0.3, "implementation": 1},
        "dropout-recurrent_dropout-bidirectional": {"dropout": 0.2, "recurrent_dropout": 0.4, "wrapper": "concat"},
        "trainable-False": {"trainable": False},
        **{f"{argument}-{type(each).__name__}": {argument: each} for argument, each in PENALTIES},
        "kernel_regularizer-bidirectional": {"kernel_regularizer": L2(0.01), "wrapper": "sum"},
        "bias_constraint-bidirectional": {"bias_constraint": UnitNorm(), "wrapper": "mul"},
    }


def _alone(name: str, arguments: Mapping[str, Any]) -> Case:
    arguments = dict(arguments)
    wrapper = arguments.pop("wrapper", None)
    lstm = LSTM(UNITS, **arguments)
    inputs = Input((TIMESTEPS if lstm.unroll else None, FEATURES), BATCH if lstm.stateful else None)
    # A model needs a weight that is not frozen.
    below = inputs if lstm.trainable else LSTM(UNITS, return_sequences=True)(inputs)
    spec = Model(inputs, (lstm if wrapper is None else Bidirectional(lstm, wrapper))(below))
    mask = "right" if lstm.zero_output_for_mask else "none"
    # The exponential of an exponential overflows early.
    timesteps, scale = (2, 0.3) if name.endswith("exponential") else (TIMESTEPS, 1.0)
    data = RandomBatches(spec, BATCH, timesteps, 2 if lstm.stateful else 1, mask, scale=scale, seed=_seed(name))
    return trainable(f"option-{name}", f"{name} alone", data)


def _size(batch: int, timesteps: int, units: int, features: int) -> Case:
    """Return a case of one size, with given states, so that one timestep depends on the recurrent kernel too."""
    name = f"size-batch-{batch}-timesteps-{timesteps}-units-{units}-features-{features}"
    spec = Sequential([LSTM(units, return_sequences=True)], input_shape=(None, features))
    data = RandomBatches(spec, batch, timesteps, states=("lstm",), seed=_seed(name))
    return dataclasses.replace(
        trainable(name, f"[{batch}, {timesteps}, {features}] and {units} units", data), seed=units
    )


def _seed(name: str) -> int:
    return zlib.crc32(name.encode())
