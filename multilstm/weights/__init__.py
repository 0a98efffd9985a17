"""Weights in Keras's layout: made from a seed, checked, written and read."""

from multilstm.weights.files import load_weights, save_weights
from multilstm.weights.initializers import discriminating_weights, initial_weights
from multilstm.weights.layout import check_weights, gates

__all__ = ["check_weights", "discriminating_weights", "gates", "initial_weights", "load_weights", "save_weights"]
