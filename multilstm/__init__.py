"""multilstm: does my LSTM give the same answers on every framework?

    >>> from multilstm import LSTM, Dense, Sequential, parity, run
    >>> spec = Sequential([LSTM(8), Dense(2, activation="softmax")], input_shape=(None, 5))
    >>> print(spec.summary())                                # shapes, parameters, states
    >>> result = run(spec, engine="jax-scan", inputs=x)      # outputs, and State(hidden, cell) of every LSTM
    >>> parity(spec, inputs=x).check()                       # every engine against the float64 reference
    >>> parity(load("model.keras"), inputs=x).check()        # a model from a file, with its weights

Importing this package imports no deep-learning framework; engines run in processes of their own.
"""

from multilstm.api import RunResult, parity, run
from multilstm.errors import MultilstmError
from multilstm.files import LoadedModel, Provenance, load
from multilstm.spec import (
    L1,
    L1L2,
    L2,
    LSTM,
    Activation,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Graph,
    Input,
    Masking,
    MaxNorm,
    MinMaxNorm,
    Model,
    NonNeg,
    OrthogonalRegularizer,
    RepeatVector,
    Sequential,
    TimeDistributed,
    UnitNorm,
    schedules,
)
from multilstm.spec.arrays import State
from multilstm.spec.optimizers import SGD, Adam, AdamW, RMSprop
from multilstm.version import __version__
from multilstm.weights.files import load_weights, save_weights
from multilstm.weights.initializers import discriminating_weights, initial_weights
from multilstm.weights.layout import gates

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "LSTM",
    "SGD",
    "Activation",
    "Adam",
    "AdamW",
    "Bidirectional",
    "Concatenate",
    "Dense",
    "Dropout",
    "Embedding",
    "Graph",
    "Input",
    "LoadedModel",
    "Masking",
    "MaxNorm",
    "MinMaxNorm",
    "Model",
    "MultilstmError",
    "NonNeg",
    "OrthogonalRegularizer",
    "Provenance",
    "RMSprop",
    "RepeatVector",
    "RunResult",
    "Sequential",
    "State",
    "TimeDistributed",
    "UnitNorm",
    "__version__",
    "discriminating_weights",
    "gates",
    "initial_weights",
    "load",
    "load_weights",
    "parity",
    "run",
    "save_weights",
    "schedules",
]
