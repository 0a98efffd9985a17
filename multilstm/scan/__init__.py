"""A pure-JAX LSTM with Keras's semantics and weight layout, for programs that use JAX without Keras.

    >>> from multilstm.scan import init, lstm
    >>> params = init(features=125, units=320, seed=0)
    >>> sequence, state = lstm(params, x)       # x [batch, timesteps, 125] -> [batch, timesteps, 320], State

Weights and batches enter as JAX or NumPy arrays, models as a spec; outputs, states and gradients leave as JAX arrays.
The room imports JAX and NumPy, and of multilstm only errors, files, frameworks, jobs, json_data, spec and weights.
"""

from multilstm.scan.activations import ACTIVATIONS, activate
from multilstm.scan.batch import Evaluation
from multilstm.scan.bucket import BucketedModel
from multilstm.scan.cell import LSTMParams
from multilstm.scan.dropout import Dropout, draw_dropout
from multilstm.scan.init import init
from multilstm.scan.layer import lstm
from multilstm.scan.losses import loss_value
from multilstm.scan.model import ScanModel, model
from multilstm.scan.stack import bidirectional, merge, stack
from multilstm.scan.streaming import step
from multilstm.scan.tuning import tune_cpu
from multilstm.spec.arrays import State

__all__ = [
    "ACTIVATIONS", "BucketedModel", "Dropout", "Evaluation", "LSTMParams", "ScanModel", "State", "activate",
    "bidirectional", "draw_dropout", "init", "loss_value", "lstm", "merge", "model", "stack", "step",
    "tune_cpu",
]  # fmt: skip
