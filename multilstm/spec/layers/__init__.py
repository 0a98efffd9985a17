"""Layers as plain data: Keras 3's names, arguments, order and defaults, checked when they are made.

Each class holds all properties of its layer: arguments, shapes of outputs, weights and states, the mask rule, dropout
masks and phrases of the summary. A new layer is a class in the file of its family and a row in `LAYERS`.

Calling one layer object twice shares its weights. The meaning of an argument is that of Keras's documentation
(https://keras.io/api/layers/recurrent_layers/lstm/). Arguments of Keras that multilstm does not execute yet are
accepted at their default and refused by name at any other value.
"""

from multilstm.spec.arguments import ACTIVATIONS
from multilstm.spec.initializer_names import BIAS_INITIALIZERS, INITIALIZERS
from multilstm.spec.layer_base import Layer
from multilstm.spec.layers.core import Activation, Dense, Dropout, Embedding, Masking
from multilstm.spec.layers.input import Input, InputLayer
from multilstm.spec.layers.recurrent import LSTM
from multilstm.spec.layers.structure import Concatenate, RepeatVector
from multilstm.spec.layers.wrappers import MERGE_MODES, Bidirectional, TimeDistributed

__all__ = [
    "ACTIVATIONS",
    "BIAS_INITIALIZERS",
    "INITIALIZERS",
    "LAYERS",
    "LSTM",
    "MERGE_MODES",
    "Activation",
    "Bidirectional",
    "Concatenate",
    "Dense",
    "Dropout",
    "Embedding",
    "Input",
    "InputLayer",
    "Masking",
    "RepeatVector",
    "TimeDistributed",
]

LAYERS: tuple[type[Layer], ...] = (
    InputLayer,
    Embedding,
    Masking,
    LSTM,
    Bidirectional,
    Dense,
    TimeDistributed,
    Dropout,
    Activation,
    RepeatVector,
    Concatenate,
)
