"""Keras layers, losses, regularizers and optimizers that mean the same on every backend, where plain Keras's do not.

Each is a drop-in for the Keras class of the same name, with the same arguments and weights, and is saved with the model
under its own registered name, such as `multilstm>LSTM`:

    from multilstm.keras_layers import LSTM, TimeDistributed, Adam

    from multilstm.keras_layers import enable_float64  # and for true float64, called once, before a model is built

What plain Keras does, and these do not, is in the ledger of known divergences, multilstm/ledger/divergences.toml:
the rows that name something of this module in `fixed_by`. `multilstm parity MODEL --layers plain` names those that a
model touches.
"""

from multilstm.keras_layers import activations
from multilstm.keras_layers.layers import LSTM, Bidirectional, Dense, TimeDistributed
from multilstm.keras_layers.losses import CategoricalCrossentropy
from multilstm.keras_layers.optimizers import SGD, Adam, AdamW, RMSprop
from multilstm.keras_layers.precision import enable_float64
from multilstm.keras_layers.regularizers import L1, L1L2, L2, OrthogonalRegularizer

__all__ = [
    "L1", "L1L2", "L2", "LSTM", "SGD", "Adam", "AdamW", "Bidirectional", "CategoricalCrossentropy", "Dense",
    "OrthogonalRegularizer", "RMSprop", "TimeDistributed", "activations", "enable_float64",
]  # fmt: skip
