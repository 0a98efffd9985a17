"""Keras layers, losses, regularizers and optimizers that mean the same on every backend, where plain Keras's do not.

Tensors and weights enter and leave, as in Keras. Each class replaces the Keras class of the same name, with the same
arguments and weights. A model saves it under its registered name, such as `multilstm>LSTM`. The room imports only
`frameworks`, `errors`, `random` and `weights`.

    from multilstm.keras_layers import LSTM, TimeDistributed, Adam

    from multilstm.keras_layers import enable_float64  # for true float64: call it once, before a model is built

The rows of multilstm/ledger/divergences.toml whose `fixed_by` names one of these classes are the faults of plain Keras
that it avoids. `multilstm parity MODEL --layers plain` lists those of a model.
"""

from multilstm.keras_layers import activations, initializers
from multilstm.keras_layers.attention import AdditiveAttention, Attention, Dot
from multilstm.keras_layers.conv_lstm import ConvLSTM2D
from multilstm.keras_layers.dropout import Dropout, SpatialDropout1D, SpatialDropout2D
from multilstm.keras_layers.layers import Bidirectional, Dense, TimeDistributed
from multilstm.keras_layers.losses import CategoricalCrossentropy, MeanOverAllTimesteps
from multilstm.keras_layers.optimizers import SGD, Adam, AdamW, RMSprop, RMSpropKeras2
from multilstm.keras_layers.precision import enable_float64
from multilstm.keras_layers.recurrent import GRU, LSTM, SimpleRNN
from multilstm.keras_layers.regularizers import L1, L1L2, L2, OrthogonalRegularizer
from multilstm.keras_layers.stateless import (
    AveragePooling1D,
    AveragePooling2D,
    BatchNormalization,
    Cropping1D,
    GlobalAveragePooling1D,
    LayerNormalization,
    LeakyReLU,
    Normalization,
    Permute,
    ReLU,
    Rescaling,
    Reshape,
)

__all__ = [
    "GRU",
    "L1",
    "L1L2",
    "L2",
    "LSTM",
    "SGD",
    "Adam",
    "AdamW",
    "AdditiveAttention",
    "Attention",
    "AveragePooling1D",
    "AveragePooling2D",
    "BatchNormalization",
    "Bidirectional",
    "CategoricalCrossentropy",
    "ConvLSTM2D",
    "Cropping1D",
    "Dense",
    "Dot",
    "Dropout",
    "GlobalAveragePooling1D",
    "LayerNormalization",
    "LeakyReLU",
    "MeanOverAllTimesteps",
    "Normalization",
    "OrthogonalRegularizer",
    "Permute",
    "RMSprop",
    "RMSpropKeras2",
    "ReLU",
    "Rescaling",
    "Reshape",
    "SimpleRNN",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "TimeDistributed",
    "activations",
    "enable_float64",
    "initializers",
]  # fmt: skip
