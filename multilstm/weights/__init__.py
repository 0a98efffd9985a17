"""Weights in Keras's layout: drawn from a seed, checked, written and read.

A spec and a seed, or a file, enter; float32 arrays by `layer/weight` leave. Imports files, frameworks and spec.
"""

from multilstm.weights.files import load_weights, save_weights
from multilstm.weights.initializers import discriminating_weights, initial_weights
from multilstm.weights.layout import check_weights, gates

__all__ = ["check_weights", "discriminating_weights", "gates", "initial_weights", "load_weights", "save_weights"]
