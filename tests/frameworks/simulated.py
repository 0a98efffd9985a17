"""Keras on JAX as if there were a GPU: its own fused path, with JAX's reference LSTM in the place of cuDNN.

This runs Keras's code around cuDNN without a GPU. The kernels of cuDNN do not run.
"""

import sys

import jax.numpy as jnp
from jax.experimental import rnn

from multilstm.engines.keras.jax import KerasJaxEngine

KERAS_RNN = sys.modules["keras.src.backend.jax.rnn"]  # as an attribute of its package, `rnn` is a function


def reference_lstm(x, h_0, c_0, weights, lengths, *, input_size, hidden_size, num_layers, dropout, bidirectional):
    arguments = (input_size, hidden_size, num_layers, bidirectional)
    unpacked = rnn.unpack_lstm_weights(weights, *arguments)
    return rnn.lstm_ref(x, h_0, c_0, *unpacked, lengths, input_size, hidden_size, num_layers, dropout, bidirectional)


def float32_alone(x, *arguments, **options):
    """Refuse other dtypes than float32: cuDNN takes the bits of all its arguments for float32."""
    if x.dtype != jnp.float32:
        raise AssertionError(f"cuDNN was given {x.dtype}")
    return reference_lstm(x, *arguments, **options)


def engine(lstm):
    def make():
        KERAS_RNN._is_gpu_available = lambda: True
        rnn.lstm = lstm
        return KerasJaxEngine()

    return make


def refuses(*arguments, **options):
    raise ValueError("no kernel\nfor this")


WithCuDNN = engine(float32_alone)
CuDNNRefuses = engine(refuses)
