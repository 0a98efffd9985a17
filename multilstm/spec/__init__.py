"""Specs: models as plain data, with Keras 3's names and no framework.

For example:

    >>> from multilstm.spec import LSTM, Dense, Sequential
    >>> spec = Sequential([LSTM(8), Dense(2, activation="softmax")], input_shape=(None, 5))
    >>> spec.parameter_count
    466
"""

from multilstm.spec.keras_config import from_json, to_json
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
    Layer,
    Masking,
    RepeatVector,
    Tensor,
    TimeDistributed,
)
from multilstm.spec.model import Call, Graph, Model, Ref, Sequential

__all__ = [
    "LSTM", "Activation", "Bidirectional", "Call", "Concatenate", "Dense", "Dropout", "Embedding", "Graph", "Input",
    "InputLayer", "Layer", "Masking", "Model", "Ref", "RepeatVector", "Sequential", "Tensor", "TimeDistributed",
    "from_json", "to_json",
]  # fmt: skip
