"""Specs: models and optimizers as plain data, with Keras 3's names and no framework.

Layers, or Keras's JSON, enter; a `Graph` with shapes, states, weights and parameter counts leaves. Imports errors
and json_data. For example:

    >>> from multilstm.spec import LSTM, Dense, Sequential
    >>> spec = Sequential([LSTM(8), Dense(2, activation="softmax")], input_shape=(None, 5))
    >>> spec.parameter_count
    466
"""

from multilstm.spec.building import Model, Sequential
from multilstm.spec.graph import Call, Graph, Ref
from multilstm.spec.keras_json import from_json, to_json
from multilstm.spec.layer_base import Layer, Tensor
from multilstm.spec.layers import (
    LSTM,
    Activation,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Input,
    InputLayer,
    Masking,
    RepeatVector,
    TimeDistributed,
)
from multilstm.spec.penalties import (
    L1,
    L1L2,
    L2,
    Constraint,
    MaxNorm,
    MinMaxNorm,
    NonNeg,
    OrthogonalRegularizer,
    Regularizer,
    UnitNorm,
)

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "LSTM",
    "Activation",
    "Bidirectional",
    "Call",
    "Concatenate",
    "Constraint",
    "Dense",
    "Dropout",
    "Embedding",
    "Graph",
    "Input",
    "InputLayer",
    "Layer",
    "Masking",
    "MaxNorm",
    "MinMaxNorm",
    "Model",
    "NonNeg",
    "OrthogonalRegularizer",
    "Ref",
    "Regularizer",
    "RepeatVector",
    "Sequential",
    "Tensor",
    "TimeDistributed",
    "UnitNorm",
    "from_json",
    "to_json",
]
